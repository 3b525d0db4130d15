import type { SeriesRef, SeriesRegistry } from "#pipeline/series";

/** Series that are kept from one request to the next, by number and bytes; those beyond live as long as their batch. */
const MAX_HELD = 2_000_000;
const MAX_HELD_BYTES = 512 * 1024 * 1024;

const FREE = 0;
const UNUSED = 1;
const USED = 2;

/**
 * Owns the series that clients send, so that those of the next request are known to everybody behind this component.
 * One byte for each ref of the registry.
 */
export class HeldSeries {
  readonly #registry: SeriesRegistry;
  #state = new Uint8Array(1024);
  /** Hash of the metadata that a series had last. */
  #metadata: Int32Array | undefined;
  #count = 0;
  #bytes = 0;

  constructor(registry: SeriesRegistry) {
    this.#registry = registry;
  }

  get size(): number {
    return this.#count;
  }

  /** Whether the series is held already; it then is so for longer. */
  touch(ref: SeriesRef): boolean {
    if (ref >= this.#state.length || this.#state[ref] === FREE) return false;
    this.#state[ref] = USED;
    return true;
  }

  /** Takes over an ownership of a series that is not held; false if there is no room for it. */
  hold(ref: SeriesRef): boolean {
    const bytes = this.#registry.encodedLength(ref);
    if (this.#count >= MAX_HELD || this.#bytes + bytes > MAX_HELD_BYTES) return false;
    if (ref >= this.#state.length) this.#grow(ref);
    this.#state[ref] = USED;
    if (this.#metadata !== undefined) this.#metadata[ref] = 0;
    this.#count += 1;
    this.#bytes += bytes;
    return true;
  }

  /** Whether the hash is another one than the last of this series; remembers it if the series is held. */
  isNews(ref: SeriesRef, hash: number): boolean {
    this.#metadata ??= new Int32Array(this.#state.length);
    if (ref >= this.#state.length || this.#state[ref] === FREE) return true;
    // 0 stands for none.
    const wanted = hash === 0 ? 1 : hash;
    if (this.#metadata[ref] === wanted) return false;
    this.#metadata[ref] = wanted;
    return true;
  }

  /** All metadata is news again. */
  forgetMetadata(): void {
    this.#metadata = undefined;
  }

  /** Lets go of the series that were not touched since the last sweep. */
  sweep(): void {
    for (let ref = 1; ref < this.#state.length; ref++) {
      if (this.#state[ref] === USED) this.#state[ref] = UNUSED;
      else if (this.#state[ref] === UNUSED) this.#release(ref);
    }
  }

  [Symbol.dispose](): void {
    for (let ref = 1; ref < this.#state.length; ref++) if (this.#state[ref] !== FREE) this.#release(ref);
  }

  #release(ref: SeriesRef): void {
    this.#bytes -= this.#registry.encodedLength(ref);
    this.#state[ref] = FREE;
    this.#count -= 1;
    this.#registry.release(ref);
  }

  #grow(ref: SeriesRef): void {
    let length = this.#state.length;
    while (length <= ref) length *= 2;
    const state = new Uint8Array(length);
    state.set(this.#state);
    this.#state = state;
    if (this.#metadata === undefined) return;
    const metadata = new Int32Array(length);
    metadata.set(this.#metadata);
    this.#metadata = metadata;
  }
}
