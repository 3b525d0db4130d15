import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { describeDrops, RecentDrops } from "../recent-drops.ts";

/** Tells of points whose series could not be remembered, in the status (rule `too_many_series`) and in the log. */
export class SeriesLimit {
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  readonly #recent = new RecentDrops();
  readonly #why: () => string;
  readonly #consequence: string;

  /** `consequence` is what becomes of the points, and what to do, such as "raise `max_streams`". */
  constructor(
    ctx: Pick<ComponentContext, "clock" | "log" | "rule">,
    consequence: string,
    why = () => "the memory for series is used up",
  ) {
    this.#ctx = ctx;
    this.#consequence = consequence;
    this.#why = why;
    ctx.rule("too_many_series", () => this.#judge());
  }

  /** A point of a series that is not remembered. */
  refused(): void {
    const why = this.#why();
    const due = this.#recent.add("too_many_series", 1, why, this.#ctx.clock.now());
    if (due !== undefined) this.#ctx.log.warn("too many series", { points: due, why, consequence: this.#consequence });
  }

  #judge(): Judgement {
    const recent = this.#recent.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    return { state: "degraded", cause: `${recent[0]!.text}: ${describeDrops(recent, "points")}; ${this.#consequence}` };
  }
}
