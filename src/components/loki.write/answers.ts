import { errorText } from "#base/log";
import { HttpClientError } from "#kits/http-client";
import type { DropReason } from "./write-metrics.ts";

/** What to make of an endpoint's answers, and how to say it. Loki's texts are those of its pkg/validation/validate.go. */

/** What stands between the entries and their endpoint; also names of rules of the flow status. */
export type ProblemKind = "unauthorized" | "wrong_url" | "endpoint_down" | "rate_limited";

export interface Verdict {
  /**
   * `retry`: it may pass soon. `refused`: it will pass when somebody has mended something. `split`: the request is too
   * large. `drop`: sending it again cannot help.
   */
  readonly kind: "delivered" | "retry" | "refused" | "drop" | "split";
  readonly reason: DropReason;
  /** What keeps the endpoint from taking anything; undefined where it is the entries that it does not take. */
  readonly problem: ProblemKind | undefined;
  /** What happened and what to do; empty for what is delivered. */
  readonly text: string;
  /** HTTP status, -1 for none. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** How many entries of the request were refused, where the answer says so. */
  readonly refused?: number | undefined;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | undefined;
}

/** A server may ask for a longer pause than `max_backoff_period`, up to this. */
const LONGEST_RETRY_AFTER_MS = 5 * 60_000;
const SHOWN_TEXT = 300;
const SHOWN_STREAM = 200;
/** With this status Loki says that it took the entries, and drops them: a tenant's ingestion is blocked. */
const BLOCKED_STATUS = 260;

/** Judges a failure to get an answer at all. `host` is the endpoint's `host:port`. */
export function judgeFailure(host: string, error: unknown): Verdict {
  const kind = error instanceof HttpClientError ? error.kind : "connection";
  const failure = `cannot send to ${host}: ${errorText(error)}`;
  switch (kind) {
    case "timeout":
      return retry("timeout", `${failure}; check that it is up, or raise remote_timeout`, -1);
    case "authentication":
      return refused("unauthorized", "unauthorized", `${failure}; check the endpoint's credentials`, -1);
    case "configuration":
    case "redirect":
      return refused("not_found", "wrong_url", `${failure}; check the url`, -1);
    default:
      return retry("unreachable", `${failure}; check the url, the network and the TLS settings`, -1);
  }
}

/** Judges an answer. `now` is in epoch milliseconds; `retryRateLimited` is the argument `retry_on_http_429`. */
export function judgeAnswer(host: string, answer: Answer, now: number, retryRateLimited: boolean): Verdict {
  const { status, text } = answer;
  if (status >= 200 && status < 300 && status !== BLOCKED_STATUS) {
    return { kind: "delivered", reason: "bad_request", problem: undefined, text: "", status, retryAfterMs: undefined };
  }
  const said = text.trim().split("\n", 1)[0]!.slice(0, SHOWN_TEXT);
  const what = `${host} answered ${status}${said === "" ? "" : `: ${said}`}`;
  const pause = retryAfterMs(answer.retryAfter, now);
  switch (status) {
    case BLOCKED_STATUS:
      return rejected("blocked", `${what}; the server's owner has blocked what this tenant sends`, status);
    case 401:
    case 403:
    case 407:
      return refused("unauthorized", "unauthorized", `${what}; ${authorizationRemedy(text)}`, status, pause);
    case 404:
    case 405:
      return refused(
        "not_found",
        "wrong_url",
        `${what}; check the url, it usually ends in /loki/api/v1/push`,
        status,
        pause,
      );
    case 413: {
      const remedy = "lower batch_size or raise the server's limit";
      return { ...rejected("payload_too_large", `${what}; ${remedy}`, status), kind: "split" };
    }
    case 429: {
      const reason = /active stream limit/i.test(text) ? "stream_limit" : "rate_limited";
      const words = `${what}${streamNamed(text, said)}; raise the tenant's limits or send less`;
      if (!retryRateLimited) return rejected(reason, words, status);
      return { ...retry(reason, words, status, pause), problem: "rate_limited" };
    }
  }
  if (status >= 500 || status === 408) {
    const reason = status === 408 || status === 504 ? "timeout" : "server_error";
    return retry(reason, `${what}; see the server's own log`, status, pause);
  }
  if (status < 400) {
    return refused("not_found", "wrong_url", `${what}; check the url and follow_redirects`, status, pause);
  }
  const { reason, remedy } = rejectionOf(text);
  const count = /total ignored: (\d+) out of \d+/.exec(text)?.[1];
  return {
    ...rejected(reason, `${what}${streamNamed(text, said)}; ${remedy}`, status),
    refused: count === undefined ? undefined : Number(count),
  };
}

