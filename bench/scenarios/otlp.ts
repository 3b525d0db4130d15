import { connect } from "node:http2";
import { Pool } from "undici";
import { POINT, TEMPORALITY } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import { logsRequest, metricsRequest } from "../../test/kit/otlp-load.ts";
import { freePort, waitUntil } from "../../test/kit/process.ts";
import { Sink, startGrpcSink } from "../../test/kit/sink.ts";
import { traceRequest } from "../../test/kit/spans.ts";
import { countSpans } from "../../test/kit/walk.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";

const ITEMS_PER_REQUEST = 200;
/** A request of each signal; a metric has one point, so that counting entries counts items. */
const REQUESTS: Readonly<Record<OtlpKind, (items: number) => Uint8Array>> = {
  traces: traceRequest,
  metrics: metricsRequest,
  logs: logsRequest,
};
const CLIENTS = 8;

interface OtlpSink {
  readonly items: () => number;
  readonly exporter: string;
  stop(): Promise<void>;
}

async function httpSink(): Promise<OtlpSink> {
  const sink = await Sink.start((_path, body, counts) => {
    counts.items += countSpans(body);
  });
  const exporter = `otelcol.exporter.otlphttp "bench" {
  client {
    endpoint    = "${sink.url}"
    compression = "none"
  }
}`;
  return { items: () => sink.counts.items, exporter, stop: () => sink.stop() };
}

async function grpcSink(): Promise<OtlpSink> {
  let spans = 0;
  const sink = await startGrpcSink((_path, message) => {
    spans += countSpans(message);
  });
  const exporter = `otelcol.exporter.otlp "bench" {
  client {
    endpoint    = "127.0.0.1:${sink.port}"
    compression = "none"
    tls {
      insecure = true
    }
  }
}`;
  return { items: () => spans, exporter, stop: () => sink.stop() };
}

/** A component between receiver and batch processor: its name, and what its block has beside `output`. */
interface Step {
  readonly name: string;
  readonly component: string;
  readonly body: string;
  /** What the clients send; the same request again and again without it. */
  readonly load?: () => Sender;
}
/** The request that client `worker` is to send next: it waits for the answer to the one before. */
type Sender = (worker: number) => Buffer;

interface Way {
  readonly protocol: "http" | "grpc";
  /** Traces without it. */
  readonly kind?: OtlpKind;
  readonly step?: Step;
}

async function otlpScenario(load: Load, { protocol, kind = "traces", step }: Way): Promise<Result> {
  const sink = protocol === "http" ? await httpSink() : await grpcSink();
  const port = await freePort();
  const exporter = protocol === "http" ? "otlphttp" : "otlp";
  const config = `
otelcol.receiver.otlp "bench" {
  ${protocol} {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    ${kind} = [${step?.component ?? "otelcol.processor.batch"}.bench.input]
  }
}
${step === undefined ? "" : stepBlock(step, kind)}
otelcol.processor.batch "bench" {
  output {
    ${kind} = [otelcol.exporter.${exporter}.bench.input]
  }
}
${sink.exporter}
`;
  const agent = await startAgent(load, config);
  const body = Buffer.from(REQUESTS[kind](ITEMS_PER_REQUEST));
  const next = step?.load?.() ?? (() => body);
  const requests = Math.ceil(40_000 * load.scale);
  const client = protocol === "http" ? httpClient(port, body, kind) : grpcClient(port, body);
  try {
    await waitUntil(() => client.send(next(0)).catch(() => false), 10_000, "receiver", agent.process);
    const before = sink.items();
    let sent = before === 0 ? 0 : -1; // the probe counts too
    let accepted = 1;
    const work = async (worker: number) => {
      while (sent < requests) {
        sent += 1;
        if (await client.send(next(worker))) accepted += 1;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, worker) => work(worker)));
    const wanted = accepted * ITEMS_PER_REQUEST;
    await waitUntil(() => sink.items() >= wanted, 60_000, "delivery", agent.process).catch(() => {});
    const delivered = sink.items();
    const counts = {
      items: delivered,
      bytes: accepted * body.length,
      lost: Math.max(0, wanted - delivered),
      duplicated: Math.max(0, delivered - wanted),
    };
    const name = kind === "traces" ? `otlp-${protocol}` : `otlp-${kind}`;
    return result(load, step?.name ?? name, agent, counts);
  } finally {
    await client.close();
    await agent.process.stop();
    await sink.stop();
  }
}

