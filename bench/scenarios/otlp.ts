import { connect } from "node:http2";
import { Pool } from "undici";
import type { OtlpKind } from "#formats/otlp";
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
}

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
${step === undefined ? "" : stepBlock(step)}
otelcol.processor.batch "bench" {
  output {
    ${kind} = [otelcol.exporter.${exporter}.bench.input]
  }
}
${sink.exporter}
`;
  const agent = await startAgent(load, config);
  const body = Buffer.from(REQUESTS[kind](ITEMS_PER_REQUEST));
  const requests = Math.ceil(40_000 * load.scale);
  const client = protocol === "http" ? httpClient(port, body, kind) : grpcClient(port, body);
  try {
    await waitUntil(() => client.send().catch(() => false), 10_000, "receiver", agent.process);
    const before = sink.items();
    let sent = before === 0 ? 0 : -1; // the probe counts too
    let accepted = 1;
    const work = async () => {
      while (sent < requests) {
        sent += 1;
        if (await client.send()) accepted += 1;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, work));
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

function stepBlock({ component, body }: Step): string {
  return `${component} "bench" {
  ${body}
  output {
    traces = [otelcol.processor.batch.bench.input]
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

interface Client {
  /** Whether the agent accepted the request. */
  send(): Promise<boolean>;
  close(): Promise<void>;
}

export function httpClient(port: number, body: Buffer, kind: OtlpKind = "traces"): Client {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CLIENTS });
  return {
    async send() {
      const response = await pool.request({
        path: `/v1/${kind}`,
        method: "POST",
        headers: { "content-type": "application/x-protobuf" },
        body,
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
  const frame = Buffer.alloc(5 + body.length);
  frame.writeUInt32BE(body.length, 1);
  body.copy(frame, 5);
  return {
    send: () =>
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
        stream.end(frame);
      }),
    close: async () => session.destroy(),
  };
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
];
