import { roughByteSize } from "#base/bytesize";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";

/** Memory is given back at most this often; after each time that did not help, half as often, down to the second. */
const SHORTEST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 60_000;
/** What must have been given back, as a part of what was used, for it to have helped. */
const HELPFUL_PART = 0.05;

export interface Limits {
  /** Bytes that the process shall not exceed. */
  readonly hard: number;
  /** From here on data is refused: `hard` less what may come between two looks. */
  readonly soft: number;
}

export interface Memory {
  /** Bytes that the process has in memory. */
  used(): number;
  /** Gives back what is not in use. */
  release(): void;
}

/**
 * Looks at the memory of the process and says whether data is to be refused. Matches internal/memorylimiter, but for what
 * it looks at: all that the process has in memory, and not the heap alone, since that is what a control group counts.
 */
export class UsageCheck {
  readonly #limits: Limits;
  readonly #memory: Memory;
  readonly #clock: Clock;
  readonly #log: Logger;
  #mustRefuse = false;
  #used = 0;
  /** When memory was last given back (monotonic milliseconds), and for how long it is not to be again. */
  #releasedAt = -Infinity;
  #pauseMs = 0;

  constructor(limits: Limits, memory: Memory, { clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#limits = limits;
    this.#memory = memory;
    this.#clock = clock;
    this.#log = log;
  }

  get mustRefuse(): boolean {
    return this.#mustRefuse;
  }
  /** Bytes at the last look. */
  get used(): number {
    return this.#used;
  }

  look(): void {
    this.#used = this.#memory.used();
    const { soft } = this.#limits;
    if (this.#used >= soft) this.#release();
    else this.#pauseMs = 0;
    const mustRefuse = this.#used >= soft;
    if (mustRefuse !== this.#mustRefuse) {
      const fields = { used: roughByteSize(this.#used), refuse_from: roughByteSize(soft) };
      if (mustRefuse) this.#log.warn("memory is short: data is refused", fields);
      else this.#log.info("memory is back within its limits: data is taken again", fields);
    }
    this.#mustRefuse = mustRefuse;
  }

  /** What is wrong, for people; undefined while data is taken. */
  get problem(): string | undefined {
    if (!this.#mustRefuse) return undefined;
    const { hard, soft } = this.#limits;
    const beyond = this.#used >= hard ? `, more than its limit of ${roughByteSize(hard)}` : "";
    return `the agent uses ${roughByteSize(this.#used)} of memory${beyond}, and refuses data from ${roughByteSize(soft)} on: give it more memory and a higher limit, send less, or see which queue is full of data that a backend does not take`;
  }

  #release(): void {
    const now = this.#clock.monotonic();
    if (now - this.#releasedAt < this.#pauseMs) return;
    const before = this.#used;
    this.#memory.release();
    this.#used = this.#memory.used();
    this.#releasedAt = this.#clock.monotonic();
    const hasHelped = this.#used < this.#limits.soft || before - this.#used >= before * HELPFUL_PART;
    this.#pauseMs = hasHelped
      ? SHORTEST_PAUSE_MS
      : Math.min(LONGEST_PAUSE_MS, Math.max(SHORTEST_PAUSE_MS, this.#pauseMs * 2));
    this.#log.info("gave memory back to the system", {
      before: roughByteSize(before),
      after: roughByteSize(this.#used),
      milliseconds: Math.round(this.#releasedAt - now),
    });
  }
}
