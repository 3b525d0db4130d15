import { decodeRequest } from "#formats/otlp/decode";
import { list, object, text } from "#formats/otlp/text";
import { ProtoWriter } from "#formats/protobuf";
import { freePort, waitUntil } from "../../test/kit/process.ts";
import { Sink } from "../../test/kit/sink.ts";
import { traceRequest } from "../../test/kit/spans.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";
import { httpClient } from "./otlp.ts";

const SPANS_PER_REQUEST = 200;
const CLIENTS = 8;
const FLUSH_SECONDS = 2;

/** The last value of each series: counts are cumulative. */
class LastCounts {
  readonly #values = new Map<string, number>();

  /** Takes the sums, and of histograms the counts, of a request. */
  take(body: Uint8Array): void {
    const { resourceMetrics } = decodeRequest("metrics", [body]);
    for (const resource of list(resourceMetrics)) {
      for (const scope of list(resource.scopeMetrics)) {
        for (const metric of list(scope.metrics)) {
          for (const point of list(object(metric.sum ?? metric.histogram).dataPoints)) {
            const series = `${text(metric.name)} ${JSON.stringify([resource.resource, point.attributes])}`;
            this.#values.set(series, Number(point.asInt ?? point.count ?? 0));
          }
        }
      }
    }
  }
  /** The sum over all series of a metric. */
  of(metric: string): number {
    let sum = 0;
    for (const [series, value] of this.#values) if (series.startsWith(`${metric} `)) sum += value;
    return sum;
  }
}

interface Connector {
  readonly scenario: string;
  readonly component: string;
  /** What its block has beside `output` and the interval of flushes. */
  readonly body: string;
  readonly request: Uint8Array;
  /** What the metrics have to count for one request, each of them. */
  readonly metrics: readonly string[];
  readonly countsPerRequest: number;
}

async function connectorScenario(load: Load, connector: Connector): Promise<Result> {
  const { scenario, component, body, request, metrics, countsPerRequest } = connector;
  const counts = new LastCounts();
  const sink = await Sink.start((_path, each) => counts.take(each));
  const port = await freePort();
  const agent = await startAgent(
    load,
    `
otelcol.receiver.otlp "bench" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [${component}.bench.input]
  }
}
${component} "bench" {
  metrics_flush_interval = "${FLUSH_SECONDS}s"
  ${body}
  output {
    metrics = [otelcol.exporter.otlphttp.bench.input]
  }
}
otelcol.exporter.otlphttp "bench" {
  client {
    endpoint    = "${sink.url}"
    compression = "none"
  }
}
`,
  );
  const bytes = Buffer.from(request);
  const requests = Math.ceil(20_000 * load.scale);
  const client = httpClient(port, bytes);
  try {
    await waitUntil(() => client.send().catch(() => false), 10_000, "receiver", agent.process);
    let sent = 0;
    let accepted = 1; // the probe counts too
    const work = async () => {
      while (sent < requests) {
        sent += 1;
        if (await client.send()) accepted += 1;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, work));
    const usage = agent.process.usage();
    const wanted = accepted * countsPerRequest;
    const isExact = () => metrics.every((metric) => counts.of(metric) === wanted);
    await waitUntil(isExact, FLUSH_SECONDS * 5000, "exact counts", agent.process).catch(() => {});
    const counted = Math.min(...metrics.map((metric) => counts.of(metric)));
    const most = Math.max(...metrics.map((metric) => counts.of(metric)));
    return result(load, scenario, agent, {
      items: accepted * SPANS_PER_REQUEST,
      bytes: accepted * bytes.length,
      lost: Math.max(0, wanted - counted),
      duplicated: Math.max(0, most - wanted),
      usage,
    });
  } finally {
    await client.close();
    await agent.process.stop();
    await sink.stop();
  }
}

const SPAN_METRICS: Connector = {
  scenario: "spanmetrics",
  component: "otelcol.connector.spanmetrics",
  body: `dimension {
    name = "http.request.method"
  }
  dimension {
    name    = "http.response.status_code"
    default = "0"
  }
  histogram {
    explicit {}
  }`,
  request: traceRequest(SPANS_PER_REQUEST),
  metrics: ["traces.span.metrics.calls", "traces.span.metrics.duration"],
  countsPerRequest: SPANS_PER_REQUEST,
};

const SERVICE_GRAPH: Connector = {
  scenario: "servicegraph",
  component: "otelcol.connector.servicegraph",
  body: `dimensions = ["deployment.environment"]`,
  request: pairRequest(SPANS_PER_REQUEST / 2),
  metrics: ["traces_service_graph_request_total", "traces_service_graph_request_client"],
  countsPerRequest: SPANS_PER_REQUEST / 2,
};

/** A trace export of so many calls from one service to another: first all spans of the client, then all of the server. */
function pairRequest(calls: number): Uint8Array {
  const out = new ProtoWriter(calls * 600);
  const attribute = (field: number, key: string, value: string) => {
    const mark = out.begin(field);
    out.string(1, key);
    const any = out.begin(2);
    out.string(1, value);
    out.end(any);
    out.end(mark);
  };
  for (const [service, kind] of [
    ["frontend", 3],
    ["checkout", 2],
  ] as const) {
    const resourceSpans = out.begin(1);
    const resource = out.begin(1);
    attribute(1, "service.name", service);
    attribute(1, "deployment.environment", "production");
    out.end(resource);
    const scopeSpans = out.begin(2);
    for (let i = 0; i < calls; i++) {
      const span = out.begin(2);
      const clientSpan = Buffer.from((i + 0x1000000000).toString(16).padStart(16, "0"), "hex");
      out.bytes(1, Buffer.from(`4bf92f3577b34da6a3ce929d${(i + 0x10000000).toString(16)}`, "hex"));
      out.bytes(2, kind === 3 ? clientSpan : Buffer.from(`ab${clientSpan.toString("hex").slice(2)}`, "hex"));
      if (kind === 2) out.bytes(4, clientSpan);
      out.string(5, `GET /api/v1/items/${i}`);
      out.int32(6, kind);
      out.fixed64Big(7, 1_763_640_000_000_000_000n + BigInt(i));
      out.fixed64Big(8, 1_763_640_000_100_000_000n + BigInt(i * 1_000_000));
      attribute(9, "http.request.method", "GET");
      attribute(9, "url.path", `/api/v1/items/${i}`);
      attribute(9, "http.response.status_code", "200");
      attribute(9, "k8s.pod.name", `${service}-${i % 30}-abcde`);
      out.end(span);
    }
    out.end(scopeSpans);
    out.end(resourceSpans);
  }
  return out.finish();
}

export const spanConnectorScenarios: readonly Scenario[] = [
  {
    name: SPAN_METRICS.scenario,
    summary: "OTLP/HTTP in, metrics of spans with two dimensions out; the counts have to be exact",
    run: (load) => connectorScenario(load, SPAN_METRICS),
  },
  {
    name: SERVICE_GRAPH.scenario,
    summary: "OTLP/HTTP in, metrics of calls between two services out; the counts have to be exact",
    run: (load) => connectorScenario(load, SERVICE_GRAPH),
  },
];
