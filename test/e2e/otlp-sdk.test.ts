import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { OTLPLogExporter as GrpcLogs } from "@opentelemetry/exporter-logs-otlp-grpc";
import { OTLPLogExporter as JsonLogs } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtoLogs } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPMetricExporter as GrpcMetrics } from "@opentelemetry/exporter-metrics-otlp-grpc";
import { OTLPMetricExporter as JsonMetrics } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtoMetrics } from "@opentelemetry/exporter-metrics-otlp-proto";
import { OTLPTraceExporter as GrpcTraces } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonTraces } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtoTraces } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider, type LogRecordExporter } from "@opentelemetry/sdk-logs";
import {
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
} from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import { cleanUp } from "#base/clean-up.testing";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { startAgent } from "../kit/agent.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** An application with the official OpenTelemetry SDK sends to the agent, which forwards to a backend. */

interface Exporters {
  readonly traces: SpanExporter;
  readonly metrics: PushMetricExporter;
  readonly logs: LogRecordExporter;
}

const RESOURCE = resourceFromAttributes({ "service.name": "shop", "service.instance.id": "7" });
type Plain = Record<string, unknown>;

/** The requests that the backend got, by signal. */
async function start(t: TestContext) {
  const got: Record<OtlpKind, Plain[]> = { traces: [], metrics: [], logs: [] };
  const sink = await Sink.start((path, body) => {
    const kind = path.slice("/v1/".length) as OtlpKind;
    got[kind].push(oracleDecode(kind, body));
  });
  cleanUp(t, () => sink.stop());
  const [grpc, http] = [await freePort(), await freePort()];
  const agent = await startAgent(
    t,
    `otelcol.receiver.otlp "in" {
  grpc {
    endpoint = "127.0.0.1:${grpc}"
  }
  http {
    endpoint = "127.0.0.1:${http}"
  }
  output {
    traces  = [otelcol.exporter.otlphttp.out.input]
    metrics = [otelcol.exporter.otlphttp.out.input]
    logs    = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${sink.url}"
  }
}
`,
  );
  return { agent, got, grpc: `http://127.0.0.1:${grpc}`, http: `http://127.0.0.1:${http}` };
}

/** What an application does: spans with all that they can hold, four kinds of instruments, log records. */
async function work({ traces, metrics, logs }: Exporters): Promise<void> {
  const tracing = new TracerProvider({
    resource: RESOURCE,
    spanProcessors: [new BatchSpanProcessor({ exporter: traces })],
  });
  shop(tracing.getTracer("checkout", "1.2.3"));
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 });
  const metering = new MeterProvider({
    resource: RESOURCE,
    readers: [reader],
    views: [{ instrumentName: "size", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }],
  });
  const meter = metering.getMeter("checkout");
  meter.createCounter("orders", { unit: "1", description: "Orders" }).add(3, { region: "eu" });
  meter.createUpDownCounter("open").add(-2);
  meter.createObservableGauge("load").addCallback((result) => result.observe(0.5));
  meter.createHistogram("duration", { unit: "s" }).record(0.25, { path: "/" });
  meter.createHistogram("size").record(1024);
  const logging = new LoggerProvider({
    resource: RESOURCE,
    processors: [new BatchLogRecordProcessor({ exporter: logs })],
  });
  logging.getLogger("checkout").emit({
    severityNumber: 13,
    severityText: "WARN",
    body: "payment was slow ✓",
    attributes: { tries: 3, ok: true, ratio: 0.5, list: ["a", "b"] },
  });
  await Promise.all([tracing.shutdown(), metering.shutdown(), logging.shutdown()]);
}

function shop(tracer: Tracer): void {
  const link = { traceId: "0102030405060708090a0b0c0d0e0f10", spanId: "0102030405060708", traceFlags: 1 };
  const span = tracer.startSpan("POST /cart", {
    kind: SpanKind.SERVER,
    attributes: { "http.status_code": 500, items: ["x", "y"], ratio: 0.25, cached: false },
    links: [{ context: link, attributes: { why: "retry" } }],
  });
  span.addEvent("exception", { "exception.message": "no money" });
  span.setStatus({ code: SpanStatusCode.ERROR, message: "no money" });
  span.end();
}

const transports: readonly (readonly [name: string, exporters: (grpc: string, http: string) => Exporters])[] = [
  [
    "gRPC",
    (url) => ({
      traces: new GrpcTraces({ url }),
      metrics: new GrpcMetrics({ url }),
      logs: new GrpcLogs({ url }),
    }),
  ],
  [
    "HTTP and protobuf",
    (_, http) => ({
      traces: new ProtoTraces({ url: `${http}/v1/traces` }),
      metrics: new ProtoMetrics({ url: `${http}/v1/metrics` }),
      logs: new ProtoLogs({ url: `${http}/v1/logs` }),
    }),
  ],
  [
    "HTTP and JSON",
    (_, http) => ({
      traces: new JsonTraces({ url: `${http}/v1/traces` }),
      metrics: new JsonMetrics({ url: `${http}/v1/metrics` }),
      logs: new JsonLogs({ url: `${http}/v1/logs` }),
    }),
  ],
];

test("all that an application records with the official SDK arrives, over each transport", async (t) => {
  const { agent, got, grpc, http } = await start(t);
  const seen: Record<OtlpKind, unknown>[] = [];
  for (const [name, exporters] of transports) {
    await work(exporters(grpc, http));
    await waitUntil(() => Object.values(got).every((each) => each.length === 1), WAIT_MS, name);
    const request = { traces: got.traces.pop()!, metrics: got.metrics.pop()!, logs: got.logs.pop()! };
    const text = JSON.stringify(request);
    for (const part of ["POST /cart", "no money", "exception", "retry", "shop", "1.2.3", "payment was slow ✓"]) {
      assert.ok(text.includes(part), `${name}: ${part} in ${text}`);
    }
    seen.push(withoutTimes(request) as Record<OtlpKind, unknown>);
  }
  // Whatever the transport, the backend sees the same.
  assert.deepEqual(seen[1], seen[0]);
  assert.deepEqual(seen[2], seen[0]);
  const metrics = JSON.stringify(seen[0]!.metrics);
  assert.match(metrics, /"name":"orders","description":"Orders","unit":"1","sum":\{"dataPoints":\[\{.*"asDouble":3/);
  assert.match(metrics, /"name":"size","exponentialHistogram":/);
  assert.match(metrics, /"name":"load","gauge":\{"dataPoints":\[\{"asDouble":0.5/);
  assert.equal(await agent.stop(), 0);
});

/** What differs from run to run: times and random ids. */
function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => !/UnixNano$|^(traceId|spanId)$/.test(key));
  return Object.fromEntries(entries.map(([key, each]) => [key, withoutTimes(each)]));
}
