import { allocate, type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/** A stream inside of a request that is being encoded. */
export interface EncodedStream {
  /** The encoder's generation in which it is valid. */
  readonly generation: number;
  readonly labels: Uint8Array;
  /** Finished pieces of the slab with this stream's entries: start, end, start, end, … */
  readonly pieces: number[];
  start: number;
  top: number;
  limit: number;
}

const FIRST_SLAB = 32 * 1024;
const LARGEST_KEPT_SLAB = 8 * 1024 * 1024;
/** Piece sizes double from what the first entry needs up to this. */
const LARGEST_PIECE = 16 * 1024;

/**
 * Encodes logproto.PushRequest (Loki's pkg/push) entry by entry. Entries go straight into one slab, in pieces that belong
 * to a stream each; the last piece grows in place, so that a single stream is one piece. `finish` joins the pieces.
 */
export class PushRequestEncoder {
  #slab = allocate(FIRST_SLAB);
  #top = 0;
  #last: EncodedStream | undefined;
  #streams: EncodedStream[] = [];
  #generation = 0;
  /** Entries since the last `finish`. */
  entries = 0;

  get generation(): number {
    return this.#generation;
  }
  get streams(): number {
    return this.#streams.length;
  }
  /** Bytes that the pieces take up. */
  get bytes(): number {
    return this.#top;
  }

  /** Begins a stream with the text of its labels in UTF-8. The caller keeps streams with equal labels together. */
  stream(labels: Uint8Array): EncodedStream {
    const stream = { generation: this.#generation, labels, pieces: [], start: 0, top: 0, limit: 0 };
    this.#streams.push(stream);
    return stream;
  }

  /** Adds the line `data[start, end)`. `metadata` is flat: name, value, …. */
  add(
    stream: EncodedStream,
    ms: number,
    ns: number,
    data: SliceableBuffer,
    start: number,
    end: number,
    metadata: readonly string[] | undefined,
  ): void {
    const line = end - start;
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms - seconds * 1000) * 1_000_000 + ns;
    const secondsSize = seconds === 0 ? 0 : 1 + int64Size(seconds);
    const time = secondsSize + (nanos === 0 ? 0 : 1 + varintSize(nanos));
    let body = 2 + time;
    if (line > 0) body += 1 + varintSize(line) + line;
    if (metadata !== undefined) body += metadataSize(metadata);
    let at = this.#reserve(stream, 1 + varintSize(body) + body);
    const slab = this.#slab;
    slab[at++] = 0x12;
    at = putVarint(slab, at, body);
    slab[at++] = 0x0a;
    slab[at++] = time;
    if (secondsSize > 0) {
      slab[at++] = 0x08;
      at = putInt64(slab, at, seconds);
    }
    if (nanos !== 0) {
      slab[at++] = 0x10;
      at = putVarint(slab, at, nanos);
    }
    if (line > 0) {
      slab[at++] = 0x12;
      at = putVarint(slab, at, line);
      data.copy(slab, at, start, end);
      at += line;
    }
    if (metadata !== undefined) at = putMetadata(slab, at, metadata);
    stream.top = at;
    this.entries += 1;
  }

  /** The request, in memory of its own or in `scratch` where it fits; the encoder begins anew. */
  finish(scratch?: Uint8Array): Uint8Array {
    const streams = this.#streams;
    let size = 0;
    for (const stream of streams) {
      if (stream.top > stream.start) stream.pieces.push(stream.start, stream.top);
      const inner = streamSize(stream);
      size += 1 + varintSize(inner) + inner;
    }
    const out = scratch !== undefined && scratch.length >= size ? sliceable(scratch) : allocate(size);
    let at = 0;
    for (const stream of streams) {
      const { labels, pieces } = stream;
      out[at++] = 0x0a;
      at = putVarint(out, at, streamSize(stream));
      out[at++] = 0x0a;
      at = putVarint(out, at, labels.length);
      out.set(labels, at);
      at += labels.length;
      for (let i = 0; i < pieces.length; i += 2) at += this.#slab.copy(out, at, pieces[i]!, pieces[i + 1]!);
    }
    // One huge line must not hold its memory for ever.
    if (this.#slab.length > LARGEST_KEPT_SLAB) this.#slab = allocate(FIRST_SLAB);
    this.#streams = [];
    this.#last = undefined;
    this.#top = 0;
    this.#generation += 1;
    this.entries = 0;
    return out.subarray(0, at);
  }

  #reserve(stream: EncodedStream, size: number): number {
    if (stream.top + size <= stream.limit) return stream.top;
    if (this.#last === stream) {
      // The last piece has nothing behind it.
      this.#grow(stream.top + size);
      this.#top = stream.limit = stream.top + size;
      return stream.top;
    }
    const first = stream.limit === 0;
    if (!first) stream.pieces.push(stream.start, stream.top);
    const room = first ? size : Math.max(size, Math.min(LARGEST_PIECE, 2 * (stream.limit - stream.start)));
    this.#grow(this.#top + room);
    stream.start = stream.top = this.#top;
    this.#top = stream.limit = this.#top + room;
    this.#last = stream;
    return stream.top;
  }

  #grow(needed: number): void {
    if (needed <= this.#slab.length) return;
    const larger = allocate(Math.max(needed, this.#slab.length * 2));
    this.#slab.copy(larger, 0, 0, this.#top);
    this.#slab = larger;
  }
}

/** The size of a stream's message, without its own tag and length. */
function streamSize(stream: EncodedStream): number {
  const { labels, pieces } = stream;
  let size = 1 + varintSize(labels.length) + labels.length;
  for (let i = 0; i < pieces.length; i += 2) size += pieces[i + 1]! - pieces[i]!;
  return size;
}

/** What structured metadata adds to an entry's message; Alloy counts it into the size of a batch. */
export function metadataSize(metadata: readonly string[]): number {
  let size = 0;
  for (let i = 0; i < metadata.length; i += 2) {
    const pair = pairSize(metadata, i);
    size += 1 + varintSize(pair) + pair;
  }
  return size;
}

function pairSize(metadata: readonly string[], i: number): number {
  const name = Buffer.byteLength(metadata[i]!);
  const value = Buffer.byteLength(metadata[i + 1]!);
  return (name > 0 ? 1 + varintSize(name) + name : 0) + (value > 0 ? 1 + varintSize(value) + value : 0);
}

function putMetadata(out: SliceableBuffer, start: number, metadata: readonly string[]): number {
  let at = start;
  for (let i = 0; i < metadata.length; i += 2) {
    out[at++] = 0x1a;
    at = putVarint(out, at, pairSize(metadata, i));
    for (let field = 0; field < 2; field++) {
      const text = metadata[i + field]!;
      const length = Buffer.byteLength(text);
      if (length === 0) continue;
      out[at++] = field === 0 ? 0x0a : 0x12;
      at = putVarint(out, at, length);
      at += out.utf8Write(text, at, length);
    }
  }
  return at;
}

/** The size of an unsigned number below 2^32 as a varint. */
export function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

function putVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest > 0x7f) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}

function int64Size(value: number): number {
  if (value >= 0 && value < 0x1_0000_0000) return varintSize(value);
  return value < 0 ? 10 : Math.max(5, Math.ceil((Math.floor(Math.log2(value)) + 1) / 7));
}

function putInt64(out: Uint8Array, start: number, value: number): number {
  if (value >= 0 && value < 0x1_0000_0000) return putVarint(out, start, value);
  let at = start;
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    out[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  out[at++] = Number(rest);
  return at;
}
