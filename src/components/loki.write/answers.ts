import { errorText } from "#base/log";
import { parseRetryAfter } from "#kits/backoff";
import { HttpClientError } from "#kits/http/client";
import { type Rejection, readRefusal, readRejections, streamIn } from "./rejections.ts";
import type { DropReason } from "./write-metrics.ts";

/** What to make of an endpoint's answers, and how to say it. */

/** What stands between the entries and their endpoint; also names of rules of the flow status. */
export type ProblemKind = "unauthorized" | "wrong_url" | "endpoint_down" | "rate_limited";

export interface Verdict {
  /**
   * `retry`: it may pass soon. `refused`: it will pass when somebody has mended something. `halve`: the request is too
   * large. `part`: one of its streams spoils the others. `drop`: sending it again cannot help. What can be neither halved
   * nor parted is dropped, or tried again if there is a `problem`.
   */
  readonly kind: "delivered" | "retry" | "refused" | "drop" | "halve" | "part";
  readonly reason: DropReason;
  /** What keeps the endpoint from taking anything; undefined where it is the entries that it does not take. */
  readonly problem: ProblemKind | undefined;
  /** What happened and what to do; empty for what is delivered. */
  readonly text: string;
  /** HTTP status, -1 for none. */
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** What of the request was not taken, each with a text as above, where the answer says so; the rest was taken. */
  readonly rejections?: readonly Rejection[];
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** Headers. */
  readonly type: string | undefined;
  readonly date: string | undefined;
  readonly retryAfter: string | undefined;
}

export interface JudgeOptions {
  /** Epoch milliseconds. */
  readonly now: number;
  /** The argument `retry_on_http_429`. */
  readonly retryRateLimited: boolean;
  /** The tenant is that of the arguments, not of the entries. */
  readonly isOwnTenant: boolean;
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

/** Judges an answer. */
export function judgeAnswer(host: string, answer: Answer, options: JudgeOptions): Verdict {
  const { status, text } = answer;
  const said = shown(text);
  const what = `${host} answered ${status}${said === "" ? "" : `: ${said}`}`;
  const pause = retryAfterMs(answer, options.now);
  if (status >= 200 && status < 300 && status !== BLOCKED_STATUS) {
    if (/^text\/html/i.test(answer.type ?? "")) {
      const remedy = "Loki never does: check the url, since a proxy or a login page answers in its place";
      return refused("not_found", "wrong_url", `${host} answered ${status} with a web page, ${remedy}`, status);
    }
    return { kind: "delivered", reason: "bad_request", problem: undefined, text: "", status, retryAfterMs: undefined };
  }
  if (status === BLOCKED_STATUS || (status < 500 && status !== 429 && /ingestion blocked/i.test(text))) {
    return rejected("blocked", `${what}; the server's owner has blocked what this tenant sends`, status);
  }
  switch (status) {
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
    case 413:
      if (/stream labels size/i.test(text)) return { ...rejectedRequest(what, text, status), kind: "part" };
      return tooLarge(what, status, "the server's limit");
    case 429:
      return judgeLimit(what, answer, pause, options);
  }
  if (status >= 500 || status === 408) {
    if (/message larger than max/i.test(text)) return tooLarge(what, status, "grpc_server_max_recv_msg_size of Loki");
    const reason = status === 408 || status === 504 ? "timeout" : "server_error";
    return retry(reason, `${what}; see the server's own log`, status, pause);
  }
  if (status < 400) {
    return refused("not_found", "wrong_url", `${what}; check the url and follow_redirects`, status, pause);
  }
  if (/message size too large/i.test(text))
    return tooLarge(what, status, "max_decompressed_size of Loki's distributor");
  const rejections = readRejections(text).map((each) => {
    const words = shown(each.text);
    return { ...each, text: `${host} answered ${status}: ${words}${streamNamed(each.text, words)}; ${each.remedy}` };
  });
  const [first] = rejections;
  if (first !== undefined) return { ...rejected(first.reason, first.text, status), rejections };
  const whole = rejectedRequest(what, text, status);
  if (whole.reason === "invalid_labels") return { ...whole, kind: "part" };
  // A tenant of the arguments is mended there; one that entries name would hold up the others.
  if (whole.reason === "invalid_tenant" && options.isOwnTenant) {
    return refused("invalid_tenant", "unauthorized", whole.text, status, pause);
  }
  return whole;
}

/** Of several limits of Loki's: that of the tenant's bytes a second refuses a request as a whole. */
function judgeLimit(what: string, answer: Answer, pauseMs: number | undefined, options: JudgeOptions): Verdict {
  const { status, text } = answer;
  const isOfStreams = /active stream limit/i.test(text);
  const isOfStream = /per stream rate limit/i.test(text);
  const remedy = isOfStreams
    ? "take labels with many values out of the streams, or raise max_global_streams_per_user of Loki"
    : isOfStream
      ? "give the stream's sources labels that tell them apart, or raise per_stream_rate_limit of Loki"
      : "raise the tenant's limits or send less";
  const words = `${what}${streamNamed(text, shown(text))}; ${remedy}`;
  const reason = isOfStreams ? "stream_limit" : "rate_limited";
  if (!options.retryRateLimited) return rejected(reason, words, status);
  const verdict: Verdict = { ...retry(reason, words, status, pauseMs), problem: "rate_limited" };
  // More at once than passes in a second may never pass.
  const limit = /limit: (\d+) bytes\/sec\).* totaling '(\d+)' bytes/.exec(text);
  return limit !== null && Number(limit[2]) > Number(limit[1]) ? { ...verdict, kind: "halve" } : verdict;
}

function authorizationRemedy(text: string): string {
  if (/no org id/i.test(text)) return "this Loki has several tenants: set tenant_id of the endpoint";
  return "check the endpoint's credentials (basic_auth, authorization, oauth2, bearer_token) and tenant_id";
}

/** What the Retry-After header asks for in milliseconds; a date counts by the server's own clock, if it shows that. */
function retryAfterMs({ retryAfter, date }: Answer, now: number): number | undefined {
  const serverNow = Date.parse(date ?? "");
  const ms = parseRetryAfter(retryAfter, Number.isNaN(serverNow) ? now : serverNow);
  return ms > 0 ? Math.min(ms, LONGEST_RETRY_AFTER_MS) : undefined;
}

/** What is shown of a text. */
function shown(text: string): string {
  return text.trim().split("\n", 1)[0]!.slice(0, SHOWN_TEXT);
}

/** The stream that an answer names, unless the part of it that is shown does so. */
function streamNamed(text: string, said: string): string {
  const stream = streamIn(text);
  if (stream === undefined || said.includes(stream)) return "";
  return ` (stream ${shownStream(stream)})`;
}

/** What is shown of a stream's labels. */
export function shownStream(labels: string): string {
  return labels.length > SHOWN_STREAM ? `${labels.slice(0, SHOWN_STREAM)}…` : labels;
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

function tooLarge(what: string, status: number, limit: string): Verdict {
  const remedy = `lower batch_size, cut lines with stage.truncate, or raise ${limit}`;
  return { ...rejected("payload_too_large", `${what}; ${remedy}`, status), kind: "halve" };
}

function rejectedRequest(what: string, text: string, status: number): Verdict {
  const { reason, remedy } = readRefusal(text);
  return rejected(reason, `${what}${streamNamed(text, shown(text))}; ${remedy}`, status);
}
