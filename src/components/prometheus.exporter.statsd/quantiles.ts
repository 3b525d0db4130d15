interface Tuple {
  readonly value: number;
  width: number;
  readonly delta: number;
}

/** Observations that are sorted and merged at once. */
const BUFFER = 500;

/**
 * Quantiles of a stream within the errors that are asked for, in little memory: "Effective computation of biased quantiles
 * over data streams" by Cormode et al. Buffered and merged as github.com/beorn7/perks does it, so that estimates agree.
 */
export class QuantileStream {
  readonly #targets: readonly (readonly [quantile: number, error: number])[];
  #tuples: Tuple[] = [];
  #count = 0;
  #buffer: Tuple[] = [];

  constructor(targets: readonly (readonly [quantile: number, error: number])[]) {
    this.#targets = targets;
  }

  get isEmpty(): boolean {
    return this.#count === 0 && this.#buffer.length === 0;
  }

  /** An observation that counts `width` times. */
  insert(value: number, width: number): void {
    this.#buffer.push({ value, width, delta: 0 });
    if (this.#buffer.length === BUFFER) this.#flush();
  }

  reset(): void {
    this.#tuples = [];
    this.#buffer = [];
    this.#count = 0;
  }

  /** NaN if there was nothing. */
  query(quantile: number): number {
    if (this.isEmpty) return Number.NaN;
    if (this.#tuples.length === 0) return this.#queryBuffer(quantile);
    this.#flush();
    let rank = Math.ceil(quantile * this.#count);
    rank += Math.ceil(this.#slack(rank) / 2);
    let [previous] = this.#tuples as [Tuple];
    let below = 0;
    for (const tuple of this.#tuples.slice(1)) {
      below += previous.width;
      if (below + tuple.width + tuple.delta > rank) return previous.value;
      previous = tuple;
    }
    return previous.value;
  }

  /** Exact, as long as nothing was merged. */
  #queryBuffer(quantile: number): number {
    this.#buffer.sort((a, b) => a.value - b.value);
    const total = this.#buffer.reduce((sum, { width }) => sum + width, 0);
    const rank = Math.max(1, Math.ceil(total * quantile));
    let seen = 0;
    for (const { value, width } of this.#buffer) {
      seen += width;
      if (seen >= rank) return value;
    }
    return this.#buffer.at(-1)!.value;
  }

  /** How far a value of this rank may be off. */
  #slack(rank: number): number {
    let least = Number.MAX_VALUE;
    for (const [quantile, error] of this.#targets) {
      const isBelow = quantile * this.#count <= rank;
      const slack = isBelow ? (2 * error * rank) / quantile : (2 * error * (this.#count - rank)) / (1 - quantile);
      if (slack < least) least = slack;
    }
    return least;
  }

  #flush(): void {
    this.#buffer.sort((a, b) => a.value - b.value);
    const merged: Tuple[] = [];
    const tuples = this.#tuples;
    let rank = 0;
    let next = 0;
    for (const { value, width } of this.#buffer) {
      while (next < tuples.length && !(tuples[next]!.value > value)) {
        rank += tuples[next]!.width;
        merged.push(tuples[next]!);
        next += 1;
      }
      const isLast = next === tuples.length;
      merged.push({ value, width, delta: isLast ? 0 : Math.max(0, Math.floor(this.#slack(rank)) - 1) });
      this.#count += width;
      rank += width;
    }
    for (; next < tuples.length; next++) merged.push(tuples[next]!);
    this.#tuples = merged;
    this.#buffer = [];
    this.#compress();
  }

  #compress(): void {
    const tuples = this.#tuples;
    if (tuples.length < 2) return;
    // From the end, each tuple takes in those before it for as long as the error allows.
    const kept: Tuple[] = [];
    let into = tuples.at(-1)!;
    let rank = this.#count - 1 - into.width;
    for (let i = tuples.length - 2; i >= 0; i--) {
      const tuple = tuples[i]!;
      const { width } = tuple;
      if (width + into.width + into.delta <= this.#slack(rank)) into = { ...into, width: into.width + width };
      else {
        kept.push(into);
        into = tuple;
      }
      rank -= width;
    }
    kept.push(into);
    this.#tuples = kept.reverse();
  }
}
