import type { Clock } from "#base/clock";
import type { Counter } from "#base/metrics";
import type { Judgement } from "#pipeline/flow";
import { hintFor, sampleOf } from "./line-looks.ts";
import type { Stage, Tally } from "./stage.ts";

/** Stages one after the other, with the counts from which it follows how many entries came to each. */
export interface CountedChain {
  readonly stages: Stage[];
  /** Entries that began at the first stage, … */
  runs: number;
  /** … those that went on from each stage because the one before it emitted them, … */
  readonly resumed: number[];
  /** … and those that ended in each stage. */
  readonly ended: number[];
}

/** Below this share of lines that a stage can read it is probably the wrong one. */
const LEAST_SHARE = 0.05;
/** Judged after so many lines, … */
const MANY_LINES = 1_000;
/** … or after some of them and this time. */
const SOME_LINES = 100;
const SOME_TIME_MS = 60_000;
/** Old counts lose weight from so many lines on, so that lines of another kind show. */
const MEMORY_LINES = 20_000;

/** After so many lines a sample is not looked for any longer. */
const MAX_LOOKS = 1_000;

/** Stages that are not expected to match: replace changes what it finds, and nothing if it finds nothing. */
const OPTIONAL = new Set(["replace"]);
/** Stages that may well look for something rare. They are judged by what the lines look like, or if nothing ever matches. */
const SPARSE = new Set(["regex", "pattern"]);

/** How many of the lines that come to one stage it can read. */
class MatchRatio {
  readonly path: string;
  readonly tally: Tally;
  readonly #kind: string;
  readonly #what: string;
  readonly #chain: CountedChain;
  readonly #index: number;
  readonly #lines: Counter;
  #seen = 0;
  #unmatched = 0;
  #begin: number | undefined;
  /** A line that it could not read; undefined until one was looked for and found. */
  #sample: string | undefined;
  #isSampling = false;
  #endSampling: (() => void) | undefined;

  constructor(
    chain: CountedChain,
    index: number,
    path: string,
    kind: string,
    what: string,
    tally: Tally,
    lines: Counter,
  ) {
    this.#chain = chain;
    this.#index = index;
    this.path = path;
    this.#kind = kind;
    this.#what = what;
    this.tally = tally;
    this.#lines = lines;
  }

  get index(): number {
    return this.#index;
  }

  /** Whether a sample is looked for. */
  get isSampling(): boolean {
    return this.#isSampling;
  }
  /** A line that it could not read, once it has one. */
  get sample(): string | undefined {
    return this.#sample;
  }
  /** Ends the search with a line that was found elsewhere. */
  giveSample(line: string): void {
    this.#endSampling?.();
    this.#sample = line;
  }
  forgetSample(): void {
    this.#sample = undefined;
  }

  add(seen: number, now: number): void {
    if (seen === 0) return;
    this.#begin ??= now;
    this.#lines.inc(seen);
    this.#seen += seen;
    this.#unmatched += this.tally.count;
    if (this.#seen > MEMORY_LINES) {
      this.#seen /= 2;
      this.#unmatched /= 2;
    }
  }

