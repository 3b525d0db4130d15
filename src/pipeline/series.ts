import type { Labels } from "#base/labels";
import { hashBytes } from "./series-hash.ts";
import { decodeLabels, encodedLabelsLength, encodeLabels } from "./series-labels.ts";
import { SeriesSlabs } from "./series-slabs.ts";

/** Index of a series in its registry, from 1. Small and dense, so caches keyed by it are typed arrays. */
export type SeriesRef = number;

const INITIAL_CAPACITY = 1024;
/** Marks a ref that belongs to no series; one with 0 owners still waits for its pins. */
const FREE = -1;

/**
 * Every known series once, off the heap: its labels in remote-write form (repeated `Label` messages, field 1 of
 * TimeSeries, sorted by name), found by ref or by content. About 40 bytes a series beside its encoded labels.
 *
 * A series lives while it has owners: caches of sources, of `RefMap`s. When the last owner releases it, its ref is free
 * at once or, while batches in flight hold a pin that is older, when that pin ends; until then an `intern` of the same
 * labels finds it again.
 */
export class SeriesRegistry {
  #capacity = INITIAL_CAPACITY;
  #slabs = new SeriesSlabs(INITIAL_CAPACITY);
  #owners = new Int32Array(INITIAL_CAPACITY).fill(FREE);
  #hashes = new Int32Array(INITIAL_CAPACITY);
  #generations = new Int32Array(INITIAL_CAPACITY);
  /** The epoch of the release for which a series without owners waits. */
  #releasedAt = new Int32Array(INITIAL_CAPACITY);
  /** Open addressing with linear probing; 0 is an empty place. */
  #table = new Int32Array(INITIAL_CAPACITY * 2);
  #stored = 0;
  #owned = 0;
  #next = 1;
  #freeRefs: number[] = [];
  #shrinkBelow = 0;
  #scratch = Buffer.allocUnsafeSlow(4096);

  #epoch = 0;
  readonly #pins = new Set<number>();
  /** Series without owners that pins still hold, oldest first: ref and epoch of the release, alternating. */
  #waiting: number[] = [];
  readonly #freedListeners = new Set<(ref: SeriesRef) => void>();

  /** Series with an owner. */
  get size(): number {
    return this.#owned;
  }

  /** Series that take memory: those with an owner and those that wait for a pin. */
  get stored(): number {
    return this.#stored;
  }

  /** Bytes held off the heap. */
  get memoryBytes(): number {
    return this.#slabs.memoryBytes + this.#table.byteLength + this.#capacity * 16 + this.#scratch.length;
  }

  /** One more than the largest ref given out: caches keyed by ref need this length. */
  get refLimit(): number {
    return this.#next;
  }

