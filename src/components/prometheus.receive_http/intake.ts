import type { RejectReason, WriteIntake } from "#formats/write-columns";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import type { HeldSeries } from "./held-series.ts";
import { judgeLabels } from "./label-bytes.ts";

/** As in Prometheus's write handler. */
const MAX_AHEAD_MS = 10 * 60_000;
/** Messages that an answer tells of; there may be one for each sample. */
const SHOWN_MESSAGES = 10;

/** One request's view of the series, and what is wrong with it. */
export class Intake implements WriteIntake {
  readonly latest: number;
  problem = "";
  fresh = 0;
  /** Items left out, by reason, with the first one's message. */
  readonly rejected = new Map<RejectReason, { readonly items: number; readonly message: string }>();
  readonly #messages: string[] = [];
  #messageCount = 0;
  readonly #registry: SeriesRegistry;
  readonly #held: HeldSeries;

  constructor(registry: SeriesRegistry, held: HeldSeries, now: number) {
    this.#registry = registry;
    this.#held = held;
    this.latest = now + MAX_AHEAD_MS;
  }

  /** The registry must be pinned until the batch that the series is for has ended. */
  series(bytes: Buffer, start: number, end: number): SeriesRef {
    const registry = this.#registry;
    const ref = registry.internEncoded(bytes, start, end);
    if (this.#held.touch(ref)) {
      registry.release(ref);
      return ref;
    }
    let verdict: ReturnType<typeof judgeLabels>;
    try {
      verdict = judgeLabels(bytes, start, end);
    } catch (error) {
      registry.release(ref);
      throw error;
    }
    if (verdict === true) return this.#keep(ref);
    registry.release(ref);
    this.fresh += end - start;
    if (typeof verdict !== "string") return this.#keep(registry.intern(verdict));
    this.problem = verdict;
    return 0;
  }

  reject(reason: RejectReason, items: number, message: string): void {
    const known = this.rejected.get(reason);
    this.rejected.set(reason, { items: (known?.items ?? 0) + items, message: known?.message ?? message });
    if (reason === "invalid_exemplar") return; // Prometheus, too, takes the samples and says nothing
    this.#messageCount += 1;
    if (this.#messages.length < SHOWN_MESSAGES) this.#messages.push(message);
  }

  isNews(ref: SeriesRef, hash: number): boolean {
    return this.#held.isNews(ref, hash);
  }

  /** What was wrong, for the client; undefined for nothing. */
  get complaint(): string | undefined {
    if (this.#messageCount === 0) return undefined;
    const more = this.#messageCount - this.#messages.length;
    return this.#messages.join("\n") + (more > 0 ? `\n… and ${more} more` : "");
  }

  #keep(ref: SeriesRef): SeriesRef {
    if (this.#held.touch(ref)) this.#registry.release(ref);
    else if (!this.#held.hold(ref)) {
      // The pin holds it for as long as it is needed.
      this.fresh += this.#registry.encodedLength(ref);
      this.#registry.release(ref);
    }
    return ref;
  }
}
