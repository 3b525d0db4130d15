import { STATUS_CODES } from "node:http";
import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { REMOTE_WRITE_HEADERS } from "#formats/remote-write";
import { parseRetryAfter } from "#kits/backoff";
import type { ClockSkew } from "#kits/clock-skew";
import { type HttpClient, HttpClientError } from "#kits/http-client";
import { credentialsRemedy, type ShownCredentials } from "#kits/refused-credentials";
import { readRejection } from "./rejection.ts";

/** Bytes of an error answer that are read, and how much of it is shown. */
const READ_BYTES = 4096;
const SHOWN_LENGTH = 500;

/** What keeps an endpoint from taking anything; also names of rules of the flow status. */
export type Obstacle = "endpoint_down" | "rate_limited" | "unauthorized" | "wrong_url";

/** What became of one request. */
export type Outcome =
  | { readonly kind: "sent" }
  /** It may pass later. */
  | { readonly kind: "retry"; readonly obstacle: Obstacle; readonly cause: string; readonly retryAfterMs: number }
  /** It may pass once somebody has changed something. */
  | { readonly kind: "refused"; readonly obstacle: Obstacle; readonly cause: string }
  /** It never will. `reason` is what drops are counted under. */
  | {
      readonly kind: "rejected";
      readonly cause: string;
      readonly reason: string;
      readonly remedy: string;
      readonly series: Labels | undefined;
      /** Some samples were bad, and the backend took none of the others either. */
      readonly spoilsOthers: boolean;
    };

export interface WriteRequestOptions {
  readonly url: string;
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly timeoutMs: number;
  readonly retryOn429: boolean;
  readonly credentials: ShownCredentials;
  readonly skew: ClockSkew;
  /** Epoch milliseconds. */
  readonly now: () => number;
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
  const { url, timeoutMs, now } = options;
  const { host } = new URL(url);
  try {
    const began = now();
    const response = await client.request(
      { method: "POST", url, headers, body, timeoutMs, maxBytes: READ_BYTES, truncate: true },
      signal,
    );
    options.skew.observe(response.headers.get("date"), began, now());
    const { status } = response;
    if (status >= 200 && status < 300) return { kind: "sent" };
    const text = response.body.toString("utf8").trim().replace(/\s+/g, " ");
    const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), now());
    return judge(host, status, text, retryAfterMs, options);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const isOurs = error instanceof HttpClientError;
    const cause = isOurs ? error.message : errorText(error);
    if (isOurs && error.kind === "authentication") return { kind: "refused", obstacle: "unauthorized", cause };
    if (isOurs && error.kind === "configuration") return { kind: "refused", obstacle: "endpoint_down", cause };
    return { kind: "retry", obstacle: "endpoint_down", cause, retryAfterMs: 0 };
  }
}

function judge(
  host: string,
  status: number,
  text: string,
  retryAfterMs: number,
  { retryOn429, credentials }: WriteRequestOptions,
): Outcome {
  const shown = text.slice(0, SHOWN_LENGTH);
  const said = `${host} answered ${status} ${STATUS_CODES[status] ?? ""}`.trim() + (shown === "" ? "" : `: ${shown}`);
  if (status >= 500) return { kind: "retry", obstacle: "endpoint_down", cause: said, retryAfterMs };
  if (status === 429 && retryOn429) {
    const cause = `${said} (raise the tenant's limits or send less)`;
    return { kind: "retry", obstacle: "rate_limited", cause, retryAfterMs };
  }
  if (status === 401 || status === 403) {
    return { kind: "refused", obstacle: "unauthorized", cause: `${said} (${credentialsRemedy(text, credentials)})` };
  }
  if (status === 400 && /HTTPS (server|port)/i.test(text)) {
    return { kind: "refused", obstacle: "wrong_url", cause: `${said} (the server wants TLS: use https:// in \`url\`)` };
  }
  return { kind: "rejected", cause: said, ...readRejection(status, text) };
}
