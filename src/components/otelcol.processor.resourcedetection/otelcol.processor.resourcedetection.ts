import { GROUP, RESOURCE } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { encodeRequest, resourceGroups } from "#formats/otlp/walk";
import { attempt, outputsOf, withParts } from "#kits/otelcol/processor";
import { inputExports } from "#kits/otelcol/schema";
import { Detection, type NamedDetector } from "#kits/resource-detectors/detection";
import { type DetectorContext, MetadataClient } from "#kits/resource-detectors/detector";
import { DETECTORS, type DetectorName, type DetectorOptions } from "#kits/resource-detectors/registry";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { type Arguments, args } from "./schema.ts";

export default defineComponent({
  name: "otelcol.processor.resourcedetection",
  stability: "generally-available",
  summary: "Adds what is known of the host, the cloud and the cluster to the resources of traces, metrics and logs.",
  example: `otelcol.processor.resourcedetection "default" {
  detectors = ["env", "system", "docker"]

  system {
    hostname_sources = ["os"]
  }

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,

  start(ctx, first) {
    const outputs = outputsOf(ctx, first.output);
    const userAgent = `Invar/${ctx.services.version}`;
    const http = MetadataClient.plain(userAgent);
    ctx.stack.defer(() => http.close());
    const context: DetectorContext = { environment: process.env, log: ctx.log, http, userAgent };
    const failOnMissing = (name: string) => first.fail_on_missing_metadata || failsAlone(first, name);
    const options = { failOnMissing, timeoutMs: first.timeout };
    const detection = new Detection(detectorsOf(first, context), options, ctx);
    ctx.rule("detection_failed", () => detection.judge());
    ctx.run((signal) => detection.run(signal));

    const request = new OtlpRecord();
    function merge(batch: OtlpBatch): OtlpBatch {
      const { attributes, schemaUrl } = detection.resource;
      if (attributes.length === 0 && schemaUrl === "") return batch;
      const parts = batch.parts.map((part) => {
        const groups = resourceGroups(request.reset(part));
        for (let g = 0; g < groups.length; g++) {
          const group = groups.at(g);
          if (schemaUrl !== "" && group.byteLength(GROUP.schemaUrl) === 0) group.setText(GROUP.schemaUrl, schemaUrl);
          const own = group.record(GROUP.resource).map(RESOURCE.attributes);
          for (const [key, value] of attributes) {
            const i = own.find(key);
            if (i < 0) own.append(key, value);
            else if (first.override) own.setAt(i, value);
          }
        }
        return encodeRequest(request, part);
      });
      return withParts(batch, parts, batch.items);
    }
    const pass = (batch: OtlpBatch, signal: AbortSignal) =>
      outputs[batch.kind].consume(
        attempt(() => merge(batch)),
        signal,
      );

    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          const { settled } = detection;
          return settled === undefined ? pass(batch, signal) : settled.then(() => pass(batch, signal));
        },
        { mutates: false },
      ),
    });
    return {
      debugInfo: () => ({ attributes: detection.resource.attributes.map(([key]) => key.text) }),
    };
  },
});

/** Some detectors had an argument of their own for it, which still counts. */
function failsAlone(given: Arguments, name: string): boolean {
  const own: Readonly<Record<string, { readonly fail_on_missing_metadata: boolean }>> = {
    ec2: given.ec2,
    nova: given.nova,
    upcloud: given.upcloud,
    vultr: given.vultr,
    tencent_cvm: given.tencent_cvm,
    alibaba_ecs: given.alibaba_ecs,
  };
  return own[name]?.fail_on_missing_metadata ?? false;
}

function detectorsOf(given: Arguments, context: DetectorContext): NamedDetector[] {
  const { ec2, openshift, kubernetes_node: node } = given;
  const { ca_pem, ca_file, cert_pem, cert_file, key_pem, key_file, server_name, insecure_skip_verify } = openshift.tls;
  const options: DetectorOptions = {
    failOnMissing: given.fail_on_missing_metadata,
    ec2: {
      tags: ec2.tags,
      tagsFromMetadata: ec2.tags_from_imds,
      // As in the SDK, 0 is for as often as there is time.
      maxAttempts: ec2.max_attempts === 0 ? Infinity : ec2.max_attempts,
      maxBackoffMs: ec2.max_backoff,
    },
    eks: { nodeVariable: given.eks.node_from_env_var },
    azure: { tags: given.azure.tags },
    consul: given.consul,
    system: { sources: given.system.hostname_sources },
    openshift: {
      address: openshift.address,
      token: openshift.token,
      tls: {
        ...{ ca_pem, ca_file, cert_pem, cert_file, key_pem, key_file, server_name, insecure_skip_verify },
        min_version: openshift.tls.min_version.endsWith("1.3") ? "TLS13" : "TLS12",
      },
    },
    kubernetesNode: { authType: node.auth_type, context: node.context, nodeVariable: node.node_from_env_var },
    kubeadm: { authType: given.kubeadm.auth_type, context: given.kubeadm.context },
    nova: { labels: given.nova.labels },
  };
  return given.detectors.map((name) => ({
    name,
    detector: DETECTORS[name](context, options),
    isWanted: wantedOf(given, name),
  }));
}

/** Which attributes of a detector are switched on. */
function wantedOf(given: Arguments, name: DetectorName): (attribute: string) => boolean {
  if (name === "env" || name === "dynatrace") return () => true;
  const toggles: Readonly<Record<string, { readonly enabled: boolean } | undefined>> = given[name].resource_attributes;
  const wanted = new Set(
    Object.entries(toggles).flatMap(([attribute, toggle]) => (toggle?.enabled ? [attribute] : [])),
  );
  return (attribute) => wanted.has(attribute);
}
