import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";
import { traceRequest } from "../kit/spans.ts";

interface CatalogueMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[] | null;
  readonly components: readonly string[];
  readonly scope: string;
}

/** What the agent does not have, with the reason. Names end with `*` for all that begin so. */
const MISSING: Readonly<Record<string, string>> = {
  "agent_management_*": "there is no remote configuration",
  "agent_remote_config_*": "there is no remote configuration",
  "remotecfg_*": "there is no remote configuration",
  "cluster_*": "there is no clustering",
  alloy_component_graph_connection: "one series for each reference; no dashboard uses it, and the API has the graph",
  alloy_component_evaluation_slow_seconds: "appears with the first evaluation that takes more than a minute",
  "alloy_labelstore_*": "series are kept in one registry with references, not in a store of labels beside others",
  loki_process_dropped_lines_by_label_total: "of a stage that is not there yet",
  loki_process_truncated_fields_total: "of a stage that is not there yet",
  prometheus_remote_storage_samples_dropped_total: "counted as alloy_component_dropped_total, with more reasons",
  prometheus_remote_storage_exemplars_dropped_total: "counted as alloy_component_dropped_total, with more reasons",
  prometheus_remote_storage_exemplars_pending: "samples and exemplars wait together; samples_pending counts both",
  prometheus_remote_write_data_replay_duration_seconds:
    "of Prometheus's write-ahead log; there is a disk queue instead",
  "prometheus_remote_write_wal_checkpoint_*": "of Prometheus's write-ahead log; there is a disk queue instead",
  prometheus_remote_write_wal_corruptions_total: "of Prometheus's write-ahead log; there is a disk queue instead",
  prometheus_remote_write_wal_truncate_duration_seconds:
    "of Prometheus's write-ahead log; there is a disk queue instead",
  "rpc_server_*": "OpenTelemetry's instrumentation of Go's gRPC server; otelcol_receiver_* count the same requests",
};

test("the agent has the metrics of its own that Alloy's dashboards and alerts use, with their labels", async (t) => {
  const folder = temporaryFolder(t);
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  const [api, http, grpc] = [await freePort(), await freePort(), await freePort()];
  writeFileSync(join(folder, "a.log"), "one\ntwo\n");
  const components = {
    "local.file_match": `local.file_match "x" {
  path_targets = [{ __path__ = "${folder}/*.log" }]
}`,
    "loki.source.file": `loki.source.file "x" {
  targets    = local.file_match.x.targets
  forward_to = [loki.process.x.receiver]
}`,
    "loki.source.api": `loki.source.api "x" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = ${api}
  }
  forward_to = [loki.process.x.receiver]
}`,
    "loki.process": `loki.process "x" {
  forward_to = [loki.write.x.receiver]

  stage.cri { }

  stage.drop {
    expression = "two"
  }
}`,
    "loki.write": `loki.write "x" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}`,
    "prometheus.exporter.self": `prometheus.exporter.self "x" { }`,
    "discovery.relabel": `discovery.relabel "x" {
  targets = prometheus.exporter.self.x.targets
}`,
    "prometheus.scrape": `prometheus.scrape "x" {
  targets         = discovery.relabel.x.output
  forward_to      = [prometheus.relabel.x.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"
}`,
    "prometheus.relabel": `prometheus.relabel "x" {
  forward_to = [prometheus.remote_write.x.receiver]
}`,
    "prometheus.remote_write": `prometheus.remote_write "x" {
  endpoint {
    url = "${sink.url}/api/v1/write"
  }
}`,
    "otelcol.receiver.otlp": `otelcol.receiver.otlp "x" {
  http {
    endpoint = "127.0.0.1:${http}"
  }
  grpc {
    endpoint = "127.0.0.1:${grpc}"
  }
  output {
    traces = [otelcol.processor.batch.x.input]
  }
}`,
    "otelcol.processor.batch": `otelcol.processor.batch "x" {
  timeout = "50ms"

  output {
    traces = [otelcol.exporter.otlphttp.x.input]
  }
}`,
    "otelcol.exporter.otlphttp": `otelcol.exporter.otlphttp "x" {
  client {
    endpoint = "${sink.url}"
  }
}`,
  };
  const agent = await startAgent(t, `${Object.values(components).join("\n\n")}\n`);
  const pushed = await fetch(`http://127.0.0.1:${api}/loki/api/v1/raw`, { method: "POST", body: "x\n" });
  assert.equal(pushed.status, 204);
  const traced = await fetch(`http://127.0.0.1:${http}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/x-protobuf" },
    body: traceRequest(5),
  });
  assert.equal(traced.status, 200);
  await agent.until(async () => {
    const sent = [
      "loki_write_sent_entries_total",
      "prometheus_remote_storage_samples_total",
      "otelcol_exporter_sent_spans_total",
    ];
    for (const name of sent) if (((await agent.metric(name)) ?? 0) === 0) return false;
    return true;
  }, "all three signals were sent");

  const catalogue = JSON.parse(readFileSync("test/catalog/self-metrics.json", "utf8")) as {
    metrics: CatalogueMetric[];
  };
  const wanted = catalogue.metrics.filter(
    ({ scope, components: owners }) =>
      scope === "agent" || (scope !== "docs-only" && owners.some((owner) => owner in components)),
  );
  assert.ok(wanted.length > 80, `${wanted.length} metrics`);
  const labelsOf = new Map<string, Set<string>>();
  for (const { name, labels } of await agent.metrics()) {
    for (const family of [name, name.replace(/_(bucket|sum|count)$/, "")]) {
      const known = labelsOf.get(family) ?? new Set();
      for (const label of labels.keys()) known.add(label);
      labelsOf.set(family, known);
    }
  }
  const text = await (await agent.api("/metrics")).text();
  const declared = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map((match) => match[1]!));
  const isListed = (name: string) =>
    Object.keys(MISSING).some((key) => (key.endsWith("*") ? name.startsWith(key.slice(0, -1)) : name === key));
  const problems: string[] = [];
  for (const { name, labels, components: owners } of wanted) {
    const have = labelsOf.get(name);
    if (have === undefined && !declared.has(name)) {
      if (!isListed(name)) problems.push(`${name} (${owners.join(", ") || "agent"}) is missing`);
      continue;
    }
    if (isListed(name)) problems.push(`${name} is there and need not be listed as missing`);
    for (const label of labels ?? []) {
      const plain = label.replace(/ \(.*/, "");
      if (have !== undefined && have.size > 0 && !have.has(plain)) problems.push(`${name} lacks the label ${plain}`);
    }
  }
  assert.deepEqual(problems, []);
  assert.equal(await agent.stop(), 0);
});
