import { STATUS_CODES } from "node:http";
import { errorText } from "#base/log";
import { REMOTE_WRITE_HEADERS } from "#formats/remote-write";
import { parseRetryAfter } from "#kits/backoff";
import { type HttpClient, HttpClientError } from "#kits/http-client";

/** Bytes of an error answer that are read and shown. */
const SHOWN_BYTES = 1024;

/** What became of one request. */
export type Outcome =
  | { readonly kind: "sent" }
  /** It may pass later. */
  | { readonly kind: "retry"; readonly cause: string; readonly retryAfterMs: number }
  /** The credentials are refused: it may pass once somebody has changed something. */
  | { readonly kind: "refused"; readonly cause: string }
  /** It never will. `reason` is what drops are counted under. */
  | { readonly kind: "rejected"; readonly cause: string; readonly reason: string; readonly status: number };

export interface WriteRequestOptions {
  readonly url: string;
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly timeoutMs: number;
  readonly retryOn429: boolean;
}

/** Sends a compressed WriteRequest. Rejects only when `signal` is aborted. */
export async function sendWriteRequest(
  client: HttpClient,
  body: readonly Uint8Array[],
  attempt: number,
  options: WriteRequestOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const headers: Record<string, string> = { ...REMOTE_WRITE_HEADERS };
  for (const [name, value] of options.headers ?? []) headers[name.toLowerCase()] = value;
  if (attempt > 0) headers["retry-attempt"] = String(attempt);
  const { host } = new URL(options.url);
  try {
    const { url, timeoutMs } = options;
    const response = await client.request(
      { method: "POST", url, headers, body, timeoutMs, maxBytes: SHOWN_BYTES, truncate: true },
      signal,
    );
    const { status } = response;
    if (status >= 200 && status < 300) return { kind: "sent" };
    const text = response.body.toString("utf8").trim().replace(/\s+/g, " ");
    const said = `${host} answered ${status} ${STATUS_CODES[status] ?? ""}`.trim() + (text === "" ? "" : `: ${text}`);
    if (status >= 500 || (status === 429 && options.retryOn429)) {
      return {
        kind: "retry",
        cause: said,
        retryAfterMs: parseRetryAfter(response.headers.get("retry-after"), Date.now()),
      };
    }
    if (status === 401 || status === 403) {
      return { kind: "refused", cause: `${said} (check the credentials and the tenant of the endpoint)` };
    }
    return { kind: "rejected", cause: `${said}${hint(status)}`, reason: `http_${status}`, status };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof HttpClientError && (error.kind === "authentication" || error.kind === "configuration")) {
      return { kind: "refused", cause: error.message };
    }
    return { kind: "retry", cause: errorText(error), retryAfterMs: 0 };
  }
}

function hint(status: number): string {
  if (status === 404) return " (check the path of `url`; Prometheus also needs --web.enable-remote-write-receiver)";
  if (status === 405) return " (the server takes no POST here: check the path of `url`)";
  if (status === 413) return " (lower `max_samples_per_send`)";
  if (status === 415) return " (the server does not take remote write 1.0)";
  return "";
}
