import { shownUrl } from "#kits/http/url";
import type { DebugValue } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";

/** How the last probe of a target went. */
export interface ProbeResult {
  /** Epoch milliseconds. */
  readonly time: number;
  readonly durationSeconds: number;
  /** Why it failed; undefined if it succeeded. */
  readonly problem: string | undefined;
}

interface Entry extends ProbeResult {
  readonly target: string;
  readonly module: string;
  /** Probes in a row that failed, … */
  readonly failures: number;
  /** … and whether one before succeeded. */
  readonly hasSucceeded: boolean;
  /** Milliseconds between this probe and the one before. */
  readonly interval: number;
}

/** Targets that are remembered. */
const MOST_TARGETS = 10_000;
/** Targets that a message names, and that debug info shows. */
const SHOWN = 3;
const MOST_SHOWN = 500;
/** A target that worked before has to fail so often in a row before the flow status says so: one lost packet is no news. */
const FAILURES_THAT_COUNT = 3;
/** What nobody has asked for for so long is forgotten, unless it is asked for more seldom. */
const FORGET_MS = 15 * 60_000;

/** The last results by target and module: metrics say that a probe failed, and this says why. */
export class ProbeResults {
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;
  /** Names of configured targets, by target and module. */
  readonly #names: ReadonlyMap<string, string>;

  constructor(now: () => number, names: ReadonlyMap<string, string>) {
    this.#now = now;
    this.#names = names;
  }

  static key(target: string, module: string): string {
    return `${target}\xff${module}`;
  }

  note(target: string, module: string, result: ProbeResult): void {
    const key = ProbeResults.key(target, module);
    const before = this.#entries.get(key);
    this.#entries.delete(key);
    if (this.#entries.size >= MOST_TARGETS) this.#entries.delete(this.#entries.keys().next().value!);
    const hasFailed = result.problem !== undefined;
    this.#entries.set(key, {
      ...result,
      target: shownUrl(target),
      module,
      failures: hasFailed ? (before?.failures ?? 0) + 1 : 0,
      hasSucceeded: !hasFailed || (before?.hasSucceeded ?? false),
      interval: before === undefined ? 0 : result.time - before.time,
    });
  }

  /** The rule `probe_failed`. */
  judge(): Judgement {
    this.#forget();
    const failed = [...this.#entries].filter(
      ([, each]) => each.failures >= (each.hasSucceeded ? FAILURES_THAT_COUNT : 1),
    );
    if (failed.length === 0) return undefined;
    const shown = failed.slice(0, SHOWN).map(([key, { target, module, problem }]) => {
      const name = this.#names.get(key);
      return `${name === undefined ? target : `${name} (${target})`} with ${module}: ${problem}`;
    });
    const more = failed.length > SHOWN ? `; and ${failed.length - SHOWN} more` : "";
    const count = `${failed.length} of ${this.#entries.size} targets`;
    return { state: "degraded", cause: `probes of ${count} fail: ${shown.join("; ")}${more}` };
  }

  debugInfo(): DebugValue {
    this.#forget();
    const failedFirst = [...this.#entries].sort(([, a], [, b]) => Number(b.failures > 0) - Number(a.failures > 0));
    return failedFirst.slice(0, MOST_SHOWN).map(([key, each]) => ({
      name: this.#names.get(key) ?? "",
      target: each.target,
      module: each.module,
      success: each.failures === 0,
      problem: each.problem ?? "",
      failures_in_a_row: each.failures,
      last_probe: new Date(each.time).toISOString(),
      duration: `${(each.durationSeconds * 1000).toFixed(1)}ms`,
    }));
  }

  #forget(): void {
    const now = this.#now();
    for (const [key, { time, interval }] of this.#entries) {
      if (now - time > Math.max(FORGET_MS, 3 * interval)) this.#entries.delete(key);
    }
  }
}
