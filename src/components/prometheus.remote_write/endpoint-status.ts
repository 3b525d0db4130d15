import type { Labels } from "#base/labels";
import { ClockSkew } from "#kits/clock-skew";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { ScrapeDirectory } from "#kits/scrape/directory";
import type { Judgement } from "#pipeline/flow";
import type { RemoteWriteContext } from "./endpoint.ts";
import type { EndpointMetrics } from "./metrics.ts";
import type { Obstacle, Rejected } from "./request.ts";

/** The rules of the flow status, of which of what is equally bad the first counts. */
export const ENDPOINT_RULES = [
  "unauthorized",
  "wrong_url",
  "endpoint_down",
  "disk",
  "rejected",
  "rate_limited",
  "clock_skew",
] as const;
type EndpointRule = (typeof ENDPOINT_RULES)[number];

/** Requests that are too large are told of no more often than this. */
const TOO_LARGE_LOG_MS = 3_600_000;
/** A request may be rejected for some of its samples; after so many in a row nothing seems to pass at all. */
const MANY_REJECTIONS = 10;

function isOfSamples(reason: string): boolean {
  return !reason.startsWith("http_") && reason !== "not_written";
}

/** What goes wrong with one endpoint, for the flow status and the log. */
export class EndpointStatus {
  readonly clockSkew: ClockSkew;
  /** Why the queue takes nothing. */
  diskProblem: string | undefined;
  readonly #ctx: RemoteWriteContext;
  readonly #title: string;
  readonly #metrics: EndpointMetrics;
  readonly #drops = new RecentDrops();
  #obstacle: { readonly kind: Obstacle; readonly cause: string } | undefined;
  #failures = 0;
  #tooLargeLoggedAt = -Infinity;
  /** Requests that were rejected since one was taken. */
  #rejectedInRow = 0;
  /** The series that was rejected last, and who scrapes its target here. */
  #series: { readonly labels: Labels; readonly owners: string } | undefined;

  /** `title` is what messages call the endpoint. */
  constructor(ctx: RemoteWriteContext, title: string, metrics: EndpointMetrics) {
    this.#ctx = ctx;
    this.#title = title;
    this.#metrics = metrics;
    this.clockSkew = new ClockSkew(title);
  }

  get failing(): boolean {
    return this.#failures > 0;
  }

  judge(rule: EndpointRule): Judgement {
    switch (rule) {
      case "disk":
        return this.diskProblem === undefined ? undefined : { state: "failing", cause: this.diskProblem };
      case "rejected":
        return this.#judgeRejected();
      case "clock_skew": {
        const cause = this.clockSkew.problem;
        return cause === undefined ? undefined : { state: "degraded", cause };
      }
      default: {
        if (this.#obstacle?.kind !== rule) return undefined;
        const full = this.diskProblem === undefined ? "" : `; ${this.diskProblem}`;
        return { state: "failing", cause: this.#obstacle.cause + full };
      }
    }
  }

  /** A request failed and will be sent again. */
  failed(obstacle: Obstacle, cause: string): void {
    const { flow, log } = this.#ctx;
    if (this.#failures === 0) log.warn("failed to send samples, retrying", { endpoint: this.#title, error: cause });
    this.#failures += 1;
    this.#obstacle = { kind: obstacle, cause };
    flow.failed(cause);
    flow.judge();
  }

  delivered(): void {
    const { flow, log } = this.#ctx;
    const failed = this.#failures;
    if (failed > 0) log.info("samples are delivered again", { endpoint: this.#title, failed_requests: failed });
    this.#rejectedInRow = 0;
    this.#answered();
    flow.ok();
    if (failed > 0) flow.judge();
  }

  /** The backend answered and will not take these samples. `culprit` is the series at fault, if it was found. */
  rejected(outcome: Rejected, samples: number, culprit: Labels | undefined): void {
    const { flow, log } = this.#ctx;
    this.#answered();
    this.#rejectedInRow += 1;
    this.#name(outcome.series ?? culprit);
    const { reason, cause } = outcome;
    this.#metrics.samplesFailed.inc(samples);
    flow.drop("metrics", reason, samples);
    flow.failed(cause);
    const shown = this.#drops.add(reason, samples, this.#explain(outcome), this.#ctx.clock.now());
    flow.judge();
    if (shown === undefined) return;
    const series = this.#series === undefined ? {} : { series: this.#series.labels.toString() };
    const fields = { endpoint: this.#title, reason, dropped: shown, error: cause, ...series };
    log.error("non-recoverable error while sending samples", fields);
  }

  /** The backend takes no requests of this size: they are sent in halves. */
  tooLarge(cause: string, samples: number): void {
    const { clock, log } = this.#ctx;
    this.#answered();
    if (clock.monotonic() - this.#tooLargeLoggedAt < TOO_LARGE_LOG_MS) return;
    this.#tooLargeLoggedAt = clock.monotonic();
    const fields = { endpoint: this.#title, samples, error: cause, hint: "lower max_samples_per_send of queue_config" };
    log.warn("requests are too large for the endpoint and are sent in halves", fields);
  }

  #answered(): void {
    this.#failures = 0;
    this.#obstacle = undefined;
  }

  #judgeRejected(): Judgement {
    const recent = this.#drops.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const cause = `dropped ${describeDrops(recent, "samples")}: ${recent[0]!.text}`;
    const mostly = recent[0]!.reason;
    const nothingPasses = this.#rejectedInRow >= (isOfSamples(mostly) ? MANY_REJECTIONS : 1);
    return { state: nothingPasses ? "failing" : "degraded", cause };
  }

  #explain({ cause, remedy, reason }: Rejected): string {
    const series = this.#series;
    if (series === undefined || !isOfSamples(reason)) return `${cause}; ${remedy}`;
    const name = series.labels.toString();
    const about = [cause.includes(name) ? "" : `such as ${name}`, series.owners].filter((part) => part !== "");
    return `${cause}${about.length === 0 ? "" : ` (${about.join(", ")})`}; ${remedy}`;
  }

  #name(labels: Labels | undefined): void {
    if (labels === undefined || (this.#series !== undefined && labels.equals(this.#series.labels))) return;
    const job = labels.get("job") ?? "";
    const instance = labels.get("instance") ?? "";
    const targets = ScrapeDirectory.of(this.#ctx.services.series).find(job, instance);
    const owners = [...new Set(targets.map((each) => `${each.componentId} from ${each.shownUrl}`))];
    this.#series = { labels, owners: owners.length === 0 ? "" : `scraped here by ${owners.join(" and ")}` };
  }
}

/** What a rule finds for all endpoints together: failing when none takes anything. */
export function judgeEndpoints(endpoints: readonly EndpointStatus[], rule: EndpointRule): Judgement {
  const found = endpoints.flatMap((each) => each.judge(rule) ?? []);
  if (found.length === 0) return undefined;
  const none = endpoints.every((each) => ENDPOINT_RULES.some((any) => each.judge(any)?.state === "failing"));
  const failing = none && found.some(({ state }) => state === "failing");
  return { state: failing ? "failing" : "degraded", cause: [...new Set(found.map(({ cause }) => cause))].join("; ") };
}