function stepBlock({ component, body }: Step, kind: OtlpKind): string {
  return `${component} "bench" {
  ${body}
  output {
    ${kind} = [otelcol.processor.batch.bench.input]
  }
}`;
}

/** None of the spans of `traceRequest` is dropped. */
const FILTER: Step = {
  name: "otlp-filter",
  component: "otelcol.processor.filter",
  body: `trace_conditions {
    conditions = [
      \`span.attributes["url.path"] == "/health"\`,
      \`IsMatch(span.name, "^(OPTIONS|HEAD) ")\`,
      \`span.kind == SPAN_KIND_INTERNAL and span.attributes["db.system"] == nil\`,
    ]
  }`,
};
const TRANSFORM: Step = {
  name: "otlp-transform",
  component: "otelcol.processor.transform",
  body: `statements {
    trace = [
      \`set(span.attributes["deployment.environment"], "production")\`,
      \`replace_pattern(span.name, "/items/\\\\d+$", "/items/{id}")\`,
      \`delete_key(span.attributes, "thread.id")\`,
      \`set(span.status.code, STATUS_CODE_ERROR) where span.attributes["http.response.status_code"] == "500"\`,
      \`set(span.attributes["service"], resource.attributes["service.name"])\`,
    ]
  }`,
};

/** Each of the five actions changes every span. */
const ATTRIBUTES: Step = {
  name: "otlp-attributes",
  component: "otelcol.processor.attributes",
  body: `action {
    key    = "deployment.environment"
    value  = "production"
    action = "insert"
  }
  action {
    key    = "thread.id"
    action = "delete"
  }
  action {
    key    = "db.system"
    value  = "postgres"
    action = "update"
  }
  action {
    key            = "peer.address"
    from_attribute = "client.address"
    action         = "upsert"
  }
  action {
    key            = "http.response.status_code"
    converted_type = "int"
    action         = "convert"
  }`,
};

/** Clients have series of their own, since a point that overtakes another of its series is dropped: 19,200 in all. */
const REQUESTS_PER_CLIENT = 12;
/** So many nanoseconds lie between two points of a series. */
const STEP = 1_000_000_000n;
/** A time that is easily found in a request: the times of its points differ from it in the lowest byte. */
const FIRST_TIME = 0x1911_2233_4455_6600n;

/** Metrics whose times move on. */
function movingMetrics(temporality: number): Sender {
  const time = FIRST_TIME;
  const requests = Array.from({ length: CLIENTS * REQUESTS_PER_CLIENT }, (_, k) => {
    const bytes = Buffer.from(metricsRequest(ITEMS_PER_REQUEST, { first: k * ITEMS_PER_REQUEST, time, temporality }));
    return { bytes, times: timesIn(bytes), sent: 0 };
  });
  const turns = new Array<number>(CLIENTS).fill(0);
  return (worker) => {
    const turn = turns[worker]!++ % REQUESTS_PER_CLIENT;
    const request = requests[worker * REQUESTS_PER_CLIENT + turn]!;
    request.sent += 1;
    const now = time + BigInt(request.sent) * STEP;
    for (const at of request.times) request.bytes.writeBigUInt64LE(now, at);
    return request.bytes;
  };
}
/** Where the times of the points are. */
function timesIn(bytes: Buffer): number[] {
  const tag = Buffer.from([(POINT.time << 3) | 1]);
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(FIRST_TIME);
  const times: number[] = [];
  for (let at = bytes.indexOf(tag); at >= 0; at = bytes.indexOf(tag, at + 1)) {
    if (bytes.compare(first, 1, 8, at + 2, at + 9) === 0) times.push(at + 1);
  }
  if (times.length !== ITEMS_PER_REQUEST) throw new Error(`${times.length} times were found in a request`);
  return times;
}
/** Every point is the difference to the one before; the first ones are sent as they are. */
const TO_DELTA: Step = {
  name: "otlp-cumulativetodelta",
  component: "otelcol.processor.cumulativetodelta",
  body: `initial_value = "keep"`,
  load: () => movingMetrics(TEMPORALITY.cumulative),
};
const TO_CUMULATIVE: Step = {
  name: "otlp-deltatocumulative",
  component: "otelcol.processor.deltatocumulative",
  body: "",
  load: () => movingMetrics(TEMPORALITY.delta),
};

