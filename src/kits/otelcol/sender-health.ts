import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { describeDrops, RecentDrops } from "../recent-drops.ts";
import type { SendError } from "./retry.ts";

/** Between two messages about the same trouble. */
const LOG_INTERVAL_MS = 30_000;
/** With so many rejections in a row nothing seems to pass at all. */
const MANY_REJECTIONS = 10;

type Context = Pick<ComponentContext, "clock" | "log" | "flow" | "rule">;

/** What the attempts say about the backend, for the flow status, and the log's share of it. */
export class SenderHealth {
  readonly #ctx: Context;
  /** What messages call the backend. */
  destination: string;
  failing = false;
  #failures = 0;
  #lastLog = -Infinity;
  #obstacle: { readonly rule: "unauthorized" | "endpoint_down"; readonly cause: string } | undefined;
  /** What the backend refused for good, and what was lost without its doing. */
  readonly #rejected = new RecentDrops();
  readonly #lost = new RecentDrops();
  #rejectedInRow = 0;
  readonly #waiting = new Set<() => void>();

  constructor(ctx: Context, destination: string) {
    this.#ctx = ctx;
    this.destination = destination;
    for (const rule of ["unauthorized", "endpoint_down"] as const) ctx.rule(rule, () => this.#judgeObstacle(rule));
    ctx.rule("rejected", () => this.#judgeRejected());
    ctx.rule("items_dropped", () => this.#judgeLost());
  }

  /** Calls `listener` once when the backend begins to fail. Returns the function that forgets it. */
  onFailing(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => void this.#waiting.delete(listener);
  }

  delivered(): void {
    const { flow, log } = this.#ctx;
    this.#rejectedInRow = 0;
    flow.ok();
    if (!this.failing) return;
    this.#answered();
    log.info("sending works again", { destination: this.destination, failed_attempts: this.#failures });
    this.#failures = 0;
    this.#lastLog = -Infinity;
    flow.judge();
  }

  /** An attempt failed; the next comes after `pauseMs`. */
  failed(error: SendError, pauseMs: number): void {
    const { flow } = this.#ctx;
    const cause = `cannot send to ${this.destination}: ${error.message}`;
    this.#obstacle = { rule: error.isRefusal ? "unauthorized" : "endpoint_down", cause };
    this.failing = true;
    this.#failures += 1;
    flow.failed(cause);
    flow.judge();
    for (const listener of [...this.#waiting]) listener();
    this.#logSometimes("sending failed, will try again", {
      error: error.message,
      next_attempt_ms: Math.round(pauseMs),
    });
  }

  /** The backend answered, and will never take these items. */
  rejected(reason: string, items: number, why: string): void {
    this.#rejectedInRow += 1;
    this.#answered();
    this.#drop(this.#rejected, reason, items, why);
  }

  /** Items are gone that the backend did not refuse. */
  lost(reason: string, items: number, why: string): void {
    this.#drop(this.#lost, reason, items, why);
  }

  #drop(drops: RecentDrops, reason: string, items: number, why: string): void {
    const { flow, log, clock } = this.#ctx;
    flow.drop("otlp", reason, items);
    flow.failed(why);
    const shown = drops.add(reason, items, why, clock.now());
    flow.judge();
    if (shown === undefined) return;
    log.error("data was dropped", { reason, items: shown, destination: this.destination, error: why });
  }

  #answered(): void {
    this.failing = false;
    this.#obstacle = undefined;
  }

  #judgeObstacle(rule: "unauthorized" | "endpoint_down"): Judgement {
    if (this.#obstacle?.rule !== rule) return undefined;
    const lost = this.#lost.recent(this.#ctx.clock.now());
    const too = lost.length === 0 ? "" : `; dropped ${describeDrops(lost, "items")}`;
    return { state: "failing", cause: this.#obstacle.cause + too };
  }

  #judgeRejected(): Judgement {
    const recent = this.#rejected.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const cause = `${this.destination} does not take all: dropped ${describeDrops(recent, "items")}: ${recent[0]!.text}`;
    return { state: this.#rejectedInRow >= MANY_REJECTIONS ? "failing" : "degraded", cause };
  }

  #judgeLost(): Judgement {
    const recent = this.#lost.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    return { state: "degraded", cause: `dropped ${describeDrops(recent, "items")}: ${recent[0]!.text}` };
  }

  #logSometimes(message: string, fields: Readonly<Record<string, unknown>>): void {
    const now = this.#ctx.clock.monotonic();
    if (now - this.#lastLog < LOG_INTERVAL_MS) return;
    this.#lastLog = now;
    this.#ctx.log.warn(message, { destination: this.destination, failed_attempts: this.#failures, ...fields });
  }
}