  /** The ref of a label set, with one more owner. `release` it when it is no longer needed. */
  intern(labels: Labels): SeriesRef {
    const length = encodedLabelsLength(labels);
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(length * 2);
    const end = encodeLabels(labels, this.#scratch, 0);
    return this.internEncoded(this.#scratch, 0, end);
  }

  /** The same from bytes: repeated `Label` messages (field 1 of TimeSeries) sorted by name, each name once. */
  internEncoded(bytes: Uint8Array, start: number, end: number): SeriesRef {
    const hash = hashBytes(bytes, start, end);
    const mask = this.#table.length - 1;
    let place = hash & mask;
    for (;;) {
      const ref = this.#table[place]!;
      if (ref === 0) break;
      if (this.#hashes[ref] === hash && this.#slabs.equals(ref, bytes, start, end)) {
        if (this.#owners[ref]! === 0) this.#owned += 1;
        this.#owners[ref]! += 1;
        return ref;
      }
      place = (place + 1) & mask;
    }
    const ref = this.#takeRef();
    this.#slabs.store(ref, bytes, start, end);
    this.#hashes[ref] = hash;
    this.#owners[ref] = 1;
    this.#owned += 1;
    this.#stored += 1;
    if (this.#stored * 2 > this.#table.length) this.#rehash(this.#table.length * 2);
    else this.#table[place] = ref;
    return ref;
  }

  retain(ref: SeriesRef): void {
    const owners = this.#owners[ref];
    if (owners === undefined || owners < 0) throw new Error(`series ${ref} retained after it was freed`);
    if (owners === 0) this.#owned += 1;
    this.#owners[ref] = owners + 1;
  }

  release(ref: SeriesRef): void {
    const owners = this.#owners[ref];
    if (owners === undefined || owners <= 0) throw new Error(`series ${ref} released more often than retained`);
    this.#owners[ref] = owners - 1;
    if (owners > 1) return;
    this.#owned -= 1;
    if (this.#pins.size > 0) {
      this.#waiting.push(ref, this.#epoch);
      this.#releasedAt[ref] = this.#epoch;
    } else this.#free(ref);
  }

  /** The labels, decoded anew on each call: for misses of caches, not for each sample. */
  labels(ref: SeriesRef): Labels {
    const bytes = this.#slabs.view(ref);
    return decodeLabels(bytes, 0, bytes.length);
  }

  /** Length of the encoded labels in bytes. */
  encodedLength(ref: SeriesRef): number {
    return this.#slabs.length(ref);
  }

  /** Copies the encoded labels to `target` at `offset`; returns the offset after them. */
  copyEncoded(ref: SeriesRef, target: Uint8Array, offset: number): number {
    return this.#slabs.copy(ref, target, offset);
  }

  /** 32 bits over the labels; equal for equal labels in any process (shards are chosen by it). */
  hash(ref: SeriesRef): number {
    return this.#hashes[ref]!;
  }

  /** Changes when a ref is freed, so that caches keyed by ref notice. */
  generation(ref: SeriesRef): number {
    return this.#generations[ref]!;
  }

  /** Calls `listener` with each ref that is freed, before it can be given to another series. Returns the way to end that. */
  onFreed(listener: (ref: SeriesRef) => void): () => void {
    this.#freedListeners.add(listener);
    return () => void this.#freedListeners.delete(listener);
  }

  /** Holds back the reuse of refs released from now on until `unpin`: for batches that outlive their series. */
  pin(): number {
    this.#epoch += 1;
    this.#pins.add(this.#epoch);
    return this.#epoch;
  }

  unpin(pin: number): void {
    if (!this.#pins.delete(pin)) throw new Error("a pin of series was ended twice");
    if (this.#waiting.length === 0) return;
    // Pins are in ascending order, so the first is the oldest; a release before it concerns nobody any more.
    const [oldest = Infinity] = this.#pins;
    let done = 0;
    while (done < this.#waiting.length && this.#waiting[done + 1]! < oldest) done += 2;
    if (done === 0) return;
    const ready = this.#waiting.slice(0, done);
    this.#waiting = this.#waiting.slice(done);
    for (let i = 0; i < ready.length; i += 2) {
      const ref = ready[i]!;
      // It may have found an owner again, or have been released again later.
      if (this.#owners[ref] === 0 && this.#releasedAt[ref] === (ready[i + 1]! | 0)) this.#free(ref);
    }
  }

  #takeRef(): SeriesRef {
    const reused = this.#freeRefs.pop();
    if (reused !== undefined) return reused;
    if (this.#next === this.#capacity) this.#resize(this.#capacity * 2);
    return this.#next++;
  }

  #free(ref: SeriesRef): void {
    this.#unlink(ref);
    this.#slabs.free(ref);
    this.#owners[ref] = FREE;
    this.#generations[ref]! += 1;
    this.#stored -= 1;
    for (const listener of this.#freedListeners) listener(ref);
    this.#freeRefs.push(ref);
    if (this.#stored < this.#shrinkBelow) this.#shrink();
  }

  /** Takes the ref out of the table and moves those behind it forward, so that no tombstones pile up. */
  #unlink(ref: SeriesRef): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = this.#hashes[ref]! & mask;
    while (table[hole] !== ref) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashes[table[place]!]! & mask;
      if (((place - home) & mask) >= ((place - hole) & mask)) {
        table[hole] = table[place]!;
        hole = place;
      }
    }
    table[hole] = 0;
  }

  #rehash(length: number): void {
    const table = new Int32Array(length);
    const mask = length - 1;
    for (let ref = 1; ref < this.#next; ref++) {
      if (this.#owners[ref]! === FREE) continue;
      let place = this.#hashes[ref]! & mask;
      while (table[place] !== 0) place = (place + 1) & mask;
      table[place] = ref;
    }
    this.#table = table;
  }

  #resize(capacity: number): void {
    const owners = new Int32Array(capacity).fill(FREE);
    const kept = Math.min(capacity, this.#capacity);
    owners.set(this.#owners.subarray(0, kept));
    const hashes = new Int32Array(capacity);
    hashes.set(this.#hashes.subarray(0, kept));
    const generations = new Int32Array(capacity);
    generations.set(this.#generations.subarray(0, kept));
    const releasedAt = new Int32Array(capacity);
    releasedAt.set(this.#releasedAt.subarray(0, kept));
    this.#owners = owners;
    this.#hashes = hashes;
    this.#generations = generations;
    this.#releasedAt = releasedAt;
    this.#slabs.resize(capacity);
    this.#capacity = capacity;
    this.#shrinkBelow = capacity <= INITIAL_CAPACITY ? 0 : capacity / 4;
  }

  /** Gives memory back when most series are gone: as much as the largest ref still in use allows. */
  #shrink(): void {
    let last = this.#next - 1;
    while (last > 0 && this.#owners[last] === FREE) last -= 1;
    let capacity = this.#capacity;
    while (capacity > INITIAL_CAPACITY && capacity / 2 > last + 1) capacity /= 2;
    if (capacity < this.#capacity) {
      // Generations of the refs that fall away start anew at 0: nobody who knew them is left, as listeners were told.
      this.#resize(capacity);
      this.#next = last + 1;
      this.#freeRefs = [];
      for (let ref = last; ref > 0; ref--) if (this.#owners[ref] === FREE) this.#freeRefs.push(ref);
    }
    let length = this.#table.length;
    while (length > INITIAL_CAPACITY * 2 && this.#stored * 4 < length / 2) length /= 2;
    if (length < this.#table.length) this.#rehash(length);
    this.#shrinkBelow = Math.min(this.#shrinkBelow, Math.floor(this.#stored / 2));
  }
}
