import { describeDrops, RecentDrops } from "#kits/recent-drops";
import type { LogBatch } from "#pipeline/batch";
import type { Judgement } from "#pipeline/flow";
import type { ProblemKind } from "./answers.ts";
import type { WriteContext } from "./create-endpoint.ts";
import type { Rejected } from "./delivery.ts";
import type { Endpoint, EndpointListener, EndpointProblem } from "./endpoint.ts";
import { StreamChurn } from "./stream-churn.ts";
import { StreamTable } from "./streams.ts";
import { TimestampWatch } from "./timestamp-watch.ts";
import type { DropReason } from "./write-metrics.ts";

/** A limit that was hit is told of for this long: with some luck the next request passes, and the one after does not. */
const LIMIT_SHOWN_MS = 60_000;

/** What the status looks at; a change of the arguments may replace it. */
export interface WriteMode {
  readonly endpoints: readonly Endpoint[];
  readonly diskProblem: Judgement;
}

/** Flow status, drop accounting and self metrics of one loki.write. */
export class WriteStatus implements EndpointListener {
  readonly #ctx: WriteContext;
  readonly #mode: () => WriteMode;
  readonly #rejected = new RecentDrops();
  readonly #lost = new RecentDrops();
  readonly #times: TimestampWatch;
  readonly #churn: StreamChurn;
  #delivered = 0;
  #limited: { readonly since: number; readonly last: number; readonly text: string } | undefined;

  constructor(ctx: WriteContext, mode: () => WriteMode) {
    this.#ctx = ctx;
    this.#mode = mode;
    this.#times = new TimestampWatch(ctx.clock.now());
    this.#churn = new StreamChurn(ctx.metrics, ctx.clock.now());
    // Of what is equally bad the first counts.
    for (const kind of ["unauthorized", "wrong_url", "endpoint_down"] as const) {
      ctx.rule(kind, () => this.#judgeEndpoints(kind));
    }
    ctx.rule("disk", () => mode().diskProblem);
    ctx.rule("rejected", () => this.#judgeRejected());
    ctx.rule("entries_dropped", () => this.#judgeLost());
    ctx.rule("rate_limited", () => this.#judgeLimited());
    ctx.rule("clock_skew", () => this.#judgeClock());
    ctx.rule("timestamps", () => this.#times.judge(ctx.clock.now()));
    ctx.rule("high_cardinality", () => this.#churn.judge(ctx.clock.now()));
  }

  /** A table of streams that shows the new ones. */
  streams(external: ReadonlyMap<string, string>): StreamTable {
    this.#churn.expectAll();
    return new StreamTable(external, (labels, hash) => this.#churn.add(labels, hash));
  }

  /** Looks at a batch that came in. */
  take(batch: LogBatch): void {
    this.#times.take(batch, this.#ctx.clock.now());
  }

  delivered(): void {
    this.#delivered = this.#ctx.clock.now();
    this.#ctx.flow.ok();
  }

  failed({ kind, text }: EndpointProblem): void {
    const { flow, clock } = this.#ctx;
    flow.failed(text);
    if (kind === "rate_limited") {
      const now = clock.now();
      const since = this.#recentLimit(now)?.since ?? now;
      this.#limited = { since, last: now, text };
    }
    flow.judge();
  }

  dropped(reason: DropReason, entries: number, rejected?: Rejected, text = EXPLANATIONS.get(reason) ?? ""): void {
    const { flow, clock, log } = this.#ctx;
    flow.drop("logs", reason, entries);
    const unlogged = (rejected !== undefined ? this.#rejected : this.#lost).add(reason, entries, text, clock.now());
    if (unlogged !== undefined) log.error("entries were dropped", { reason, entries: unlogged, cause: text });
    // What is dropped entry by entry is judged with the data.
    if (rejected === undefined) return;
    if (rejected === "all") flow.failed(text);
    else this.#delivered = clock.now(); // what was taken came through after the drops began
    flow.judge();
  }

  /** Failing when no endpoint takes anything, degraded when some do. */
  #judgeEndpoints(kind: ProblemKind): Judgement {
    const { endpoints } = this.#mode();
    const causes = endpoints.filter(({ problem }) => problem?.kind === kind).map(({ problem }) => problem!.text);
    if (causes.length === 0) return undefined;
    const none = endpoints.every(({ problem }) => problem !== undefined);
    return { state: none ? "failing" : "degraded", cause: [...new Set(causes)].join("; ") };
  }

  #judgeRejected(): Judgement {
    const recent = this.#rejected.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const cause = `Loki rejected ${describeDrops(recent, "entries")}: ${recent[0]!.text}`;
    return { state: this.#delivered < this.#rejected.since ? "failing" : "degraded", cause };
  }

  #judgeLost(): Judgement {
    const recent = this.#lost.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const cause = `dropped ${describeDrops(recent, "entries")}: ${recent[0]!.text}`;
    return { state: this.#mode().endpoints.length === 0 ? "failing" : "degraded", cause };
  }

  #judgeLimited(): Judgement {
    const now = this.#ctx.clock.now();
    const limit = this.#recentLimit(now);
    if (limit === undefined) return undefined;
    const starves = now - Math.max(limit.since, this.#delivered) > LIMIT_SHOWN_MS;
    return { state: starves ? "failing" : "degraded", cause: limit.text };
  }

  #recentLimit(now: number) {
    return this.#limited !== undefined && now - this.#limited.last <= LIMIT_SHOWN_MS ? this.#limited : undefined;
  }

  #judgeClock(): Judgement {
    for (const { delivery } of this.#mode().endpoints) {
      if (delivery.clockProblem !== undefined) return { state: "degraded", cause: delivery.clockProblem };
    }
    return undefined;
  }
}

/** Why entries were dropped without an answer that says so. */
const EXPLANATIONS: ReadonlyMap<DropReason, string> = new Map([
  ["queue_full", "the queue of an endpoint is full and block_on_overflow is off; see why it is not emptied"],
  ["queue_age", "the queue on disk holds nothing for longer than max_segment_age"],
  ["queue_damaged", "the queue on disk was damaged"],
  ["stream_limit", "a request has more streams than max_streams"],
  ["no_endpoint", "there is no `endpoint` block to send to: add one"],
  ["endpoint_removed", "an endpoint was taken out of the configuration before it took what waited for it"],
  ["shutdown", "the agent stopped before the endpoint took them, and no source reads them again"],
]);
