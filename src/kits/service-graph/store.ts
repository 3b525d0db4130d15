import { hashBytes } from "#pipeline/series-hash";
import { doubled, type MemoryBudget } from "../span-metrics/series.ts";
import type { Edge } from "./edge.ts";

/** Trace id and span id. */
export const KEY_BYTES = 24;
const TRACE_ID_BYTES = 16;
const FIRST_CAPACITY = 64;
/** Texts of an edge that are no longer than this have a place of their own; others have memory of their own. */
const INLINE_BYTES = 128;
/** Room for putting texts together is kept up to this. */
const LARGEST_SCRATCH = 1 << 16;

/**
 * Halves of edges that wait for their other half, in columns, oldest first. Matches
 * connector/servicegraphconnector/internal/store: an edge that was made lives for `ttl`, whatever comes later.
 */
export class EdgeStore {
  size = 0;
  readonly #most: number;
  readonly #ttlMs: number;
  readonly #texts: number;
  readonly #budget: MemoryBudget;
  #capacity = FIRST_CAPACITY;
  #given = 0;
  readonly #free: number[] = [];
  #keys = Buffer.alloc(FIRST_CAPACITY * KEY_BYTES);
  #hash = new Int32Array(FIRST_CAPACITY);
  #places = new Int32Array(FIRST_CAPACITY * 2);
  /** Neighbours in the order of making; −1 for none. */
  #older = new Int32Array(FIRST_CAPACITY);
  #newer = new Int32Array(FIRST_CAPACITY);
  #oldest = -1;
  #newest = -1;
  #expires = new Float64Array(FIRST_CAPACITY);
  #isFailed = new Uint8Array(FIRST_CAPACITY);
  #connection = new Uint8Array(FIRST_CAPACITY);
  #peerRank = new Int32Array(FIRST_CAPACITY);
  #clientSeconds = new Float64Array(FIRST_CAPACITY);
  #serverSeconds = new Float64Array(FIRST_CAPACITY);
  /** Where each text of an edge ends in its bytes; −1 for a text that is missing. */
  #ends: Int32Array;
  #inline = Buffer.alloc(FIRST_CAPACITY * INLINE_BYTES);
  readonly #own: (Buffer | undefined)[] = [];
  #scratch: Buffer = Buffer.alloc(1024);

  constructor(most: number, ttlMs: number, texts: number, budget: MemoryBudget) {
    this.#most = most;
    this.#ttlMs = ttlMs;
    this.#texts = texts;
    this.#budget = budget;
    this.#ends = new Int32Array(FIRST_CAPACITY * texts);
  }

  /** The number of the edge with this key; −1 for none. */
  find(key: Buffer): number {
    const hash = hashBytes(key, 0, KEY_BYTES);
    const mask = this.#places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const edge = this.#places[place]! - 1;
      if (edge < 0) return -1;
      const at = edge * KEY_BYTES;
      if (this.#hash[edge] === hash && key.compare(this.#keys, at, at + KEY_BYTES) === 0) return edge;
    }
  }

