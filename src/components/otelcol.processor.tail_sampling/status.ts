import { describeDrops, RecentDrops } from "#kits/recent-drops";
import type { EarlyDrop } from "#kits/tail-sampling/sampler";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import type { Arguments } from "./schema.ts";

/** How often the rate of new traces is measured (ms), and of how many measurements it is the mean, about. */
export const RATE_MS = 5_000;
const RATE_SAMPLES = 3;
const MIB = 1024 * 1024;

/** Which traces go before their policies were asked, why, and what to do about it. */
export class EarlyDrops {
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  readonly #limitBytes: number;
  readonly #dropped = new RecentDrops();
  readonly #tooLarge = new RecentDrops();
  readonly #failed = new RecentDrops();
  args: Arguments;
  #newTraces = 0;
  /** New traces a second. */
  #rate = 0;

  constructor(ctx: Pick<ComponentContext, "clock" | "log">, args: Arguments, limitBytes: number) {
    this.#ctx = ctx;
    this.args = args;
    this.#limitBytes = limitBytes;
  }

  begun(): void {
    this.#newTraces += 1;
  }
  /** To be called every RATE_MS. */
  measure(): void {
    this.#rate += ((this.#newTraces * 1000) / RATE_MS - this.#rate) / RATE_SAMPLES;
    this.#newTraces = 0;
  }

  dropped(why: EarlyDrop): void {
    const now = this.#ctx.clock.now();
    const unlogged = this.#dropped.add(why, 1, why, now);
    if (unlogged === undefined) return;
    this.#ctx.log.warn("traces were dropped before their decision", { reason: this.#advice(why), traces: unlogged });
  }
  tooLarge(): void {
    const now = this.#ctx.clock.now();
    const unlogged = this.#tooLarge.add("trace_too_large", 1, "", now);
    if (unlogged === undefined) return;
    const limit = this.args.maximum_trace_size_bytes;
    this.#ctx.log.warn("traces are larger than maximum_trace_size_bytes and were dropped", { limit, traces: unlogged });
  }
  failed(traces: number): void {
    this.#failed.add("policy", traces, "", this.#ctx.clock.now());
  }

  judgeDropped(): Judgement {
    const recent = this.#dropped.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    const causes = recent.map(({ reason }) => this.#advice(reason as EarlyDrop));
    return {
      state: "degraded",
      cause: `traces went before their decision: ${describeDrops(recent, "traces")}; ${causes.join("; ")}`,
    };
  }
  judgeTooLarge(): Judgement {
    const [recent] = this.#tooLarge.recent(this.#ctx.clock.now());
    if (recent === undefined) return undefined;
    const limit = this.args.maximum_trace_size_bytes;
    return {
      state: "degraded",
      cause: `${recent.items} traces in the last 5 min were larger than maximum_trace_size_bytes (${limit}) and were dropped without asking the policies; raise it, or look for what makes such traces`,
    };
  }
  judgeFailed(): Judgement {
    const [recent] = this.#failed.recent(this.#ctx.clock.now());
    if (recent === undefined) return undefined;
    return {
      state: "degraded",
      cause: `policies failed on traces ${recent.items} times in the last 5 min and said nothing about them: a condition with error_mode = "propagate" cannot be evaluated; mend it, or set error_mode = "ignore", which logs what is wrong`,
    };
  }

  #advice(why: EarlyDrop): string {
    const seconds = this.args.decision_wait / 1000;
    if (why === "memory") {
      return `spans that wait take ${Math.round(this.#limitBytes / MIB)} MiB, which is half of the memory of this machine or container; give it more, shorten decision_wait (${seconds}s), or spread the traces over several agents by their ids`;
    }
    const { num_traces } = this.args;
    const needed = roundUp(Math.max(num_traces, this.#rate * seconds) * 1.2);
    return `num_traces = ${num_traces} has no room for ${Math.ceil(this.#rate)} new traces a second that wait for ${seconds} s; set it to ${needed} or more, or shorten decision_wait`;
  }
}

/** Up to two digits that count. */
function roundUp(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1);
  return Math.ceil(value / unit) * unit;
}
