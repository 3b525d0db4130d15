import { STATUS_CODES } from "node:http";
import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { REMOTE_WRITE_2_HEADERS } from "#formats/remote-write/2";
import type { WriteVersion } from "#formats/remote-write/2-parts";
import { REMOTE_WRITE_HEADERS } from "#formats/remote-write/remote-write";
import { parseRetryAfter } from "#kits/backoff";
import type { ClockSkew } from "#kits/clock-skew";
import { type HttpClient, HttpClientError } from "#kits/http/client";
import { credentialsRemedy, type ShownCredentials } from "#kits/refused-credentials";
import { readRejection } from "./rejection.ts";

/** Bytes of an error answer that are read, and how much of it is shown. */
const READ_BYTES = 4096;
const SHOWN_LENGTH = 500;
/** A backend may ask to be left alone, but not for good. */
const LONGEST_RETRY_AFTER_MS = 3_600_000;
/** How many elements the backend wrote, of each kind: what receivers of version 2 must say. */
const WRITTEN = ["samples", "histograms", "exemplars"].map((kind) => `x-prometheus-remote-write-${kind}-written`);

/** What keeps an endpoint from taking anything; also names of rules of the flow status. */
export type Obstacle = "endpoint_down" | "rate_limited" | "unauthorized" | "wrong_url";

/** What became of one request. `written` are the samples and histograms that the backend says it wrote, if it says so. */
export type Outcome =
  | { readonly kind: "sent"; readonly written: number | undefined }
  /** It may pass later. */
  | { readonly kind: "retry"; readonly obstacle: Obstacle; readonly cause: string; readonly retryAfterMs: number }
  /** Nothing will pass until somebody has changed something. `wasSent` if the backend said so. */
  | { readonly kind: "refused"; readonly obstacle: Obstacle; readonly cause: string; readonly wasSent: boolean }
  /** It takes no requests of this version; only for version 2. `isCertain` if it can mean nothing else. */
  | { readonly kind: "unsupported"; readonly cause: string; readonly isCertain: boolean; readonly otherwise: Rejected }
  | Rejected;

/** The backend will never take it as it is. */
export interface Rejected {
  readonly kind: "rejected";
  readonly cause: string;
  /** What drops are counted under. */
  readonly reason: string;
  readonly remedy: string;
  readonly series: Labels | undefined;
  readonly written: number | undefined;
  /**
   * What may be done for the others of the request: `halves` until a part is small enough; `search` for the bad ones, since
   * the backend took none because of some; `records` one by one, since nobody knows; `none`.
   */
  readonly rescue: "halves" | "search" | "records" | "none";
}

export interface WriteRequestOptions {
  readonly url: string;
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly timeoutMs: number;
  readonly retryOn429: boolean;
  readonly credentials: ShownCredentials;
  readonly skew: ClockSkew;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Whether the backend is known to take version 2. */
  readonly knowsVersion2: boolean;
}

export interface WriteRequestBody {
  /** Compressed; several chunks are one body. */
  readonly body: readonly Uint8Array[];
  readonly version: WriteVersion;
  /** Samples and histograms in it. */
  readonly items: number;
}

/** Sends a request. Rejects only when `signal` is aborted. */
export async function sendWriteRequest(
  client: HttpClient,
  { body, version, items }: WriteRequestBody,
  attempt: number,
  options: WriteRequestOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const headers: Record<string, string> = { ...(version === 2 ? REMOTE_WRITE_2_HEADERS : REMOTE_WRITE_HEADERS) };
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
    const answer: Answer = {
      host,
      status: response.status,
      text: response.body.toString("utf8").trim().replace(/\s+/g, " "),
      // Of version 1 nothing can be concluded from these headers.
      written: version === 2 ? writtenOf(response.headers) : undefined,
      retryAfterMs: Math.min(LONGEST_RETRY_AFTER_MS, parseRetryAfter(response.headers.get("retry-after"), now())),
    };
    return version === 2 ? judgeVersion2(answer, items, options) : judge(answer, items, options);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const isOurs = error instanceof HttpClientError;
    const cause = isOurs ? error.message : errorText(error);
    if (isOurs && error.kind === "authentication") {
      return { kind: "refused", obstacle: "unauthorized", cause, wasSent: false };
    }
    if (isOurs && error.kind === "configuration") {
      return { kind: "refused", obstacle: "endpoint_down", cause, wasSent: false };
    }
    return { kind: "retry", obstacle: "endpoint_down", cause, retryAfterMs: 0 };
  }
}

