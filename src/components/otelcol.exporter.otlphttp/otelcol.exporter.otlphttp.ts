import { errorText } from "#base/log";
import { decodeStatus } from "#formats/grpc";
import type { OtlpKind } from "#formats/otlp";
import { requestToJson } from "#formats/otlp-json";
import { decodeExportResponse, type PartialSuccess, parseExportResponse } from "#formats/otlp-response";
import { ProtobufError } from "#formats/protobuf";
import { httpClientSchema } from "#kits/otelcol-client-schema";
import { type HttpAnswer, OtelHttpClient, shownUrl } from "#kits/otelcol-http-client";
import { exporterInstruments, exporterMetrics } from "#kits/otelcol-metrics";
import { SendError } from "#kits/otelcol-retry";
import { debugMetricsSchema, inputExports, queueSchema, retrySchema } from "#kits/otelcol-schema";
import { OtlpSender } from "#kits/otelcol-sender";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";

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
    "must be a URL: `https://host:port`",
  )
  .rule("traces_endpoint", (a) => isUrl(a.traces_endpoint), "must be a URL")
  .rule("metrics_endpoint", (a) => isUrl(a.metrics_endpoint), "must be a URL")
  .rule("logs_endpoint", (a) => isUrl(a.logs_endpoint), "must be a URL");
type Arguments = Infer<typeof args>;

function isUrl(text: string): boolean {
  return text === "" || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol));
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
    const client = new OtelHttpClient(
      first.client,
      `Invar/${ctx.services.version} (${process.platform}/${process.arch})`,
    );
    const urls: Readonly<Record<OtlpKind, string | undefined>> = {
      traces: signalUrl(first, "traces"),
      metrics: signalUrl(first, "metrics"),
      logs: signalUrl(first, "logs"),
    };
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `otlp_http/${ctx.id}`), {
      queue: first.sending_queue,
      retry: first.retry_on_failure,
      destination: shownUrl(
        (isUrl(first.client.endpoint) && first.client.endpoint) ||
          first.traces_endpoint ||
          first.metrics_endpoint ||
          first.logs_endpoint,
      ),
      send: (batch, signal) => send(client, urls[batch.kind], first.encoding, batch, signal),
    });
    ctx.stack.defer(async () => {
      sender.close();
      await client.close();
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => sender.consume(batch, signal), { mutates: false }),
    });
    return { drain: (deadline) => sender.drain(deadline) };
  },
});

/** The URL of a signal; undefined when neither it nor the common endpoint is configured. */
function signalUrl(given: Arguments, kind: OtlpKind): string | undefined {
  const own = { traces: given.traces_endpoint, metrics: given.metrics_endpoint, logs: given.logs_endpoint }[kind];
  if (own !== "") return own;
  const { endpoint } = given.client;
  if (endpoint === "" || !isUrl(endpoint)) return undefined;
  return endpoint.endsWith("/") ? `${endpoint}v1/${kind}` : `${endpoint}/v1/${kind}`;
}

async function send(
  client: OtelHttpClient,
  url: string | undefined,
  encoding: "proto" | "json",
  batch: OtlpBatch,
  signal: AbortSignal,
): Promise<PartialSuccess> {
  if (url === undefined) {
    throw new SendError("no_endpoint", `no endpoint for ${batch.kind} is configured`, { retryable: false });
  }
  const json = encoding === "json";
  let answer: HttpAnswer;
  try {
    answer = await client.post({
      url,
      contentType: json ? JSON_TYPE : PROTOBUF,
      parts: json ? [Buffer.from(requestToJson(batch.kind, batch.parts))] : batch.parts,
      clientMetadata: batch.clientMetadata,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof ProtobufError)
      throw new SendError("invalid_request", error.message, { retryable: false, cause: error });
    throw new SendError("no_answer", `request to ${shownUrl(url)} failed: ${errorText(error)}`, { retryable: true });
  }
  if (answer.status >= 200 && answer.status <= 299) return accepted(answer);
  throw refused(url, answer);
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

/** 429, 502, 503 and 504 may pass; Retry-After (seconds or a date) says when. */
function refused(url: string, { status, headers, body }: HttpAnswer): SendError {
  let detail = "";
  try {
    if (headers.get("content-type") === PROTOBUF) detail = decodeStatus(body).message;
    else detail = Buffer.from(body.subarray(0, 300)).toString().trim();
  } catch {
    // The body is no status: the code has to do.
  }
  const retryable = [429, 502, 503, 504].includes(status);
  const message = `${shownUrl(url)} answered with HTTP status ${status}${detail === "" ? "" : `: ${detail}`}`;
  const after = status === 429 || status === 503 ? headers.get("retry-after") : undefined;
  return new SendError(`http_${status}`, message, {
    retryable,
    retryAfterMs: after === undefined ? undefined : delayMs(after),
  });
}

function delayMs(header: string): number | undefined {
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