  /** Adds an edge that `find` did not find. False if there is no room. */
  add(key: Buffer, edge: Edge, now: number): boolean {
    if (this.size >= this.#most) return false;
    const id = this.#free.pop() ?? this.#given++;
    if (id >= this.#capacity) this.#grow();
    if (!this.put(id, edge)) {
      this.#free.push(id);
      return false;
    }
    key.copy(this.#keys, id * KEY_BYTES, 0, KEY_BYTES);
    this.#hash[id] = hashBytes(key, 0, KEY_BYTES);
    this.#expires[id] = now + this.#ttlMs;
    this.#older[id] = this.#newest;
    this.#newer[id] = -1;
    if (this.#newest >= 0) this.#newer[this.#newest] = id;
    else this.#oldest = id;
    this.#newest = id;
    this.size += 1;
    this.#place(id);
    return true;
  }

  /** Writes what is known of an edge, which may have texts of the store itself. False if there is no memory for it. */
  put(id: number, edge: Edge): boolean {
    let length = 0;
    for (let i = 0; i < this.#texts; i++) length += edge.length(i);
    const before = this.#own[id]?.length ?? 0;
    const after = length > INLINE_BYTES ? length : 0;
    if (after > before && !this.#budget.take(after - before)) return false;
    if (after < before) this.#budget.giveBack(before - after);
    if (this.#scratch.length < length) this.#scratch = Buffer.alloc(length * 2);
    const scratch = this.#scratch;
    let at = 0;
    for (let i = 0; i < this.#texts; i++) {
      if (edge.has(i)) at += edge.source(i).copy(scratch, at, edge.from(i), edge.to(i));
      this.#ends[id * this.#texts + i] = edge.has(i) ? at : -1;
    }
    // By way of the scratch: texts of the edge may lie where they are written to.
    if (after === 0) scratch.copy(this.#inline, id * INLINE_BYTES, 0, length);
    this.#own[id] = after === 0 ? undefined : Buffer.from(scratch.subarray(0, length));
    if (scratch.length > LARGEST_SCRATCH) this.#scratch = Buffer.alloc(1024);
    this.#isFailed[id] = edge.isFailed ? 1 : 0;
    this.#connection[id] = edge.connection;
    this.#peerRank[id] = edge.peerRank;
    this.#clientSeconds[id] = edge.clientSeconds;
    this.#serverSeconds[id] = edge.serverSeconds;
    return true;
  }

  /** Reads an edge; its texts are valid until the store changes. */
  read(id: number, edge: Edge): void {
    const own = this.#own[id];
    const bytes = own ?? this.#inline;
    const base = own === undefined ? id * INLINE_BYTES : 0;
    let at = 0;
    edge.clear();
    for (let i = 0; i < this.#texts; i++) {
      const end = this.#ends[id * this.#texts + i]!;
      if (end < 0) continue;
      edge.set(i, bytes, base + at, base + end);
      at = end;
    }
    edge.isFailed = this.#isFailed[id] === 1;
    edge.connection = this.#connection[id]!;
    edge.peerRank = this.#peerRank[id]!;
    edge.clientSeconds = this.#clientSeconds[id]!;
    edge.serverSeconds = this.#serverSeconds[id]!;
  }

  /** The oldest edge if its time is over; −1 if it is not. */
  overdue(now: number): number {
    return this.#oldest >= 0 && now > this.#expires[this.#oldest]! ? this.#oldest : -1;
  }
  /** Whether the key of an edge has no span id: nobody called the server. */
  isRoot(id: number): boolean {
    for (let at = id * KEY_BYTES + TRACE_ID_BYTES; at < (id + 1) * KEY_BYTES; at++)
      if (this.#keys[at] !== 0) return false;
    return true;
  }

  remove(id: number): void {
    const older = this.#older[id]!;
    const newer = this.#newer[id]!;
    if (older >= 0) this.#newer[older] = newer;
    else this.#oldest = newer;
    if (newer >= 0) this.#older[newer] = older;
    else this.#newest = older;
    this.#takeOut(id);
    this.#budget.giveBack(this.#own[id]?.length ?? 0);
    this.#own[id] = undefined;
    this.#free.push(id);
    this.size -= 1;
  }

  #place(id: number): void {
    const mask = this.#places.length - 1;
    let place = this.#hash[id]! & mask;
    while (this.#places[place] !== 0) place = (place + 1) & mask;
    this.#places[place] = id + 1;
  }

  /** Takes an edge out of the hash table and moves those behind it that belong further to the front. */
  #takeOut(id: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let hole = this.#hash[id]! & mask;
    while (places[hole] !== id + 1) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; places[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hash[places[place]! - 1]! & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      places[hole] = places[place]!;
      hole = place;
    }
    places[hole] = 0;
  }

  #grow(): void {
    this.#capacity *= 2;
    const keys = Buffer.alloc(this.#capacity * KEY_BYTES);
    this.#keys.copy(keys);
    this.#keys = keys;
    const inline = Buffer.alloc(this.#capacity * INLINE_BYTES);
    this.#inline.copy(inline);
    this.#inline = inline;
    this.#hash = doubled(this.#hash);
    this.#older = doubled(this.#older);
    this.#newer = doubled(this.#newer);
    this.#peerRank = doubled(this.#peerRank);
    this.#ends = doubled(this.#ends);
    this.#expires = doubled(this.#expires);
    this.#clientSeconds = doubled(this.#clientSeconds);
    this.#serverSeconds = doubled(this.#serverSeconds);
    this.#isFailed = doubled(this.#isFailed);
    this.#connection = doubled(this.#connection);
    this.#places = new Int32Array(this.#capacity * 2);
    for (let id = this.#oldest; id >= 0; id = this.#newer[id]!) this.#place(id);
  }
}
