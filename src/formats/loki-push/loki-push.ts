import type { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { allocate } from "#pipeline/log-batch";
import { ProtobufError, ProtoReader } from "../protobuf.ts";
import { varintSize } from "./encode.ts";
import { LabelTextCache, LabelTextError } from "./labels.ts";

/** A push request that cannot be read. */
export class PushError extends Error {
  override readonly name = "PushError";
  /** Whether it has more entries than the caller allows. */
  readonly tooLarge: boolean;
  constructor(message: string, options: ErrorOptions & { readonly tooLarge?: boolean } = {}) {
    super(message, options);
    this.tooLarge = options.tooLarge ?? false;
  }
}

/** A decoded request, and what of it could not be read. */
export interface DecodedPush {
  readonly batch: LogBatch;
  /** The first stream whose labels could not be read; its entries are left out, the others are in the batch. */
  readonly problem: string | undefined;
  /** How many entries were left out for that. */
  readonly rejected: number;
}

/** What one stream weighs beside its entries: reading new labels costs more time and memory than a short entry. */
export const STREAM_WEIGHT = 8;
/** More streams with labels that cannot be read than this are not worth the time that reading takes. */
export const MAX_BAD_STREAMS = 1_000;

/** Throws when a request has more in it than the caller allows, counted in entries. */
export function checkPushWeight(weight: number, maxWeight: number): void {
  if (weight <= maxWeight) return;
  throw new PushError(`the request has more than ${Math.floor(maxWeight)} entries, streams and metadata`, {
    tooLarge: true,
  });
}

/** In seconds since 1970, the years 1 and 10000 of Go's times; others are refused as Loki's types refuse them. */
const FIRST_SECOND = -62_135_596_800;
const LAST_SECOND = 253_402_300_800;

/**
 * Decodes logproto.PushRequest without copying lines: the batch's data are `bytes`, which must not change while it is used.
 * Throws a PushError for what is no such message, and for one with more than `maxWeight` entries: a few bytes can tell of
 * an entry that takes much more of them in memory. Metadata weigh as much as entries, streams STREAM_WEIGHT times that.
 */
export function decodePush(
  bytes: Uint8Array,
  labelTexts: LabelTextCache = new LabelTextCache(),
  maxWeight = Infinity,
): DecodedPush {
  try {
    return new PushDecoder(bytes, labelTexts, maxWeight).decode();
  } catch (cause) {
    if (cause instanceof ProtobufError) throw new PushError(`not a push request: ${cause.message}`, { cause });
    throw cause;
  }
}

class PushDecoder {
  readonly #reader: ProtoReader;
  readonly #bytes: Uint8Array;
  readonly #labelTexts: LabelTextCache;
  readonly #maxWeight: number;
  #weight = 0;
  #count = 0;
  #start = new Int32Array(256);
  #end = new Int32Array(256);
  #ms = new Float64Array(256);
  #ns = new Int32Array(256);
  #stream = new Int32Array(256);
  readonly #streams: Labels[] = [];
  #metadata: (readonly string[] | undefined)[] | undefined;

  constructor(bytes: Uint8Array, labelTexts: LabelTextCache, maxWeight: number) {
    this.#bytes = bytes;
    this.#reader = new ProtoReader(bytes);
    this.#labelTexts = labelTexts;
    this.#maxWeight = maxWeight;
  }

  decode(): DecodedPush {
    const reader = this.#reader;
    let problem: string | undefined;
    let rejected = 0;
    let badStreams = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== 0x0a) {
        reader.skip(tag);
        continue;
      }
      this.#weigh(STREAM_WEIGHT);
      const before = this.#count;
      const outer = reader.enter();
      const labels = this.#streamEntries();
      reader.leave(outer);
      try {
        this.#streams.push(this.#labelTexts.get(labels));
      } catch (error) {
        if (!(error instanceof LabelTextError)) throw error;
        problem ??= error.message;
        if (++badStreams > MAX_BAD_STREAMS) throw new PushError(`${problem}; so it is with ${badStreams} streams`);
        rejected += this.#count - before;
        this.#count = before;
      }
    }
    const batch: LogBatch = {
      signal: "logs",
      count: this.#count,
      data: this.#bytes,
      start: this.#start,
      end: this.#end,
      ms: this.#ms,
      ns: this.#ns,
      stream: this.#stream,
      streams: this.#streams,
      metadata: this.#metadata,
      acknowledgement: Acknowledgement.none,
    };
    return { batch, problem, rejected };
  }

  /** Reads a stream's entries; gives the text of its labels. */
  #streamEntries(): string {
    const reader = this.#reader;
    let labels = "";
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x0a) labels = reader.string();
      else if (tag === 0x12) {
        const outer = reader.enter();
        this.#entry();
        reader.leave(outer);
      } else reader.skip(tag);
    }
    return labels;
  }

  #weigh(weight: number): void {
    this.#weight += weight;
    checkPushWeight(this.#weight, this.#maxWeight);
  }

  #entry(): void {
    this.#weigh(1);
    if (this.#count === this.#start.length) this.#grow();
    const reader = this.#reader;
    const i = this.#count++;
    let seconds = 0;
    let nanos = 0;
    let start = 0;
    let end = 0;
    let metadata: string[] | undefined;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x0a) {
        const outer = reader.enter();
        while (!reader.done) {
          const part = reader.tag();
          if (part === 0x08) seconds = reader.int64Number();
          else if (part === 0x10) nanos = reader.int32();
          else reader.skip(part);
        }
        reader.leave(outer);
      } else if (tag === 0x12) {
        const length = reader.length();
        start = reader.position;
        end = start + length;
        reader.position = end;
      } else if (tag === 0x1a) {
        this.#weigh(1);
        const outer = reader.enter();
        let name = "";
        let value = "";
        while (!reader.done) {
          const part = reader.tag();
          if (part === 0x0a) name = reader.string();
          else if (part === 0x12) value = reader.string();
          else reader.skip(part);
        }
        reader.leave(outer);
        (metadata ??= []).push(name, value);
      } else reader.skip(tag);
    }
    if (!(seconds >= FIRST_SECOND && seconds < LAST_SECOND && nanos >= 0 && nanos < 1_000_000_000)) {
      throw new PushError(`an entry has a time that cannot be: ${seconds} seconds and ${nanos} nanoseconds since 1970`);
    }
    const millis = Math.floor(nanos / 1_000_000);
    this.#start[i] = start;
    this.#end[i] = end;
    this.#ms[i] = seconds * 1000 + millis;
    this.#ns[i] = nanos - millis * 1_000_000;
    this.#stream[i] = this.#streams.length;
    if (metadata !== undefined) (this.#metadata ??= [])[i] = metadata;
    else if (this.#metadata !== undefined) this.#metadata[i] = undefined;
  }

  #grow(): void {
    const size = this.#count * 2;
    const grown = (column: Int32Array): Int32Array<ArrayBuffer> => {
      const larger = new Int32Array(size);
      larger.set(column);
      return larger;
    };
    this.#start = grown(this.#start);
    this.#end = grown(this.#end);
    this.#ns = grown(this.#ns);
    this.#stream = grown(this.#stream);
    const ms = new Float64Array(size);
    ms.set(this.#ms);
    this.#ms = ms;
  }
}

