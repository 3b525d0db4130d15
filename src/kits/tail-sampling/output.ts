import { ProtoWriter } from "#formats/protobuf";
import type { SpanGroups } from "./groups.ts";
import { grown, TRACE_ID_BYTES, type TraceIdTable } from "./ids.ts";
import { ID_FIELD, type SpanStore } from "./store.ts";

/** Requests are about this long, since receivers have a limit; a trace is never cut. */
const REQUEST_BYTES = 1024 * 1024;
/** Traces are gathered up to this much before they are written. */
const GATHER_BYTES = 16 * 1024 * 1024;
/** So many runs can be sorted as doubles that hold place and number. Only a trace that has more alone goes beyond it. */
const MAX_RUNS = 2 ** 20;
/** A ResourceSpans in a request, a ScopeSpans in it, a span in that. */
const RESOURCE_SPANS = 1;
const MEMBERS = 2;
const MEMBER_TAG = (MEMBERS << 3) | 2;

/** An ExportTraceServiceRequest. */
export interface TraceRequest {
  readonly bytes: Uint8Array;
  readonly spans: number;
}

/**
 * Writes traces out of a store as requests: spans are copied, grouped by resource and scope, each trace whole and its spans
 * in the order of arrival within their group.
 */
export class TraceWriter {
  readonly #store: SpanStore;
  readonly #groups: SpanGroups;
  readonly #writer = new ProtoWriter(64 * 1024);
  /** By trace that was taken: its id, about its bytes, and where its runs end. */
  #ids = new Uint8Array(TRACE_ID_BYTES * 64);
  #sizes: number[] = [];
  #ends: number[] = [];
  /** By run that was taken: its number. */
  #runs: number[] = [];
  /** By run of those that are written now: its trace. By trace of those: the request that it goes into. */
  #traceOf: number[] = [];
  #requestOf: number[] = [];

  constructor(store: SpanStore, groups: SpanGroups) {
    this.#store = store;
    this.#groups = groups;
  }

