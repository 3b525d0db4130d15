import type { Clock } from "#base/clock";
import { errorText } from "#base/log";
import { decodeStatus } from "#formats/grpc";
import { requestToJson } from "#formats/otlp/json";
import type { OtlpKind } from "#formats/otlp/otlp";
import { decodeExportResponse, type PartialSuccess, parseExportResponse } from "#formats/otlp/response";
import { ProtobufError } from "#formats/protobuf";
import { ClockSkew } from "#kits/clock-skew";
import { HttpClientError } from "#kits/http/client-errors";
import { httpUrlProblem, shownUrl } from "#kits/http/url";
import { httpClientSchema, otlpCredentials } from "#kits/otelcol/client-schema";
import { type HttpAnswer, OtelHttpClient } from "#kits/otelcol/http-client";
import { exporterInstruments, exporterMetrics } from "#kits/otelcol/metrics";
import { SendError } from "#kits/otelcol/retry";
import { debugMetricsSchema, inputExports, queueSchema, retrySchema } from "#kits/otelcol/schema";
import { OtlpSender, type SenderOptions } from "#kits/otelcol/sender";
import { shownAnswer } from "#kits/otelcol/shown-answer";
import { uselessInsecure } from "#kits/otelcol/tls";
import { credentialsRemedy, type ShownCredentials } from "#kits/refused-credentials";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";
/** A client that was replaced ends after this time at the latest, when requests have no time limit of their own. */
const LONGEST_REQUEST_MS = 60_000;

const args = s
  .object({
    traces_endpoint: s
      .string()
      .default("")
      .doc("URL for traces; the client's endpoint with `/v1/traces` unless given."),
    metrics_endpoint: s
      .string()
      .default("")
      .doc("URL for metrics; the client's endpoint with `/v1/metrics` unless given."),
    logs_endpoint: s.string().default("").doc("URL for logs; the client's endpoint with `/v1/logs` unless given."),
    encoding: s.oneOf(["proto", "json"]).default("proto").doc("How requests are encoded."),
    client: s.block(httpClientSchema).required().doc("Where and how to send."),
    sending_queue: s.block(queueSchema).presentByDefault().doc("What waits to be sent."),
    retry_on_failure: s.block(retrySchema).presentByDefault().doc("How failed requests are repeated."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "client.endpoint",
    (a) => [a.client.endpoint, a.traces_endpoint, a.metrics_endpoint, a.logs_endpoint].some((url) => url !== ""),
    "or an endpoint of a signal must be given",
  )
  // Beside endpoints of signals Alloy takes any text, which configurations use to say that there is none.
  .rule(
    "client.endpoint",
    (a) =>
      isUrl(a.client.endpoint) || [a.traces_endpoint, a.metrics_endpoint, a.logs_endpoint].some((url) => url !== ""),
    (a) => httpUrlProblem(a.client.endpoint, "https://host:port")!,
  )
  .rule(
    "traces_endpoint",
    (a) => isUrl(a.traces_endpoint),
    (a) => httpUrlProblem(a.traces_endpoint)!,
  )
  .rule(
    "metrics_endpoint",
    (a) => isUrl(a.metrics_endpoint),
    (a) => httpUrlProblem(a.metrics_endpoint)!,
  )
  .rule(
    "logs_endpoint",
    (a) => isUrl(a.logs_endpoint),
    (a) => httpUrlProblem(a.logs_endpoint)!,
  )
  .suspect((a) => {
    const url = URL.parse(a.client.endpoint);
    const end = /\/v1\/(traces|metrics|logs)\/?$/.exec(url?.pathname ?? "")?.[0];
    if (end !== undefined) {
      const message = `ends with ${end}, behind which the path of each signal is put once more`;
      return [{ field: "client.endpoint", message, hint: `leave ${end} out, or use traces_endpoint and the like` }];
    }
    if (url?.port === "4317") {
      const message = "has the port 4317, on which servers take OTLP over gRPC";
      return [{ field: "client.endpoint", message, hint: "use port 4318, or otelcol.exporter.otlp" }];
    }
    return [];
  })
  .suspect(({ client }) => uselessInsecure("client.tls", client.tls, client.endpoint));
type Arguments = Infer<typeof args>;

function isUrl(text: string): boolean {
  return text === "" || httpUrlProblem(text) === undefined;
}

export default defineComponent({
  name: "otelcol.exporter.otlphttp",
  stability: "generally-available",
  summary: "Sends traces, metrics and logs in OTLP over HTTP.",
  example: `otelcol.exporter.otlphttp "default" {
  client {
    endpoint = "http://localhost:4318"
  }
}`,
  args,
  exports: inputExports,
  metrics: exporterMetrics,

  start(ctx, first) {
    let backend = new Backend(first, ctx.services.version);
    const options = (): SenderOptions => ({
      queue: backend.args.sending_queue,
      retry: backend.args.retry_on_failure,
      destination: backend.destination,
      send: (batch, signal) => backend.send(batch, ctx.clock, signal),
    });
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `otlp_http/${ctx.id}`), options());
    ctx.rule("clock_skew", () => {
      const cause = backend.skew.problem;
      return cause === undefined ? undefined : { state: "degraded", cause };
    });
    ctx.stack.defer(async () => {
      await sender.close();
      await backend.close();
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => sender.consume(batch, signal), { mutates: false }),
    });
    return {
      update(next) {
        const old = backend;
        backend = new Backend(next, ctx.services.version);
        sender.configure(options());
        // Requests under way end with the old one.
        ctx.run(async (signal) => {
          await ctx.clock.sleep(old.args.client.timeout || LONGEST_REQUEST_MS, signal).catch(() => {});
          await old.close();
        });
      },
      drain: (deadline) => sender.drain(deadline),
    };
  },
});

