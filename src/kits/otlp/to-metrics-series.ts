import { asBuffer } from "#formats/protobuf";
import { type SeriesRef, SeriesRegistry } from "#pipeline/series";

/** More known parts of requests than this: what the present batch does not need is forgotten at once. */
const MOST_KNOWN = 2_000_000;

/**
 * What is known of the parts of requests: resources, scopes, metrics and points, each found by its bytes and its parent
 * without decoding it. Numbers of parts are small and dense, so what belongs to them lies in columns or arrays.
 *
 * A part lives for as long as it is used now and then (`sweep`), and its parents with it.
 */
export class KnownParts {
  readonly #index = new SeriesRegistry();
  readonly #onForget: (part: number) => void;
  readonly #unwatch: () => void;
  #parent = new Int32Array(1024);
  #seen = new Float64Array(1024);
  #isOwned = new Uint8Array(1024);
  #scratch = Buffer.allocUnsafeSlow(1024);

  /** `onForget` is told of parts that are forgotten, before their numbers are given to others. */
  constructor(onForget: (part: number) => void) {
    this.#onForget = onForget;
    this.#unwatch = this.#index.onFreed((part) => this.#freed(part));
  }

  get size(): number {
    return this.#index.size;
  }
  /** One more than the largest number of a part. */
  get limit(): number {
    return this.#index.refLimit;
  }

  /** Bytes that `findPrefixed` wants free in front of a key. */
  static readonly PREFIX_BYTES = 5;

  /** The part of `parent` (0 for none) with these bytes; `kind` (0 … 255) keeps parts apart that have the same. */
  find(parent: number, kind: number, bytes: Uint8Array, start: number, end: number, now: number): number {
    const length = KnownParts.PREFIX_BYTES + end - start;
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(length * 2);
    asBuffer(bytes).copy(this.#scratch, KnownParts.PREFIX_BYTES, start, end);
    return this.findPrefixed(parent, kind, this.#scratch, length, now);
  }
  /** The same for a key in `bytes[PREFIX_BYTES, end)`, in front of which the rest is written. */
  findPrefixed(parent: number, kind: number, bytes: Buffer, end: number, now: number): number {
    bytes[0] = kind;
    bytes[1] = parent;
    bytes[2] = parent >>> 8;
    bytes[3] = parent >>> 16;
    bytes[4] = parent >>> 24;
    const index = this.#index;
    const part = index.internEncoded(bytes, 0, end);
    if (part >= this.#seen.length) this.#grow(part);
    if (this.#isOwned[part] === 1) index.release(part);
    else {
      this.#isOwned[part] = 1;
      this.#parent[part] = parent;
      if (parent !== 0) index.retain(parent);
    }
    this.#seen[part] = now;
    return part;
  }

  /** Forgets what was last found before `time`; returns how many parts. */
  sweep(time: number): number {
    const before = this.#index.size;
    for (let part = this.#index.refLimit - 1; part > 0; part--) {
      if (this.#isOwned[part] === 0 || this.#seen[part]! >= time) continue;
      this.#isOwned[part] = 0;
      this.#index.release(part);
    }
    return before - this.#index.size;
  }
  /** Keeps memory bounded: called between batches. */
  bound(now: number): void {
    if (this.size > MOST_KNOWN) this.sweep(now);
  }
  clear(): void {
    this.sweep(Infinity);
  }
  [Symbol.dispose](): void {
    this.clear();
    this.#unwatch();
  }

  #freed(part: number): void {
    this.#onForget(part);
    const parent = this.#parent[part]!;
    this.#parent[part] = 0;
    if (parent !== 0) this.#index.release(parent);
  }

  #grow(part: number): void {
    const length = Math.max(part + 1, this.#seen.length * 2);
    const parent = new Int32Array(length);
    parent.set(this.#parent);
    this.#parent = parent;
    const seen = new Float64Array(length);
    seen.set(this.#seen);
    this.#seen = seen;
    const isOwned = new Uint8Array(length);
    isOwned.set(this.#isOwned);
    this.#isOwned = isOwned;
  }
}

/**
 * Times of the series that samples become, in columns by series: what is older than the last sample of its series, or
 * exemplar, is not handed on.
 */
export class SeriesTimes {
  #sample = new Float64Array(1024);
  #exemplar: Float64Array | undefined;
  readonly #startsAfter: number;

  /** Series that are new are taken to have had a sample at `startsAfter` (epoch milliseconds), as to when they began. */
  constructor(startsAfter: number) {
    this.#startsAfter = startsAfter;
  }

  /** Whether a sample at this time (epoch milliseconds) is in order; notes it. */
  admit(ref: SeriesRef, time: number): boolean {
    if (ref >= this.#sample.length) this.#sample = grown(this.#sample, ref);
    if (time < this.#sample[ref]!) return false;
    this.#sample[ref] = time;
    return true;
  }
  /** Whether nobody has been told yet that the series began at `start`, and it is not too late for it. */
  begins(ref: SeriesRef, start: number): boolean {
    return start > Math.max(this.#sample[ref] ?? 0, this.#startsAfter);
  }
  admitExemplar(ref: SeriesRef, time: number): boolean {
    this.#exemplar ??= new Float64Array(1024);
    if (ref >= this.#exemplar.length) this.#exemplar = grown(this.#exemplar, ref);
    if (time < this.#exemplar[ref]!) return false;
    this.#exemplar[ref] = time;
    return true;
  }
  forget(ref: SeriesRef): void {
    if (ref < this.#sample.length) this.#sample[ref] = 0;
    if (this.#exemplar !== undefined && ref < this.#exemplar.length) this.#exemplar[ref] = 0;
  }
}

function grown(column: Float64Array, index: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(Math.max(index + 1, column.length * 2));
  larger.set(column);
  return larger;
}