function authorizationRemedy(text: string): string {
  if (/no org id/i.test(text)) return "this Loki has several tenants: set tenant_id of the endpoint";
  return "check the endpoint's credentials (basic_auth, authorization, oauth2, bearer_token) and tenant_id";
}

/** The Retry-After header, seconds or a date, in milliseconds from now. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, LONGEST_RETRY_AFTER_MS) : undefined;
}

const REJECTIONS: readonly (readonly [texts: RegExp, reason: DropReason, remedy: string])[] = [
  [
    /timestamp too old|reject_old_samples/i,
    "too_old",
    "Loki takes nothing older than its limit (reject_old_samples_max_age, a week unless set): check how the time is parsed, or drop old lines with stage.drop and older_than",
  ],
  [
    /timestamp too new/i,
    "too_new",
    "the time lies in the future for Loki: check how it is parsed (location of stage.timestamp) and the clocks",
  ],
  [
    /too far behind|out of order/i,
    "out_of_order",
    "Loki has much newer entries of the stream: give sources that write at different times a label that tells them apart",
  ],
  [
    /max entry size|line too long|line_too_long/i,
    "line_too_long",
    "cut lines with stage.truncate, or raise max_line_size of Loki",
  ],
  [/active stream limit/i, "stream_limit", "take labels with many values out of the streams"],
  [
    /structured metadata/i,
    "invalid_metadata",
    "see stage.structured_metadata and Loki's limits_config for structured metadata",
  ],
  [
    /at least one label pair/i,
    "invalid_labels",
    "entries came without labels: give their sources some, or all of them with external_labels",
  ],
  [/parsing labels|label name|label value|required labels/i, "invalid_labels", "mend the labels, or drop that one"],
  [/ingestion blocked/i, "blocked", "the server's owner has blocked what this tenant sends"],
];

function rejectionOf(text: string): { readonly reason: DropReason; readonly remedy: string } {
  const found = REJECTIONS.find(([texts]) => texts.test(text));
  if (found !== undefined) return { reason: found[1], remedy: found[2] };
  return { reason: "bad_request", remedy: "the entries were dropped, since sending them again cannot help" };
}

const LABEL_SET = /\{(?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:, ?)?)+\}/;

/** The stream that an answer names, unless the part of it that is shown does so. */
function streamNamed(text: string, shown: string): string {
  const stream = LABEL_SET.exec(text)?.[0];
  if (stream === undefined || shown.includes(stream)) return "";
  return ` (stream ${stream.length > SHOWN_STREAM ? `${stream.slice(0, SHOWN_STREAM)}…` : stream})`;
}

function retry(reason: DropReason, text: string, status: number, pauseMs?: number): Verdict {
  return { kind: "retry", reason, problem: "endpoint_down", text, status, retryAfterMs: pauseMs };
}

function refused(reason: DropReason, problem: ProblemKind, text: string, status: number, pauseMs?: number): Verdict {
  return { kind: "refused", reason, problem, text, status, retryAfterMs: pauseMs };
}

function rejected(reason: DropReason, text: string, status: number): Verdict {
  return { kind: "drop", reason, problem: undefined, text, status, retryAfterMs: undefined };
}
