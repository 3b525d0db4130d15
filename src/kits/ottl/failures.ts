import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { RECENT_DROPS_MS, RecentDrops } from "../recent-drops.ts";
import type { OttlError } from "./value.ts";

/** Statements and conditions that fail on some of the data, for the log and the flow status. */
export class StatementFailures {
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  /** By the text of the statement. */
  readonly #recent = new RecentDrops();

  constructor(ctx: Pick<ComponentContext, "clock" | "log">) {
    this.#ctx = ctx;
  }

  /** One failure, which the component passes over. */
  add(statement: string, { message: error }: OttlError): void {
    const times = this.#recent.add(statement, 1, error, this.#ctx.clock.now());
    if (times !== undefined) this.#ctx.log.warn("a statement failed and was passed over", { statement, error, times });
  }

  /** Degraded while a statement failed in the last minutes. */
  judge(): Judgement {
    const [first, ...others] = this.#recent.recent(this.#ctx.clock.now());
    if (first === undefined) return undefined;
    const minutes = RECENT_DROPS_MS / 60_000;
    const more = others.length === 0 ? "" : `, and ${others.length} more fail too`;
    return {
      state: "degraded",
      cause: `${first.reason} failed on ${first.items} items in the last ${minutes} min and was passed over: ${first.text}${more}; give it a where clause that leaves those items out, or mend it`,
    };
  }
}
