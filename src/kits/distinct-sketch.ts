const INDEX_BITS = 10;
const REGISTERS = 1 << INDEX_BITS;
const ALPHA = 0.7213 / (1 + 1.079 / REGISTERS);

/** Estimates how many distinct things were added, within some 3 %, in one kilobyte: HyperLogLog over hashes of 32 bits. */
export class DistinctSketch {
  readonly #registers = new Uint8Array(REGISTERS);

  /** `hash` must be as good as random. */
  add(hash: number): void {
    const index = hash >>> (32 - INDEX_BITS);
    const rank = Math.clz32((hash << INDEX_BITS) | (1 << (INDEX_BITS - 1))) + 1;
    if (rank > this.#registers[index]!) this.#registers[index] = rank;
  }

  clear(): void {
    this.#registers.fill(0);
  }

  /** Distinct things in this sketch and the other together. */
  countWith(other: DistinctSketch): number {
    let sum = 0;
    let empty = 0;
    for (let i = 0; i < REGISTERS; i++) {
      const register = Math.max(this.#registers[i]!, other.#registers[i]!);
      sum += 2 ** -register;
      if (register === 0) empty += 1;
    }
    const estimate = (ALPHA * REGISTERS * REGISTERS) / sum;
    // Few things leave registers empty, and counting those is more exact.
    return Math.round(estimate <= 2.5 * REGISTERS && empty > 0 ? REGISTERS * Math.log(REGISTERS / empty) : estimate);
  }
}
