/** Applications → receiver → span metrics and service graph → backend, in the real agent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { batchOf, pointsOf, traces } from "#kits/span-metrics/span-metrics.testing";
import type { OtlpBatch } from "#pipeline/batch";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

const CALLS = 25;

test("calls, durations and edges are counted exactly, up to the stop", async (t) => {
  const port = await freePort();
  const received: OtlpBatch[] = [];
  const sink = await Sink.start((_path, body) => void received.push(batchOf(Buffer.from(body), "metrics")));
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(t, configuration(port, sink.url));
  const body = traces(
    { resource: { "service.name": "web" }, spans: [{ kind: 3, name: "call", trace: 1, span: 1, ms: 30 }] },
    { resource: { "service.name": "shop" }, spans: [{ kind: 2, name: "GET /", trace: 1, span: 2, parent: 1, ms: 20 }] },
    { resource: {}, spans: [{ name: "nobody's" }] },
  );
  for (let i = 0; i < CALLS; i++) {
    const headers = { "content-type": "application/x-protobuf" };
    const answer = await fetch(`http://127.0.0.1:${port}/v1/traces`, { method: "POST", headers, body });
    assert.equal(answer.status, 200);
  }
  const metrics = await (await fetch(`${agent.url}/metrics`)).text();
  for (const [component, spans] of [
    ["spanmetrics", CALLS],
    ["servicegraph", CALLS],
  ] as const) {
    const dropped = metrics
      .split("\n")
      .find((line) => line.startsWith("alloy_component_dropped_total{") && line.includes(component));
    assert.match(dropped ?? "", new RegExp(`reason="no_service_name".* ${spans}$`), component);
  }
  assert.match(metrics, new RegExp(`otelcol_connector_servicegraph_edges_total\\{.*\\} ${CALLS}\\n`));
  await agent.stop();

  const last = new Map(pointsOf(received).map(({ metric, labels, count }) => [`${metric} ${labels}`, count]));
  const span = (service: string, name: string, kind: string) =>
    `service.name=${service} span.name=${name} span.kind=SPAN_KIND_${kind} status.code=STATUS_CODE_UNSET`;
  const edge = "client=web server=shop connection_type= failed=false";
  assert.deepEqual([...last].sort(), [
    [`traces.span.metrics.calls ${span("shop", "GET /", "SERVER")}`, CALLS],
    [`traces.span.metrics.calls ${span("web", "call", "CLIENT")}`, CALLS],
    [`traces.span.metrics.duration ${span("shop", "GET /", "SERVER")}`, CALLS],
    [`traces.span.metrics.duration ${span("web", "call", "CLIENT")}`, CALLS],
    [`traces_service_graph_request_client ${edge}`, CALLS],
    [`traces_service_graph_request_server ${edge}`, CALLS],
    [`traces_service_graph_request_total ${edge}`, CALLS],
  ]);
});

function configuration(port: number, url: string): string {
  return `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [otelcol.connector.spanmetrics.operations.input, otelcol.connector.servicegraph.services.input]
  }
}
otelcol.connector.spanmetrics "operations" {
  metrics_flush_interval = "300ms"
  histogram {
    exponential {}
  }
  output {
    metrics = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.connector.servicegraph "services" {
  metrics_flush_interval = "300ms"
  output {
    metrics = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint    = "${url}"
    compression = "none"
  }
}
`;
}
