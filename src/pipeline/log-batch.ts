import { Labels } from "#base/labels";
import { Acknowledgement } from "./acknowledgement.ts";
import type { LogBatch } from "./batch.ts";

/** Node's fast slicing of bytes into text, which its type declarations leave out. */
export interface SliceableBuffer extends Buffer {
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
  utf8Write(text: string, offset: number, length?: number): number;
}

/** The bytes as a Buffer over the same memory. */
export function sliceable(bytes: Uint8Array): SliceableBuffer {
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer as SliceableBuffer;
}

/** `Buffer.allocUnsafeSlow` with the type above: memory of its own, not from the shared pool. */
export function allocate(size: number): SliceableBuffer {
  return Buffer.allocUnsafeSlow(size) as SliceableBuffer;
}

const FIRST_BYTES = 16 * 1024;
const FIRST_ENTRIES = 128;

/**
 * Collects entries into a LogBatch. The builder owns the columns: `build` lends them, and the next `add` after it
 * overwrites them, so the batch's consumer must have settled by then (`reset`) or the columns are handed over (`take`).
 */
export class LogBatchBuilder {
  #data = allocate(FIRST_BYTES);
  #length = 0;
  #count = 0;
  #start = new Int32Array(FIRST_ENTRIES);
  #end = new Int32Array(FIRST_ENTRIES);
  #ms = new Float64Array(FIRST_ENTRIES);
  #ns = new Int32Array(FIRST_ENTRIES);
  #stream = new Int32Array(FIRST_ENTRIES);
  #streams: Labels[] = [];
  #streamIds = new Map<Labels, number>();
  #metadata: (readonly string[] | undefined)[] | undefined;

  get count(): number {
    return this.#count;
  }
  /** Bytes of the lines so far. */
  get bytes(): number {
    return this.#length;
  }

  /** The id of a label set in this batch. The same object gets the same id; equal objects may get several. */
  streamId(labels: Labels): number {
    let id = this.#streamIds.get(labels);
    if (id === undefined) {
      id = this.#streams.length;
      this.#streams.push(labels);
      this.#streamIds.set(labels, id);
    }
    return id;
  }

  /** Adds the line `source[start, end)`, copying it. `ms` is whole milliseconds since 1970, `ns` what is beyond them. */
  add(
    stream: number,
    ms: number,
    ns: number,
    source: Uint8Array,
    start: number,
    end: number,
    metadata?: readonly string[],
  ): void {
    const at = this.#reserve(end - start);
    sliceable(source).copy(this.#data, at, start, end);
    this.#commit(stream, ms, ns, at, at + end - start, metadata);
  }

  /** Adds a line from text. */
  addText(stream: number, ms: number, ns: number, text: string, metadata?: readonly string[]): void {
    const at = this.#reserve(text.length * 3);
    const written = this.#data.utf8Write(text, at);
    this.#commit(stream, ms, ns, at, at + written, metadata);
  }

  /** The batch so far, lent until the next `reset`. */
  build(acknowledgement: Acknowledgement = Acknowledgement.none): LogBatch {
    return {
      signal: "logs",
      count: this.#count,
      data: this.#data.subarray(0, this.#length),
      start: this.#start,
      end: this.#end,
      ms: this.#ms,
      ns: this.#ns,
      stream: this.#stream,
      streams: this.#streams,
      metadata: this.#metadata,
      acknowledgement,
    };
  }

  /** The batch with memory of its own; the builder begins anew. */
  take(acknowledgement: Acknowledgement = Acknowledgement.none): LogBatch {
    const batch = this.build(acknowledgement);
    this.#data = allocate(FIRST_BYTES);
    this.#resize(FIRST_ENTRIES, 0);
    this.reset();
    return batch;
  }

  /** Empties the builder and keeps its memory. */
  reset(): void {
    this.#length = 0;
    this.#count = 0;
    this.#streams = [];
    this.#streamIds = new Map();
    this.#metadata = undefined;
  }

  #reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.#data.length) {
      const larger = allocate(Math.max(needed, this.#data.length * 2));
      this.#data.copy(larger, 0, 0, this.#length);
      this.#data = larger;
    }
    if (this.#count === this.#start.length) this.#resize(this.#count * 2, this.#count);
    return this.#length;
  }

  #commit(
    stream: number,
    ms: number,
    ns: number,
    start: number,
    end: number,
    metadata: readonly string[] | undefined,
  ): void {
    const i = this.#count++;
    this.#length = end;
    this.#start[i] = start;
    this.#end[i] = end;
    this.#ms[i] = ms;
    this.#ns[i] = ns;
    this.#stream[i] = stream;
    if (metadata !== undefined && metadata.length > 0) (this.#metadata ??= [])[i] = metadata;
  }

  #resize(entries: number, keep: number): void {
    this.#start = grownInt32(this.#start, entries, keep);
    this.#end = grownInt32(this.#end, entries, keep);
    this.#ns = grownInt32(this.#ns, entries, keep);
    this.#stream = grownInt32(this.#stream, entries, keep);
    const ms = new Float64Array(entries);
    ms.set(this.#ms.subarray(0, keep));
    this.#ms = ms;
  }
}

function grownInt32(column: Int32Array, length: number, keep: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(length);
  grown.set(column.subarray(0, keep));
  return grown;
}

/** One entry in plain values, for tests, debug output and other cold paths. */
export interface LogEntry {
  readonly labels: Labels;
  readonly line: string;
  readonly ms: number;
  readonly ns: number;
  readonly metadata: readonly string[];
}

/** The entries of a batch, one by one. Not for hot paths. */
export function* logEntries(batch: LogBatch): Generator<LogEntry> {
  const data = sliceable(batch.data);
  for (let i = 0; i < batch.count; i++) {
    yield {
      labels: batch.streams[batch.stream[i]!]!,
      line: data.toString("utf8", batch.start[i]!, batch.end[i]!),
      ms: batch.ms[i]!,
      ns: batch.ns[i]!,
      metadata: batch.metadata?.[i] ?? [],
    };
  }
}

/** A batch of entries given in plain values, for tests and cold paths. */
export function logBatch(
  entries: Iterable<{
    readonly labels?: Labels;
    readonly line: string | Uint8Array;
    readonly ms?: number;
    readonly ns?: number;
    readonly metadata?: readonly string[];
  }>,
  acknowledgement: Acknowledgement = Acknowledgement.none,
): LogBatch {
  const builder = new LogBatchBuilder();
  for (const { labels = Labels.empty, line, ms = 0, ns = 0, metadata } of entries) {
    const stream = builder.streamId(labels);
    if (typeof line === "string") builder.addText(stream, ms, ns, line, metadata);
    else builder.add(stream, ms, ns, line, 0, line.length, metadata);
  }
  return builder.take(acknowledgement);
}
