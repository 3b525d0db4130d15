import type { ComponentContext } from "#pipeline/component";
import { describeDrops, RecentDrops } from "./recent-drops.ts";

/**
 * The rule `requests_refused` of a server: clients that were sent away in the last minutes, and why. `lastAccepted` is in
 * epoch milliseconds: all of the work fails as long as nothing got through since the trouble began.
 */
export class RefusedRequests {
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  readonly #recent = new RecentDrops();

  constructor(ctx: Pick<ComponentContext, "clock" | "log" | "rule">, lastAccepted: () => number) {
    this.#ctx = ctx;
    ctx.rule("requests_refused", () => {
      const recent = this.#recent.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      const cause = `clients were refused ${describeDrops(recent, "requests")}: ${recent[0]!.text}`;
      return { state: lastAccepted() >= this.#recent.since ? "degraded" : "failing", cause };
    });
  }

  /** `code` is HTTP's, or the name of gRPC's. */
  add(path: string, code: number | string, error: string): void {
    const { clock, log } = this.#ctx;
    const requests = this.#recent.add(String(code), 1, error, clock.now());
    if (requests !== undefined) log.warn("refused a request", { path, status: code, error, requests });
  }
}