interface Client {
  /** Sends this request, or the client's own one. Whether the agent accepted it. */
  send(request?: Buffer): Promise<boolean>;
  close(): Promise<void>;
}

export function httpClient(port: number, body: Buffer, kind: OtlpKind = "traces"): Client {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CLIENTS });
  return {
    async send(request = body) {
      const response = await pool.request({
        path: `/v1/${kind}`,
        method: "POST",
        headers: { "content-type": "application/x-protobuf" },
        body: request,
      });
      await response.body.dump();
      return response.statusCode === 200;
    },
    close: () => pool.close(),
  };
}

function grpcClient(port: number, body: Buffer): Client {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  const frame = framed(body);
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        const stream = session.request({
          ":method": "POST",
          ":path": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
          "content-type": "application/grpc",
          te: "trailers",
        });
        let status: unknown;
        stream.on("trailers", (trailers) => {
          status = trailers["grpc-status"];
        });
        stream.on("response", (headers) => {
          status ??= headers["grpc-status"];
        });
        stream.on("error", reject);
        stream.on("close", () => resolve(status === "0"));
        stream.resume();
        stream.end(request === undefined || request === body ? frame : framed(request));
      }),
    close: async () => session.destroy(),
  };
}

function framed(message: Buffer): Buffer {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  return frame;
}

export const otlpScenarios: readonly Scenario[] = [
  {
    name: "otlp-http",
    summary: "OTLP/HTTP in, batch, OTLP/HTTP out",
    run: (load) => otlpScenario(load, { protocol: "http" }),
  },
  {
    name: "otlp-grpc",
    summary: "OTLP/gRPC in, batch, OTLP/gRPC out",
    run: (load) => otlpScenario(load, { protocol: "grpc" }),
  },
  {
    name: "otlp-logs",
    summary: "log records over OTLP/HTTP in, batch, OTLP/HTTP out",
    run: (load) => otlpScenario(load, { protocol: "http", kind: "logs" }),
  },
  {
    name: "otlp-metrics",
    summary: "data points over OTLP/HTTP in, batch, OTLP/HTTP out",
    run: (load) => otlpScenario(load, { protocol: "http", kind: "metrics" }),
  },
  {
    name: "otlp-filter",
    summary: "the same over HTTP with a filter of three conditions that drops nothing",
    run: (load) => otlpScenario(load, { protocol: "http", step: FILTER }),
  },
  {
    name: "otlp-attributes",
    summary: "the same over HTTP with five attribute actions on every span",
    run: (load) => otlpScenario(load, { protocol: "http", step: ATTRIBUTES }),
  },
  {
    name: "otlp-transform",
    summary: "the same over HTTP with five statements on every span",
    run: (load) => otlpScenario(load, { protocol: "http", step: TRANSFORM }),
  },
  {
    name: "otlp-cumulativetodelta",
    summary: "data points of 19,200 known series over HTTP, made deltas",
    run: (load) => otlpScenario(load, { protocol: "http", kind: "metrics", step: TO_DELTA }),
  },
  {
    name: "otlp-deltatocumulative",
    summary: "data points of 19,200 known series over HTTP, added up",
    run: (load) => otlpScenario(load, { protocol: "http", kind: "metrics", step: TO_CUMULATIVE }),
  },
];