/** Where requests go, as the arguments say. */
class Backend {
  readonly args: Arguments;
  /** For messages. */
  readonly destination: string;
  readonly skew: ClockSkew;
  readonly #client: OtelHttpClient;
  readonly #urls: Readonly<Record<OtlpKind, string | undefined>>;

  /** Throws for an auth handler that only guards servers. */
  constructor(args: Arguments, version: string) {
    this.args = args;
    this.#client = new OtelHttpClient(args.client, `Invar/${version} (${process.platform}/${process.arch})`);
    this.#urls = {
      traces: signalUrl(args, "traces"),
      metrics: signalUrl(args, "metrics"),
      logs: signalUrl(args, "logs"),
    };
    const { client, traces_endpoint, metrics_endpoint, logs_endpoint } = args;
    this.destination = shownUrl(
      (isUrl(client.endpoint) && client.endpoint) || traces_endpoint || metrics_endpoint || logs_endpoint,
    );
    this.skew = new ClockSkew(this.destination);
  }

  async send(batch: OtlpBatch, clock: Clock, signal: AbortSignal): Promise<PartialSuccess> {
    const began = clock.now();
    const url = this.#urls[batch.kind];
    if (url === undefined) {
      throw new SendError("no_endpoint", `no endpoint for ${batch.kind} is configured`, { retryable: false });
    }
    const json = this.args.encoding === "json";
    let answer: HttpAnswer;
    try {
      answer = await this.#client.post({
        url,
        contentType: json ? JSON_TYPE : PROTOBUF,
        parts: json ? [Buffer.from(requestToJson(batch.kind, batch.parts))] : batch.parts,
        clientMetadata: batch.clientMetadata,
        clientAttributes: batch.clientAttributes,
        signal,
      });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof ProtobufError)
        throw new SendError("invalid_request", error.message, { retryable: false, cause: error });
      const isOurs = error instanceof HttpClientError;
      if (isOurs && error.kind === "authentication") {
        throw new SendError("unauthorized", error.message, { retryable: true, isRefusal: true });
      }
      const why = isOurs ? error.message : errorText(error);
      throw new SendError("no_answer", `request to ${shownUrl(url)} failed: ${why}`, { retryable: true });
    }
    this.skew.observe(answer.headers.get("date"), began, clock.now());
    if (answer.status >= 200 && answer.status <= 299) return accepted(answer);
    throw refused(url, answer, otlpCredentials(this.args.client, url));
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

/** The URL of a signal; undefined when neither it nor the common endpoint is configured. */
function signalUrl(given: Arguments, kind: OtlpKind): string | undefined {
  const own = { traces: given.traces_endpoint, metrics: given.metrics_endpoint, logs: given.logs_endpoint }[kind];
  if (own !== "") return own;
  const { endpoint } = given.client;
  if (endpoint === "" || !isUrl(endpoint)) return undefined;
  return endpoint.endsWith("/") ? `${endpoint}v1/${kind}` : `${endpoint}/v1/${kind}`;
}

/** Reads what the backend says about a request that it took. Answers in other formats say nothing. */
function accepted({ headers, body }: HttpAnswer): PartialSuccess {
  const type = headers.get("content-type")?.split(";", 1)[0];
  try {
    if (type === PROTOBUF) return decodeExportResponse(body);
    if (type === JSON_TYPE) return parseExportResponse(Buffer.from(body).toString());
  } catch (error) {
    // The status says that the data is there; sending it again would double it.
    return { rejected: 0, message: `the answer could not be read: ${errorText(error)}` };
  }
  return { rejected: 0, message: "" };
}

/** 429, 502, 503 and 504 may pass, and Retry-After (seconds or a date) says when; 401 and 403 wait for somebody to act. */
function refused(url: string, { status, headers, body, sent }: HttpAnswer, credentials: ShownCredentials): SendError {
  let detail = "";
  try {
    if (headers.get("content-type") === PROTOBUF) detail = decodeStatus(body).message;
    else detail = Buffer.from(body).toString().trim();
    // Before it is cut, lest a part of a secret remains.
    detail = shownAnswer(detail, sent).slice(0, 300);
  } catch {
    // The body is no status: the code has to do.
  }
  const said = `${shownUrl(url)} answered with HTTP status ${status}${detail === "" ? "" : `: ${detail}`}`;
  if (status === 401 || status === 403) {
    const remedy = credentialsRemedy(detail, credentials);
    return new SendError("unauthorized", `${said} (${remedy})`, { retryable: true, isRefusal: true });
  }
  const retryable = [429, 502, 503, 504].includes(status);
  const hint = remedyOf(status, detail);
  const message = hint === "" ? said : `${said} (${hint})`;
  const after = status === 429 || status === 503 ? headers.get("retry-after") : undefined;
  return new SendError(`http_${status}`, message, {
    retryable,
    retryAfterMs: after === undefined ? undefined : delayMs(after),
  });
}

function remedyOf(status: number, detail: string): string {
  if (status === 404) return "the path is wrong: `endpoint` gets /v1/traces, /v1/metrics or /v1/logs put behind it";
  if (status === 405) return "the server takes no POST here: check the path of the URL";
  if (status === 400 && /HTTPS (server|port)/i.test(detail)) return "the server wants TLS: use https://";
  if (status === 413) return "make requests smaller: set max_size in the `batch` block of sending_queue";
  return status === 415 ? "the server does not take this `encoding`" : "";
}

function delayMs(header: string): number | undefined {
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