  judge(now: number): string | undefined {
    const matched = this.#seen - this.#unmatched;
    const isTold = this.#seen >= MANY_LINES || (this.#seen >= SOME_LINES && now - this.#begin! >= SOME_TIME_MS);
    if (!isTold || matched >= this.#seen * LEAST_SHARE) {
      this.#sample = undefined;
      return undefined;
    }
    if (this.#sample === undefined) this.takeSample();
    const hint = this.#sample === undefined ? undefined : hintFor(this.#kind, this.#sample);
    if (SPARSE.has(this.#kind) && hint === undefined && (this.#seen < MANY_LINES || matched > 0)) return undefined;
    const share = Math.floor((this.#unmatched / this.#seen) * 100);
    const lines = this.#seen >= 10 * MANY_LINES ? "10 k" : this.#seen >= MANY_LINES ? "1000" : String(SOME_LINES);
    const looks = hint === undefined ? "" : `: ${hint}`;
    const such = this.#sample === undefined ? "" : `. Such as: ${sampleOf(this.#sample)}`;
    return `stage ${this.path}: ${share} % of the last ${lines} lines and more ${this.#what}${looks}${such}`;
  }

  /** Looks over the stage's shoulder until it meets a line that it cannot read; costs nothing otherwise. */
  takeSample(): void {
    if (this.#isSampling) return;
    this.#isSampling = true;
    const { stages } = this.#chain;
    const stage = stages[this.#index]!;
    this.#endSampling = () => {
      this.#isSampling = false;
      stages[this.#index] = stage;
    };
    let looks = MAX_LOOKS;
    stages[this.#index] = {
      ...stage,
      process: (entry) => {
        const { line } = entry;
        const before = this.tally.count;
        const passed = stage.process(entry);
        const isUnread = this.tally.count > before;
        looks -= 1;
        if (isUnread) this.#sample = line;
        if (isUnread || looks === 0) this.#endSampling!();
        return passed;
      },
    };
  }
}

/** The ratios of all stages of a pipeline that can fail to read a line. */
export class MatchRatios {
  readonly #clock: Clock;
  readonly #counter: Counter;
  readonly #chains = new Map<CountedChain, MatchRatio[]>();
  /** All of them, in the order in which `#reaching` tells of them. */
  get #all(): readonly MatchRatio[] {
    return [...this.#chains.values()].flat();
  }

  /** `counter` counts lines by stage. */
  constructor(clock: Clock, counter: Counter) {
    this.#clock = clock;
    this.#counter = counter;
  }

  /** Watches the stage that will be at `index`. `what` completes "lines …", as `tally` counts them. */
  watch(chain: CountedChain, index: number, path: string, what: string, tally: Tally): void {
    const kind = path.slice(path.lastIndexOf(".") + 1);
    if (OPTIONAL.has(kind)) return;
    let ratios = this.#chains.get(chain);
    if (ratios === undefined) this.#chains.set(chain, (ratios = []));
    ratios.push(new MatchRatio(chain, index, path, kind, what, tally, this.#counter.labels(path)));
  }

  /** How many stages are watched. */
  get size(): number {
    return this.#all.length;
  }

  /** Takes over the counts since the last time: once for each batch, before tallies are flushed. */
  take(): void {
    const now = this.#clock.monotonic();
    this.#reaching((ratio, lines) => ratio.add(lines, now));
  }

  /** Adds those counts to `counts` from `at` on instead, in the order of the stages. */
  takeInto(counts: number[], at: number): void {
    let i = at;
    this.#reaching((_, lines) => {
      counts[i++]! += lines;
    });
  }

  /** Takes over what `takeInto` gave elsewhere; tallies have theirs already. */
  give(counts: readonly number[], at: number): void {
    const now = this.#clock.monotonic();
    for (const [i, ratio] of this.#all.entries()) ratio.add(counts[at + i]!, now);
  }

  /** Stages of which a sample is looked for, by their numbers. */
  get samplesWanted(): readonly number[] {
    const wanted: number[] = [];
    for (const [i, ratio] of this.#all.entries()) if (ratio.isSampling) wanted.push(i);
    return wanted;
  }
  sample(number: number): void {
    this.#all[number]!.takeSample();
  }
  /** The samples that were found, each once. */
  takeSamples(): readonly (readonly [number: number, line: string])[] {
    const found: (readonly [number, string])[] = [];
    for (const [i, ratio] of this.#all.entries()) {
      if (ratio.sample === undefined) continue;
      found.push([i, ratio.sample]);
      ratio.forgetSample();
    }
    return found;
  }
  giveSample(number: number, line: string): void {
    this.#all[number]!.giveSample(line);
  }

  /** Tells how many lines came to each stage since the last time. */
  #reaching(tell: (ratio: MatchRatio, lines: number) => void): void {
    for (const [chain, ratios] of this.#chains) {
      let reaching = chain.runs;
      let stage = 0;
      for (const ratio of ratios) {
        for (; stage <= ratio.index; stage++) {
          if (stage > 0) reaching -= chain.ended[stage - 1]!;
          reaching += chain.resumed[stage]!;
        }
        tell(ratio, reaching);
      }
      chain.runs = 0;
      chain.resumed.fill(0);
      chain.ended.fill(0);
    }
  }

  judge(): Judgement {
    const now = this.#clock.monotonic();
    const causes: string[] = [];
    for (const ratios of this.#chains.values()) {
      for (const ratio of ratios) {
        const cause = ratio.judge(now);
        if (cause !== undefined) causes.push(cause);
      }
    }
    const [first, ...others] = causes;
    if (first === undefined) return undefined;
    const more = others.length === 0 ? "" : ` (and ${others.length} more such stages)`;
    return { state: "degraded", cause: first + more };
  }
}
