import { formatPrometheusDuration } from "#base/duration";
import { BucketLimitError } from "#formats/exposition/histogram";
import { BodySizeError } from "./body.ts";
import { LabelLimitError } from "./labels.ts";
import { PageTypeError } from "./protocol.ts";
import { SampleLimitError } from "./series.ts";
import type { ScrapeTarget } from "./target.ts";

/** The flow rules that failed scrapes are told by. */
export const SCRAPE_RULES = [
  "scrape_failed",
  "sample_limit",
  "label_limit",
  "body_size_limit",
  "bucket_limit",
  "target_limit",
] as const;
export type ScrapeRule = (typeof SCRAPE_RULES)[number];

/** The target answered, but not with a page. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly status: number;
  constructor(status: number, statusText: string) {
    super(`server returned HTTP status ${status} ${statusText}`.trim());
    this.status = status;
  }
}

/** There was no whole answer. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly isTimeout: boolean;
  constructor(message: string, isTimeout: boolean) {
    super(message); // without its cause, which the message names: one is kept for each target that is down
    this.isTimeout = isTimeout;
  }
}

/** The pool has more targets than `target_limit`. */
export class TargetLimitError extends Error {
  override readonly name = "TargetLimitError";
  constructor(targets: number, limit: number) {
    super(`target_limit exceeded (number of targets: ${targets}, limit: ${limit})`);
  }
}

export function scrapeRule(error: Error): ScrapeRule {
  if (error instanceof SampleLimitError) return "sample_limit";
  if (error instanceof LabelLimitError) return "label_limit";
  if (error instanceof BodySizeError) return "body_size_limit";
  if (error instanceof BucketLimitError) return "bucket_limit";
  return error instanceof TargetLimitError ? "target_limit" : "scrape_failed";
}

/** What failed in Prometheus's words, and what to do in ours. `contentType` is what the target called its page. */
export function explainScrape(error: Error, target: ScrapeTarget, contentType: string | undefined): string {
  const remedy = remedyOf(error, target, contentType);
  return remedy === "" ? error.message : `${error.message}: ${remedy}`;
}

function remedyOf(error: Error, target: ScrapeTarget, contentType: string | undefined): string {
  const path = target.url.pathname;
  if (error instanceof StatusError) return statusRemedy(error.status, target);
  if (error instanceof RequestError) {
    if (!error.isTimeout) return "";
    return `it did not answer within ${formatPrometheusDuration(target.timeoutMs)}; raise scrape_timeout (and scrape_interval with it) or have it expose less`;
  }
  if (error instanceof SampleLimitError) return "raise sample_limit, or have the target expose fewer series";
  if (error instanceof LabelLimitError) return "raise the limit, or mend the labels that the target exposes";
  if (error instanceof BodySizeError) return "raise body_size_limit, or have the target expose less";
  if (error instanceof BucketLimitError) {
    return "raise native_histogram_bucket_limit; buckets of histograms with bounds of their own cannot be merged";
  }
  if (error instanceof TargetLimitError) return "raise target_limit, or keep fewer targets in a discovery.relabel";
  if (contentType?.startsWith("text/html")) {
    return `what is at ${path} is a web page; check the port and metrics_path`;
  }
  if (error instanceof PageTypeError) return "if these are metrics all the same, set scrape_fallback_protocol";
  return `what is at ${path} is no page of metrics, or a damaged one; check metrics_path`;
}

function statusRemedy(status: number, target: ScrapeTarget): string {
  switch (status) {
    case 400:
      return target.url.protocol === "http:" ? 'if the target wants TLS, set scheme = "https"' : "";
    case 401:
    case 403:
      return "it refuses the credentials; check basic_auth, authorization or bearer_token, or an RBAC rule";
    case 404:
      return `it has nothing at ${target.url.pathname}; set metrics_path, or __metrics_path__ of the target`;
    case 405:
      return "it takes no GET requests there; check metrics_path";
    default:
      return status >= 500 ? `the target itself fails; look at ${placeOfCause(target)}` : "";
  }
}

/** An exporter of the agent says in its status what ails it; others in their log. */
function placeOfCause({ url }: ScrapeTarget): string {
  const component = /^\/api\/v0\/component\/(.+)\/metrics$/.exec(url.pathname)?.[1];
  return component === undefined ? "its log" : `the status of ${decodeURIComponent(component)}`;
}
