import type { SeriesRef, SeriesRegistry } from "./series.ts";

/** What `RefMap.get` answers for a series that was never mapped, and for one that is dropped. */
export const REF_UNKNOWN = 0;
export const REF_DROPPED = -1;

/**
 * A component's memory of what it makes of each series: another series, the same one, or nothing. Five bytes for each ref
 * of the registry.
 *
 * It owns the series that it maps to, and forgets an entry as soon as its input series is freed. Entries that nobody
 * asks for between two calls of `sweep` are forgotten too: that bounds the map, and it ends cycles (a component that adds
 * a label before one that takes it off would keep both series alive for ever).
 */
export class RefMap {
  readonly #registry: SeriesRegistry;
  readonly #limit: number;
  readonly #unwatch: () => void;
  #out = new Int32Array(1024);
  #used = new Uint8Array(1024);
  #size = 0;
  #hand = 1;

  /** At most `limit` entries are kept; beyond it, one that was not used lately makes room. */
  constructor(registry: SeriesRegistry, limit = Infinity) {
    this.#registry = registry;
    this.#limit = limit;
    this.#unwatch = registry.onFreed((ref) => this.#forget(ref));
  }

  get size(): number {
    return this.#size;
  }

  /** The mapped series, REF_DROPPED or REF_UNKNOWN. */
  get(ref: SeriesRef): number {
    if (ref >= this.#out.length) return REF_UNKNOWN;
    this.#used[ref] = 1;
    return this.#out[ref]!;
  }

  /** Maps `ref`, which must be unknown, to `out`, and takes over one ownership of it, or to REF_DROPPED. */
  set(ref: SeriesRef, out: SeriesRef | typeof REF_DROPPED): void {
    if (ref >= this.#out.length) this.#grow(ref);
    if (this.#out[ref] !== REF_UNKNOWN) throw new Error(`series ${ref} is mapped already`);
    if (this.#size >= this.#limit) this.#evict();
    this.#out[ref] = out;
    this.#used[ref] = 1;
    this.#size += 1;
    // A series that maps to itself must not keep itself alive.
    if (out === ref) this.#registry.release(out);
  }

  /** Forgets one entry, if there is one. */
  delete(ref: SeriesRef): void {
    this.#forget(ref);
  }

  /** Forgets the entries that were not asked for since the last sweep; returns how many. */
  sweep(): number {
    let forgotten = 0;
    for (let ref = 1; ref < this.#out.length; ref++) {
      if (this.#out[ref] === REF_UNKNOWN) continue;
      if (this.#used[ref] === 0) {
        this.#forget(ref);
        forgotten += 1;
      } else this.#used[ref] = 0;
    }
    return forgotten;
  }

  clear(): void {
    for (let ref = 1; ref < this.#out.length; ref++) this.#forget(ref);
    this.#out = new Int32Array(1024);
    this.#used = new Uint8Array(1024);
  }

  [Symbol.dispose](): void {
    this.#unwatch();
    this.clear();
  }

  #forget(ref: SeriesRef): void {
    const out = ref < this.#out.length ? this.#out[ref]! : REF_UNKNOWN;
    if (out === REF_UNKNOWN) return;
    this.#out[ref] = REF_UNKNOWN;
    this.#size -= 1;
    if (out > 0 && out !== ref) this.#registry.release(out);
  }

  #evict(): void {
    for (;;) {
      if (this.#hand >= this.#out.length) this.#hand = 1;
      const ref = this.#hand++;
      if (this.#out[ref] === REF_UNKNOWN) continue;
      if (this.#used[ref] === 0) {
        this.#forget(ref);
        return;
      }
      this.#used[ref] = 0;
    }
  }

  #grow(ref: SeriesRef): void {
    let length = this.#out.length;
    while (length <= ref) length *= 2;
    const out = new Int32Array(length);
    out.set(this.#out);
    this.#out = out;
    const used = new Uint8Array(length);
    used.set(this.#used);
    this.#used = used;
  }
}
