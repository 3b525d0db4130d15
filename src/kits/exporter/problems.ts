import type { Logger } from "#base/log";
import type { Judgement } from "#pipeline/flow";

/** Problems that a message names before it counts the rest. */
const SHOWN_PROBLEMS = 3;

/** What is wrong with the parts of an exporter, each until it works again. Only changes are logged. */
export class Problems {
  readonly #log: Logger;
  readonly #what: string;
  readonly #problems = new Map<string, string>();
  #noted = new Set<string>();

  /** `what` names a part in the log: `query failed`, `query works again`. */
  constructor(log: Logger, what: string) {
    this.#log = log;
    this.#what = what;
  }

  get size(): number {
    return this.#problems.size;
  }

  /** Says how a part did: its problem as a clause, or undefined if it works. */
  note(part: string, problem: string | undefined): void {
    this.#noted.add(part);
    const before = this.#problems.get(part);
    if (before === problem) return;
    if (problem === undefined) {
      this.#problems.delete(part);
      this.#log.info(`${this.#what} works again`, { [this.#what]: part });
    } else {
      this.#problems.set(part, problem);
      this.#log.error(`${this.#what} failed`, { [this.#what]: part, error: problem });
    }
  }

  /** Ends a round: forgets what nobody noted in it, for it is not asked any more. */
  sweep(): void {
    for (const part of this.#problems.keys()) if (!this.#noted.has(part)) this.#problems.delete(part);
    this.#noted = new Set();
  }

  /** A flow rule about the parts that fail: `failing` when these are all of `total`. */
  judge(total = Infinity): Judgement {
    if (this.#problems.size === 0) return undefined;
    const all = [...this.#problems].map(([part, problem]) => `${part}: ${problem}`);
    const more = all.length > SHOWN_PROBLEMS ? `; and ${all.length - SHOWN_PROBLEMS} more` : "";
    return {
      state: all.length >= total ? "failing" : "degraded",
      cause: all.slice(0, SHOWN_PROBLEMS).join("; ") + more,
    };
  }
}