/** How many entries a request has. */
export function countPushEntries(bytes: Uint8Array): number {
  return pieces(bytes).length;
}

/** A request in two with half of the entries each, for servers that refuse large ones; undefined if it has fewer than two. */
export function splitPush(bytes: Uint8Array): readonly [Uint8Array, Uint8Array] | undefined {
  const all = pieces(bytes);
  if (all.length < 2) return undefined;
  const middle = all.length >> 1;
  return [join(bytes, all.slice(0, middle)), join(bytes, all.slice(middle))];
}

/** An entry's message with its tag and length, and the labels field of its stream, as ranges. */
interface Piece {
  readonly labelsStart: number;
  readonly labelsEnd: number;
  readonly start: number;
  readonly end: number;
}

function pieces(bytes: Uint8Array): Piece[] {
  const reader = new ProtoReader(bytes);
  const found: Piece[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== 0x0a) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    let labelsStart = 0;
    let labelsEnd = 0;
    while (!reader.done) {
      const start = reader.position;
      const part = reader.tag();
      reader.skip(part);
      if (part === 0x0a) {
        labelsStart = start;
        labelsEnd = reader.position;
      } else if (part === 0x12) found.push({ labelsStart, labelsEnd, start, end: reader.position });
    }
    reader.leave(outer);
  }
  return found;
}

function join(bytes: Uint8Array, entries: readonly Piece[]): Uint8Array {
  const streams = Map.groupBy(entries, (entry) => entry.labelsStart);
  const out = allocate(bytes.length + 16 * streams.size);
  let at = 0;
  for (const group of streams.values()) {
    const { labelsStart, labelsEnd } = group[0]!;
    let size = labelsEnd - labelsStart;
    for (const { start, end } of group) size += end - start;
    out[at++] = 0x0a;
    const length = varintSize(size);
    for (let i = 0, rest = size; i < length; i++, rest >>>= 7) out[at++] = (rest & 0x7f) | (i < length - 1 ? 0x80 : 0);
    out.set(bytes.subarray(labelsStart, labelsEnd), at);
    at += labelsEnd - labelsStart;
    for (const { start, end } of group) {
      out.set(bytes.subarray(start, end), at);
      at += end - start;
    }
  }
  return out.subarray(0, at);
}