  /** Takes a trace out of the store. `size` is about its bytes. */
  take(table: TraceIdTable, slot: number, size: number): void {
    const at = this.#sizes.length * TRACE_ID_BYTES;
    if (at + TRACE_ID_BYTES > this.#ids.length) this.#ids = grown(this.#ids, this.#ids.length * 2);
    table.copyId(slot, this.#ids, at);
    this.#store.take(slot, (run) => void this.#runs.push(run));
    this.#sizes.push(size);
    this.#ends.push(this.#runs.length);
  }

  /**
   * The requests with all that was taken, one by one; the writer is empty again at the end. Nothing may be taken meanwhile,
   * while the store may well be used.
   */
  *finish(): Generator<TraceRequest> {
    const traces = this.#sizes.length;
    try {
      for (let first = 0; first < traces; ) {
        let end = first;
        let bytes = 0;
        const firstRun = this.#ends[first - 1] ?? 0;
        do bytes += this.#sizes[end++]!;
        while (end < traces && bytes < GATHER_BYTES && this.#ends[end]! - firstRun <= MAX_RUNS);
        yield* this.#finishSome(first, end, bytes);
        first = end;
      }
    } finally {
      for (const run of this.#runs) this.#store.free(run);
      this.#sizes = [];
      this.#ends = [];
      this.#runs = [];
    }
  }

  /** Writes the traces from `first` to before `end`. */
  *#finishSome(first: number, end: number, bytes: number): Generator<TraceRequest> {
    const firstRun = this.#ends[first - 1] ?? 0;
    this.#assign(first, end);
    const { arena, from } = this.#gather(firstRun, this.#ends[end - 1]! - firstRun, bytes);
    const order = this.#outputOrder(firstRun);
    for (let i = 0; i < order.length; ) {
      const request = this.#requestOf[this.#traceOf[order[i]!]! - first]!;
      let stop = i + 1;
      while (stop < order.length && this.#requestOf[this.#traceOf[order[stop]!]! - first] === request) stop += 1;
      yield this.#write(arena, from, order.subarray(i, stop), firstRun);
      i = stop;
    }
  }

  /** Says which trace each run is of, and which request each trace goes into. */
  #assign(first: number, end: number): void {
    this.#traceOf = [];
    this.#requestOf = [];
    let request = 0;
    let requestBytes = 0;
    for (let trace = first; trace < end; trace++) {
      const size = this.#sizes[trace]!;
      if (requestBytes > 0 && requestBytes + size > REQUEST_BYTES) {
        request += 1;
        requestBytes = 0;
      }
      requestBytes += size;
      this.#requestOf.push(request);
      for (let run = this.#ends[trace - 1] ?? 0; run < this.#ends[trace]!; run++) this.#traceOf.push(trace);
    }
  }

  /** The spans of all runs in one buffer, each slab read once. Run i is `arena[from[i], from[i + count])`. */
  #gather(firstRun: number, count: number, bytes: number): { readonly arena: Buffer; readonly from: Uint32Array } {
    const order = sorted(count, (i) => this.#store.placeOf(this.#runs[firstRun + i]!));
    const from = new Uint32Array(count * 2);
    let arena = Buffer.allocUnsafeSlow(Math.max(4096, bytes));
    let used = 0;
    let i = 0;
    const runs = Array.from(order, (each) => this.#runs[firstRun + each]!);
    this.#store.read(runs, (_, bytes, start, end) => {
      if (used + end - start > arena.length) {
        arena = Buffer.concat([arena], Math.max(arena.length * 2, used + end - start));
      }
      bytes.copy(arena, used, start, end);
      const index = order[i++]!;
      from[index] = used;
      used += end - start;
      from[index + count] = used;
    });
    return { arena, from };
  }

  /** Indices of runs by request, resource, group, and in the order in which they were taken. */
  #outputOrder(firstRun: number): Uint32Array {
    const count = this.#traceOf.length;
    const firstTrace = this.#traceOf[0]!;
    const groupOf = (i: number) => this.#store.groupOf(this.#runs[firstRun + i]!);
    const groups = [...new Set(this.#traceOf.map((_, i) => groupOf(i)))];
    groups.sort((a, b) => this.#groups.resourceOf(a) - this.#groups.resourceOf(b) || a - b);
    const ranks = new Map(groups.map((group, rank) => [group, rank]));
    return sorted(
      count,
      (i) => this.#requestOf[this.#traceOf[i]! - firstTrace]! * groups.length + ranks.get(groupOf(i))!,
    );
  }

  #write(arena: Buffer, from: Uint32Array, order: Uint32Array, firstRun: number): TraceRequest {
    const writer = this.#writer;
    writer.reset();
    let spans = 0;
    let resource = -1;
    let group = -1;
    let resourceMark = 0;
    let groupMark = 0;
    for (const i of order) {
      const next = this.#store.groupOf(this.#runs[firstRun + i]!);
      if (next !== group) {
        const nextResource = this.#groups.resourceOf(next);
        if (group >= 0) writer.end(groupMark);
        if (nextResource !== resource) {
          if (resource >= 0) writer.end(resourceMark);
          resourceMark = writer.begin(RESOURCE_SPANS);
          writer.raw(this.#groups.resourceHeader(nextResource));
          resource = nextResource;
        }
        groupMark = writer.begin(MEMBERS);
        writer.raw(this.#groups.scopeHeader(next));
        group = next;
      }
      spans += this.#writeRun(arena, from[i]!, from[i + from.length / 2]!, this.#traceOf[i]!);
    }
    writer.end(groupMark);
    writer.end(resourceMark);
    return { bytes: writer.finish(), spans };
  }

  /** Writes the spans of a run with their trace ids. Returns how many there are. */
  #writeRun(arena: Buffer, from: number, to: number, trace: number): number {
    const writer = this.#writer;
    let spans = 0;
    for (let at = from; at < to; spans++) {
      let head = 0;
      let scale = 1;
      let byte: number;
      do {
        byte = arena[at++]!;
        head += (byte & 0x7f) * scale;
        scale *= 128;
      } while (byte >= 0x80);
      const isStripped = head % 2 === 1;
      const length = (head - (isStripped ? 1 : 0)) / 2;
      writer.rawVarint(MEMBER_TAG);
      if (isStripped) {
        writer.rawVarint(length + 2 + TRACE_ID_BYTES);
        writer.rawVarint(ID_FIELD);
        writer.rawVarint(TRACE_ID_BYTES);
        writer.raw(this.#ids, trace * TRACE_ID_BYTES, (trace + 1) * TRACE_ID_BYTES);
      } else writer.rawVarint(length);
      writer.raw(arena, at, at + length);
      at += length;
    }
    return spans;
  }
}

/** The numbers from 0 to before `count` in the order of their keys (below 2^32), those with the same key in their own. */
function sorted(count: number, keyOf: (i: number) => number): Uint32Array {
  if (count > MAX_RUNS)
    return Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => keyOf(a) - keyOf(b) || a - b);
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = keyOf(i) * MAX_RUNS + i;
  keys.sort();
  return Uint32Array.from(keys, (key) => key % MAX_RUNS);
}
