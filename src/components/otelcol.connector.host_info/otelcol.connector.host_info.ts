import { DATA, GAUGE, GROUP, METRIC, POINT, RESOURCE, SCOPE } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey, writeKeyValue } from "#formats/otlp/values";
import { resourceGroups } from "#formats/otlp/walk";
import { ProtoWriter } from "#formats/protobuf";
import { oneKindInput } from "#kits/otelcol/one-kind";
import { attempt } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports } from "#kits/otelcol/schema";
import { writeNanos } from "#kits/otlp/nanos";
import { metricsOutputSchema } from "#kits/otlp/output";
import { attributeText } from "#kits/ottl/value";
import { s } from "#lang/schema";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

/** ResourceMetrics in a request. */
const RESOURCE_GROUPS = 1;
const NOTHING = new Uint8Array(0);
const SCOPE_NAME = "hostinfoconnector";
const METRIC_NAME = "traces_host_info";
const HOST_ATTRIBUTE = "grafana.host.id";
/** Hosts between two flushes: more of them are no hosts, but an attribute with ever new values. */
const MOST_HOSTS = 100_000;

export default defineComponent({
  name: "otelcol.connector.host_info",
  stability: "generally-available",
  summary: "Makes the metric `traces_host_info` of the hosts that spans come from.",
  example: `otelcol.connector.host_info "default" {
  output {
    metrics = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args: s
    .object({
      host_identifiers: s.list(s.string()).default(["host.id"]).doc("Resource attributes that identify a host."),
      metrics_flush_interval: s.duration().default("1m").doc("How often the metric is sent, if there were spans."),
      output: s.block(metricsOutputSchema).required().doc("Where the metric goes."),
      debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
    })
    .rule("host_identifiers", (a) => a.host_identifiers.length > 0, "must not be empty")
    .rule("metrics_flush_interval", (a) => a.metrics_flush_interval > 0, "must be greater than 0"),
  exports: inputExports,

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.metrics);
    const keys = first.host_identifiers.map((each) => new AttributeKey(each));
    const request = new OtlpRecord();
    const group = new OtlpRecord();
    let hosts = new Set<string>();
    let isFull = false;
    ctx.rule("too_many_hosts", () =>
      isFull
        ? {
            state: "degraded",
            cause: `more than ${MOST_HOSTS} hosts since the last flush, and no more are noted: ${first.host_identifiers.join(", ")} should be the same for all spans of a host`,
          }
        : undefined,
    );

    function note(part: Uint8Array): void {
      const groups = resourceGroups(request.reset(part));
      for (let r = 0; r < groups.length; r++) {
        const attributes = groups.borrow(r, group).record(GROUP.resource).map(RESOURCE.attributes);
        for (const key of keys) {
          const at = attributes.find(key);
          if (at < 0) continue;
          const host = attributeText(attributes.valueAt(at));
          if (hosts.size < MOST_HOSTS || hosts.has(host)) hosts.add(host);
          else {
            isFull = true;
            ctx.flow.drop("otlp", "too_many_hosts", 1);
          }
        }
      }
    }

    async function flush(signal: AbortSignal): Promise<void> {
      if (hosts.size === 0) return;
      const known = hosts;
      hosts = new Set();
      isFull = false;
      const bytes = metricOf(known, ctx.clock.now());
      await out.consume(
        {
          signal: "otlp",
          kind: "metrics",
          parts: [bytes],
          items: known.size,
          bytes: bytes.length,
          clientMetadata: undefined,
          acknowledgement: Acknowledgement.none,
        },
        signal,
      );
    }
    // The first turn of `every` comes at once, when there is nothing to send yet.
    ctx.every(first.metrics_flush_interval, flush);

    function consume(batch: OtlpBatch): void {
      attempt(() => {
        for (const part of batch.parts) note(part);
      });
      ctx.flow.took(); // the first metric may be a minute away, and spans without a host make none
      batch.acknowledgement.release();
    }
    ctx.export({ input: oneKindInput(ctx, "traces", consume) });
    return { drain: flush };
  },
});

/** A request with one gauge: a point of 1 for each host. */
function metricOf(hosts: ReadonlySet<string>, now: number): Uint8Array {
  const writer = new ProtoWriter(hosts.size * 64 + 128);
  const resource = writer.begin(RESOURCE_GROUPS);
  writer.bytes(GROUP.resource, NOTHING);
  const scope = writer.begin(GROUP.members);
  const named = writer.begin(GROUP.scope);
  writer.string(SCOPE.name, SCOPE_NAME);
  writer.end(named);
  const metric = writer.begin(GROUP.members);
  writer.string(METRIC.name, METRIC_NAME);
  const data = writer.begin(GAUGE);
  for (const host of hosts) {
    const point = writer.begin(DATA.points);
    writeNanos(writer, POINT.start, Math.floor(now), 0);
    writeNanos(writer, POINT.time, Math.floor(now), 0);
    writer.fixed64(POINT.asInt, 1, 0);
    writeKeyValue(writer, POINT.attributes.number, HOST_ATTRIBUTE, host);
    writer.end(point);
  }
  for (const mark of [data, metric, scope, resource]) writer.end(mark);
  return writer.finish();
}
