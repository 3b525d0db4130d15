import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { asBuffer, varintLength } from "#formats/protobuf";
import type { SpanGroups } from "./groups.ts";
import { grown, TRACE_ID_BYTES } from "./ids.ts";

/** Slabs are this long, but for one that holds a single longer span. */
const SLAB_BYTES = 256 * 1024;
/** Full slabs beyond this are packed, the oldest first: with little load nothing is. */
const UNPACKED_BYTES = 8 * 1024 * 1024;
/** Raw slabs that are kept for the next ones. */
const SPARE_SLABS = 4;
/** The fastest level, which makes a fifth of spans; higher ones make it hardly smaller. Mostly it comes in one piece. */
const PACK_OPTIONS = { chunkSize: SLAB_BYTES / 4, params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const UNPACK_OPTIONS = { chunkSize: SLAB_BYTES + 1 };
/** Packed slabs lie side by side in pieces of this size: between other allocations, they would leave gaps behind. */
const ARENA_BYTES = 1024 * 1024;
/** Runs begin at multiples of this: a place is the slab's number and the offset in these. */
const ALIGNMENT = 4;
const PLACES_PER_SLAB = SLAB_BYTES / ALIGNMENT;
const MAX_SLABS = 2 ** 32 / PLACES_PER_SLAB;
/** What a run takes in the columns. */
const RUN_BYTES = 12;
/** A run begins with its length. */
const LENGTH_BYTES = 4;
/** Room costs no memory before it is used. */
const FIRST_RUNS = 2 ** 20;

/** Protobuf's `trace_id` as the first field of a span; it is left out, since the trace is known. */
export const ID_FIELD = 10;
const ID_PREFIX = 2 + TRACE_ID_BYTES;

interface Arena {
  readonly bytes: Buffer;
  used: number;
  /** Slabs in it. */
  live: number;
}
interface Slab {
  /** The content as it is; undefined once it is packed. */
  raw: Buffer | undefined;
  packed: Buffer | undefined;
  arena: Arena | undefined;
  used: number;
  /** Runs in it that somebody still needs. */
  live: number;
}

/**
 * Spans of traces that wait for their decision, copied out of their requests so that no trace keeps a whole request alive.
 * A run is some spans of one trace and one group; runs lie in slabs, full slabs are compressed. A trace's runs form a chain
 * in the order of arrival. Traces are slots.
 *
 * In a run each span has a varint, twice its length plus 1 if the trace id was left out, and then its bytes.
 */
export class SpanStore {
  readonly #groups: SpanGroups;
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #freeSlabs: number[] = [];
  readonly #spare: Buffer[] = [];
  /** Full slabs that are not packed, in the order in which they became full. */
  readonly #full: number[] = [];
  #fullBytes = 0;
  #current = -1;
  /** Where the next packed slab goes. */
  #arena: Arena | undefined;
  /** Of slabs that are not packed, and of arenas. */
  #slabBytes = 0;

  /** By slot: the first and the last run plus 1. */
  #first: Uint32Array;
  #last: Uint32Array;
  /** By run: the next one of the trace plus 1, the place, the group. */
  #next = new Uint32Array(FIRST_RUNS);
  #place = new Uint32Array(FIRST_RUNS);
  #group = new Uint32Array(FIRST_RUNS);
  #runsUsed = 0;
  #freeRun = 0;
  #runs = 0;
  /** The run that was written last and ends where the current slab does; −1 for none. */
  #open = -1;
  #openSlot = -1;

  constructor(groups: SpanGroups, capacity: number) {
    this.#groups = groups;
    this.#first = new Uint32Array(capacity);
    this.#last = new Uint32Array(capacity);
  }

  /** Makes room for slots below `capacity`. */
  grow(capacity: number): void {
    if (capacity <= this.#first.length) return;
    this.#first = grown(this.#first, capacity);
    this.#last = grown(this.#last, capacity);
  }

  /** The memory that spans take, with headers. */
  get bytes(): number {
    return this.#slabBytes + this.#runs * RUN_BYTES + this.#groups.bytes;
  }
  get runs(): number {
    return this.#runs;
  }
  /** Whether another span may find no place, however much memory there is. */
  get isFull(): boolean {
    return this.#slabs.length - this.#freeSlabs.length >= MAX_SLABS - 1;
  }

  /** Adds the span `bytes[from, to)` to a trace. `from` is after the span's tag and length. */
  append(slot: number, group: number, bytes: Uint8Array, from: number, to: number): void {
    const isStripped = bytes[from] === ID_FIELD && bytes[from + 1] === TRACE_ID_BYTES && to - from >= ID_PREFIX;
    const start = isStripped ? from + ID_PREFIX : from;
    const head = (to - start) * 2 + (isStripped ? 1 : 0);
    const length = varintLength(head) + to - start;
    let slab = this.#current < 0 ? undefined : this.#slabs[this.#current]!;
    const isSame = this.#open >= 0 && this.#openSlot === slot && this.#group[this.#open] === group;
    if (slab !== undefined && isSame && slab.used + length <= slab.raw!.length) {
      const at = (this.#place[this.#open]! % PLACES_PER_SLAB) * ALIGNMENT;
      slab.raw!.writeUInt32LE(slab.raw!.readUInt32LE(at) + length, at);
    } else {
      slab = this.#slabFor(LENGTH_BYTES + length);
      const run = this.#newRun(slot, group, slab.used);
      slab.raw!.writeUInt32LE(length, slab.used);
      this.#advance(slab, LENGTH_BYTES);
      slab.live += 1;
      this.#open = run;
      this.#openSlot = slot;
    }
    let at = slab.used;
    let rest = head;
    const raw = slab.raw!;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) raw[at++] = (rest % 128) | 0x80;
    raw[at++] = rest;
    asBuffer(bytes).copy(raw, at, start, to);
    this.#advance(slab, length);
  }

  /** Forgets the spans of a trace. */
  release(slot: number): void {
    this.take(slot, (run) => this.free(run));
  }

  /** Takes all runs off a trace, in the order of arrival; each is to be freed. */
  take(slot: number, each: (run: number) => void): void {
    let run = this.#first[slot]!;
    this.#first[slot] = 0;
    this.#last[slot] = 0;
    if (this.#openSlot === slot) this.#open = -1;
    while (run !== 0) {
      const next = this.#next[run - 1]!;
      each(run - 1);
      run = next;
    }
  }

  groupOf(run: number): number {
    return this.#group[run]!;
  }
  /** Runs with lower places are in slabs that come first. Below 2^32. */
  placeOf(run: number): number {
    return this.#place[run]!;
  }

  /**
   * Hands out the spans of runs: `bytes[from, to)`, valid only during the call. Sort the runs by place, since a slab is
   * unpacked anew whenever it is not the one of the run before.
   */
  read(runs: Iterable<number>, each: (run: number, bytes: Buffer, from: number, to: number) => void): void {
    let slab = -1;
    let bytes: Buffer | undefined;
    for (const run of runs) {
      const place = this.#place[run]!;
      const number = Math.floor(place / PLACES_PER_SLAB);
      if (number !== slab || bytes === undefined) {
        const { raw, packed } = this.#slabs[number]!;
        bytes = raw ?? zstdDecompressSync(packed!, UNPACK_OPTIONS);
        slab = number;
      }
      const at = (place % PLACES_PER_SLAB) * ALIGNMENT;
      const from = at + LENGTH_BYTES;
      each(run, bytes, from, from + bytes.readUInt32LE(at));
    }
  }

  free(run: number): void {
    if (run === this.#open) this.#open = -1;
    this.#groups.release(this.#group[run]!);
    const number = Math.floor(this.#place[run]! / PLACES_PER_SLAB);
    this.#next[run] = this.#freeRun;
    this.#freeRun = run + 1;
    this.#runs -= 1;
    const slab = this.#slabs[number]!;
    slab.live -= 1;
    if (slab.live > 0) return;
    if (number !== this.#current) {
      this.#drop(number, slab);
      return;
    }
    this.#slabBytes -= slab.used;
    slab.used = 0;
  }

  #newRun(slot: number, group: number, offset: number): number {
    let run: number;
    if (this.#freeRun !== 0) {
      run = this.#freeRun - 1;
      this.#freeRun = this.#next[run]!;
    } else {
      if (this.#runsUsed === this.#next.length) this.#growRuns();
      run = this.#runsUsed++;
    }
    this.#runs += 1;
    this.#next[run] = 0;
    this.#place[run] = this.#current * PLACES_PER_SLAB + offset / ALIGNMENT;
    this.#group[run] = group;
    this.#groups.holdAgain(group);
    const last = this.#last[slot]!;
    if (last === 0) this.#first[slot] = run + 1;
    else this.#next[last - 1] = run + 1;
    this.#last[slot] = run + 1;
    return run;
  }
  #growRuns(): void {
    const length = this.#next.length * 2;
    this.#next = grown(this.#next, length);
    this.#place = grown(this.#place, length);
    this.#group = grown(this.#group, length);
  }

  /** The current slab with room for a run of so many bytes at an aligned place. */
  #slabFor(length: number): Slab {
    const current = this.#current < 0 ? undefined : this.#slabs[this.#current]!;
    if (current !== undefined) {
      const padding = -current.used & (ALIGNMENT - 1);
      if (current.used + padding + length <= current.raw!.length) {
        this.#advance(current, padding);
        return current;
      }
      this.#finish(current);
    }
    const size = Math.max(SLAB_BYTES, length);
    const raw = (size === SLAB_BYTES ? this.#spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(size);
    const slab: Slab = { raw, packed: undefined, arena: undefined, used: 0, live: 0 };
    this.#current = this.#freeSlabs.pop() ?? this.#slabs.length;
    this.#slabs[this.#current] = slab;
    return slab;
  }
  #advance(slab: Slab, length: number): void {
    slab.used += length;
    this.#slabBytes += length;
  }

  /** The current slab is full: it waits to be packed, and what waits for too long is. */
  #finish(slab: Slab): void {
    if (slab.live === 0) {
      this.#drop(this.#current, slab);
      return;
    }
    this.#full.push(this.#current);
    this.#fullBytes += slab.used;
    this.#open = -1;
    while (this.#fullBytes > UNPACKED_BYTES) {
      const oldest = this.#slabs[this.#full.shift()!]!;
      this.#fullBytes -= oldest.used;
      this.#pack(oldest);
    }
  }
  #pack(slab: Slab): void {
    const packed = zstdCompressSync(slab.raw!.subarray(0, slab.used), PACK_OPTIONS);
    const arena = this.#arenaFor(packed.length);
    packed.copy(arena.bytes, arena.used);
    slab.packed = arena.bytes.subarray(arena.used, arena.used + packed.length);
    slab.arena = arena;
    arena.used += packed.length;
    arena.live += 1;
    this.#slabBytes -= slab.used;
    this.#keepSpare(slab.raw!);
    slab.raw = undefined;
  }
  #arenaFor(length: number): Arena {
    if (this.#arena !== undefined && this.#arena.used + length <= this.#arena.bytes.length) return this.#arena;
    const bytes = Buffer.allocUnsafeSlow(Math.max(ARENA_BYTES, length));
    this.#slabBytes += bytes.length;
    this.#arena = { bytes, used: 0, live: 0 };
    return this.#arena;
  }
  #drop(number: number, slab: Slab): void {
    if (slab.raw !== undefined) {
      const waiting = this.#full.indexOf(number);
      if (waiting >= 0) {
        this.#full.splice(waiting, 1);
        this.#fullBytes -= slab.used;
      }
      this.#keepSpare(slab.raw);
      this.#slabBytes -= slab.used;
    }
    this.#leave(slab.arena);
    this.#slabs[number] = undefined;
    this.#freeSlabs.push(number);
  }
  #leave(arena: Arena | undefined): void {
    if (arena === undefined) return;
    arena.live -= 1;
    if (arena.live > 0) return;
    this.#slabBytes -= arena.bytes.length;
    if (arena === this.#arena) this.#arena = undefined;
  }
  #keepSpare(raw: Buffer): void {
    if (raw.length === SLAB_BYTES && this.#spare.length < SPARE_SLABS) this.#spare.push(raw);
  }
}