interface Answer {
  readonly host: string;
  readonly status: number;
  readonly text: string;
  /** Samples and histograms; undefined if the backend does not say. */
  readonly written: number | undefined;
  readonly retryAfterMs: number;
}

/** Samples and histograms; one header of the three is enough to believe that the others would be there if not 0. */
function writtenOf(headers: ReadonlyMap<string, string>): number | undefined {
  const counts = WRITTEN.map((name) => headers.get(name));
  if (counts.every((each) => each === undefined)) return undefined;
  const [samples, histograms] = counts.map((each) => (/^\d+$/.test(each ?? "") ? Number(each) : 0));
  return samples! + histograms!;
}

/** What only answers to version 2 can say: that the backend does not take it. */
function judgeVersion2(answer: Answer, items: number, options: WriteRequestOptions): Outcome {
  const { status, written } = answer;
  const outcome = judge(answer, items, options);
  const cause = `${said(answer)} to a request of remote write 2.0`;
  const otherwise = asRejected(answer, outcome);
  if (status === 415) return { kind: "unsupported", cause, isCertain: true, otherwise };
  // Receivers of version 1 that do not look at the content type read nothing from it, and are content. An empty request
  // has nothing that they could count.
  if (outcome.kind === "sent" && written === undefined && items > 0) {
    const silent = `${cause}, without saying what it wrote: it takes 1.0 only`;
    return { kind: "unsupported", cause: silent, isCertain: true, otherwise };
  }
  if (status === 400 && written === undefined && !options.knowsVersion2 && outcome.kind === "rejected") {
    return { kind: "unsupported", cause, isCertain: false, otherwise };
  }
  return outcome;
}

function asRejected(answer: Answer, outcome: Outcome): Rejected {
  if (outcome.kind === "rejected") return outcome;
  const { reason, remedy } = readRejection(415, "");
  return { kind: "rejected", cause: said(answer), reason, remedy, series: undefined, written: 0, rescue: "none" };
}

function said({ host, status, text }: Answer): string {
  const shown = text.slice(0, SHOWN_LENGTH);
  return `${host} answered ${status} ${STATUS_CODES[status] ?? ""}`.trim() + (shown === "" ? "" : `: ${shown}`);
}

function judge(answer: Answer, items: number, { retryOn429, credentials }: WriteRequestOptions): Outcome {
  const { host, status, text, written, retryAfterMs } = answer;
  const cause = said(answer);
  if (status >= 200 && status < 300) {
    if (written === undefined || written >= items) return { kind: "sent", written };
    return {
      kind: "rejected",
      cause: `${host} answered ${status} and wrote ${written} of ${items} samples`,
      reason: "not_written",
      remedy: "the backend's own log may say why; as it calls that a success, they are not sent again",
      series: undefined,
      written,
      rescue: "none",
    };
  }
  if (status >= 500) return { kind: "retry", obstacle: "endpoint_down", cause, retryAfterMs };
  if (status === 429 && retryOn429) {
    const limited = `${cause} (raise the tenant's limits or send less)`;
    return { kind: "retry", obstacle: "rate_limited", cause: limited, retryAfterMs };
  }
  if (status === 401 || status === 403) {
    const refused = `${cause} (${credentialsRemedy(text, credentials)})`;
    return { kind: "refused", obstacle: "unauthorized", cause: refused, wasSent: true };
  }
  if (status === 400 && /HTTPS (server|port)/i.test(text)) {
    const plain = `${cause} (the server wants TLS: use https:// in \`url\`)`;
    return { kind: "refused", obstacle: "wrong_url", cause: plain, wasSent: true };
  }
  const rejection = readRejection(status, text);
  // A backend that counts what it wrote has taken what it can.
  const rescue = written === undefined ? rejection.rescue : "none";
  return { kind: "rejected", cause, ...rejection, written, rescue };
}
