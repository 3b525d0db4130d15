/** OTLP over HTTP, as the receiver of the OpenTelemetry Collector speaks it (receiver/otlpreceiver/otlphttp.go). */
import type { IncomingHttpHeaders } from "node:http";
import { codeOfHttpStatus, encodeStatus, GRPC, GrpcError, httpStatusOfCode } from "#formats/grpc";
import { OtlpJsonError, requestFromJson } from "#formats/otlp/json";
import type { OtlpKind } from "#formats/otlp/otlp";
import { encodeExportResponse, exportResponseToJson } from "#formats/otlp/response";
import type { OtelHttpRequest, OtelHttpResponse } from "#kits/otelcol/http-server";
import type { Refusals } from "#pipeline/batch";

const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";
const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder();

/** The media type without parameters, in lower case. */
function mediaType(headers: IncomingHttpHeaders): string {
  return (headers["content-type"] ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

/** The answer to a request that no body can mend: wrong path, method or content type. */
export function checkRequest(
  known: boolean,
  method: string,
  headers: IncomingHttpHeaders,
): OtelHttpResponse | undefined {
  if (!known) return plain(404, "404 page not found\n");
  if (method !== "POST") return plain(405, "405 method not allowed, supported: [POST]");
  const type = mediaType(headers);
  if (type === PROTOBUF || type === JSON_TYPE) return undefined;
  return plain(415, `415 unsupported media type, supported: [${JSON_TYPE}, ${PROTOBUF}]`);
}

function plain(status: number, body: string): OtelHttpResponse {
  return { status, headers: { "content-type": "text/plain" }, body };
}

/** The body as a protobuf request. Throws a GrpcError for JSON that is none. */
export function requestBytes(kind: OtlpKind, request: OtelHttpRequest): Uint8Array {
  if (mediaType(request.headers) === PROTOBUF) return request.body;
  try {
    return requestFromJson(kind, decoder.decode(request.body));
  } catch (error) {
    if (!(error instanceof OtlpJsonError)) throw error;
    throw new GrpcError(GRPC.INVALID_ARGUMENT, `the request is no valid OTLP: ${error.message}`, { cause: error });
  }
}

/** The answer to a request that was accepted: an Export…ServiceResponse, empty unless some of it was refused for good. */
export function acceptedResponse(kind: OtlpKind, headers: IncomingHttpHeaders, refusals: Refusals): OtelHttpResponse {
  const { items: rejected, message } = refusals;
  const isPartial = message !== "";
  if (mediaType(headers) === PROTOBUF) {
    const body = isPartial ? encodeExportResponse({ rejected, message }) : NOTHING;
    return { status: 200, headers: { "content-type": PROTOBUF }, body };
  }
  const body = isPartial ? exportResponseToJson(kind, { rejected, message }) : '{"partialSuccess":{}}';
  return { status: 200, headers: { "content-type": JSON_TYPE }, body };
}

/** The answer to a request that failed with a gRPC status. */
export function failedResponse(error: unknown, headers: IncomingHttpHeaders): OtelHttpResponse {
  if (error instanceof GrpcError) return statusResponse(httpStatusOfCode(error.code), error, headers);
  const message = error instanceof Error ? error.message : String(error);
  return statusResponse(500, { code: GRPC.UNKNOWN, message, retryDelayMs: undefined }, headers);
}

/** The answer to a request that HTTP alone refuses. */
export function refusedResponse(status: number, message: string, headers: IncomingHttpHeaders): OtelHttpResponse {
  return statusResponse(status, { code: codeOfHttpStatus(status), message, retryDelayMs: undefined }, headers);
}

type Status = Parameters<typeof encodeStatus>[0];

/** A google.rpc.Status in the encoding of the request. */
function statusResponse(status: number, content: Status, headers: IncomingHttpHeaders): OtelHttpResponse {
  const { code, message, retryDelayMs } = content;
  const more: Record<string, string> = {};
  if (retryDelayMs !== undefined && (status === 429 || status === 503)) {
    more["retry-after"] = String(Math.max(1, Math.ceil(retryDelayMs / 1000)));
  }
  if (mediaType(headers) === PROTOBUF) {
    return {
      status,
      headers: { ...more, "content-type": PROTOBUF },
      body: encodeStatus({ code, message, retryDelayMs }),
    };
  }
  const details = [
    { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: `${(retryDelayMs ?? 0) / 1000}s` },
  ];
  const json = retryDelayMs === undefined ? { code, message } : { code, message, details };
  return { status, headers: { ...more, "content-type": JSON_TYPE }, body: JSON.stringify(json) };
}
