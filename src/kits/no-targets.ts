import { roughDuration } from "#base/duration";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";

/** Watches over a `targets` argument: for how long it has been empty, and who should have filled it. */
export class NoTargets {
  readonly #ctx: Pick<ComponentContext, "clock" | "references">;
  #emptySince: number | undefined;
  #hadSome = false;

  constructor(ctx: Pick<ComponentContext, "clock" | "references">) {
    this.#ctx = ctx;
  }

  update(count: number): void {
    if (count === 0) this.#emptySince ??= this.#ctx.clock.now();
    else {
      this.#emptySince = undefined;
      this.#hadSome = true;
    }
  }

  judge(): Judgement {
    if (this.#emptySince === undefined) return undefined;
    const since = roughDuration(this.#ctx.clock.now() - this.#emptySince);
    const sources = this.#ctx.references("targets");
    const who =
      sources.length === 0
        ? "nothing is configured to give any"
        : `${sources.join(" and ")} ${sources.length === 1 ? "gives" : "give"} none; look at ${sources.length === 1 ? "its" : "their"} status`;
    const when = this.#hadSome ? `has been empty for ${since}` : `is empty, and has been for ${since} since the start`;
    return { state: "idle", cause: `\`targets\` ${when}: ${who}` };
  }
}
