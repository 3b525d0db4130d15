import { OttlError } from "../ottl/value.ts";
import { grown } from "./ids.ts";
import type { PolicySet } from "./policy-set.ts";

/** What is being done with a trace; a decision (of tail-sampling-policies.ts) once there is one. */
export const PENDING = 0;

/** First start and last end, each in two halves. */
const TIMES = 4;
const TWO_32 = 2 ** 32;

/** What a slot takes in the columns here and in those of ids, lists and spans, about. */
export const SLOT_BYTES = 104;

/** What is known of each trace, by slot: columns, and what its spans have answered so far to the policies' conditions. */
export class Traces {
  state: Uint8Array;
  /** The number of the policy set that the trace began under. */
  generation: Uint16Array;
  spans: Uint32Array;
  /** The bytes of its spans and their headers, at most 2^32 − 1. */
  size: Uint32Array;
  /** Tenths of a second since some start; 0 for what was not decided by policies. */
  arrived: Uint32Array;
  decided: Uint32Array;
  /** The tick at which it is to be decided. */
  due: Uint32Array;
  /** The scope that came last with spans of the trace, by number: its header counts once. */
  scope: Uint32Array;
  /** In turn for each slot: bits of conditions that held, bits of conditions that failed. */
  #bits: Uint32Array;
  #words = 0;
  #times = new Uint32Array(0);
  #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.state = new Uint8Array(capacity);
    this.generation = new Uint16Array(capacity);
    this.spans = new Uint32Array(capacity);
    this.size = new Uint32Array(capacity);
    this.arrived = new Uint32Array(capacity);
    this.decided = new Uint32Array(capacity);
    this.due = new Uint32Array(capacity);
    this.scope = new Uint32Array(capacity);
    this.#bits = new Uint32Array(0);
  }

  grow(capacity: number): void {
    if (capacity <= this.#capacity) return;
    this.#capacity = capacity;
    this.state = grown(this.state, capacity);
    this.generation = grown(this.generation, capacity);
    this.spans = grown(this.spans, capacity);
    this.size = grown(this.size, capacity);
    this.arrived = grown(this.arrived, capacity);
    this.decided = grown(this.decided, capacity);
    this.due = grown(this.due, capacity);
    this.scope = grown(this.scope, capacity);
    this.#bits = grown(this.#bits, capacity * this.#words * 2);
    if (this.#times.length > 0) this.#times = grown(this.#times, capacity * TIMES);
  }

  /** Makes room for what a policy set asks of each trace. */
  prepare(set: PolicySet): void {
    if (set.latencies.length > 0 && this.#times.length === 0) this.#times = new Uint32Array(this.#capacity * TIMES);
    const before = this.#words;
    if (set.words <= before) return;
    const bits = new Uint32Array(this.#capacity * set.words * 2);
    for (let slot = 0; before > 0 && slot < this.#capacity; slot++) {
      for (let w = 0; w < before; w++) {
        bits[slot * set.words * 2 + w] = this.#bits[slot * before * 2 + w]!;
        bits[slot * set.words * 2 + set.words + w] = this.#bits[slot * before * 2 + before + w]!;
      }
    }
    this.#bits = bits;
    this.#words = set.words;
  }

  /** A trace begins in a slot. */
  begin(slot: number, generation: number, now: number): void {
    this.state[slot] = PENDING;
    this.generation[slot] = generation;
    this.spans[slot] = 0;
    this.size[slot] = 0;
    this.arrived[slot] = now;
    this.decided[slot] = 0;
    this.scope[slot] = 0;
    const stride = this.#words * 2;
    this.#bits.fill(0, slot * stride, (slot + 1) * stride);
    if (this.#times.length > 0) this.#times.fill(0, slot * TIMES, (slot + 1) * TIMES);
  }

  holds(slot: number, condition: number): boolean {
    return (this.#bits[slot * this.#words * 2 + (condition >>> 5)]! & (1 << (condition & 31))) !== 0;
  }
  fails(slot: number, condition: number): boolean {
    return (this.#bits[(slot * 2 + 1) * this.#words + (condition >>> 5)]! & (1 << (condition & 31))) !== 0;
  }

  /** Sets the bits of conditions that hold for a span or a resource of the trace. */
  mark(slot: number, hits: Uint32Array): void {
    const at = slot * this.#words * 2;
    for (let w = 0; w < hits.length; w++) this.#bits[at + w]! |= hits[w]!;
  }

  /** Takes up what the set's reader has just read of a span: its bits, its times, and conditions of OTTL. */
  observe(slot: number, set: PolicySet): void {
    this.mark(slot, set.reader.hits);
    if (set.latencies.length > 0) this.#latency(slot, set);
    for (const { bit, program } of set.programs) {
      if (this.holds(slot, bit) || this.fails(slot, bit)) continue;
      try {
        if (program.holds()) this.#set(slot * this.#words * 2, bit);
      } catch (error) {
        if (!(error instanceof OttlError)) throw error;
        this.#set((slot * 2 + 1) * this.#words, bit);
      }
    }
  }

  #set(at: number, bit: number): void {
    this.#bits[at + (bit >>> 5)]! |= 1 << (bit & 31);
  }

  /**
   * As upstream, the bounds are looked at after each span, so that a trace that grows beyond the upper one may have been
   * between them before; times of 0 count as missing.
   */
  #latency(slot: number, { latencies, reader }: PolicySet): void {
    const times = this.#times;
    const at = slot * TIMES;
    const { startLow, startHigh, endLow, endHigh } = reader;
    const isFirst = times[at] === 0 && times[at + 1] === 0;
    if (isFirst || isBefore(startLow, startHigh, times[at]!, times[at + 1]!)) {
      times[at] = startLow;
      times[at + 1] = startHigh;
    }
    const isFirstEnd = times[at + 2] === 0 && times[at + 3] === 0;
    if (isFirstEnd || isBefore(times[at + 2]!, times[at + 3]!, endLow, endHigh)) {
      times[at + 2] = endLow;
      times[at + 3] = endHigh;
    }
    const highs = (times[at + 3]! | 0) - (times[at + 1]! | 0);
    const ms = Math.trunc((highs * TWO_32 + (times[at + 2]! - times[at]!)) / 1e6);
    for (const { bit, aboveMs, atMostMs } of latencies) {
      if (ms > aboveMs && (atMostMs === 0 || ms <= atMostMs)) this.#set(slot * this.#words * 2, bit);
    }
  }
}

function isBefore(low: number, high: number, otherLow: number, otherHigh: number): boolean {
  return high < otherHigh || (high === otherHigh && low < otherLow);
}
