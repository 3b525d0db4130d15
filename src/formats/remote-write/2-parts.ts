import { Labels } from "#base/labels";
import { writeVarint } from "#pipeline/series-labels";
import { ProtoReader, ProtoWriter, WIRE_BYTES, WIRE_VARINT } from "../protobuf.ts";
import { SymbolTable } from "./2-symbols.ts";

/** 1 is `prometheus.WriteRequest`, 2 is `io.prometheus.write.v2.Request`. */
export type WriteVersion = 1 | 2;

const SERIES_1 = (1 << 3) | WIRE_BYTES;
const SYMBOL = (4 << 3) | WIRE_BYTES;
const SERIES_2 = (5 << 3) | WIRE_BYTES;
/** Fields of TimeSeries. */
const LABELS = (1 << 3) | WIRE_BYTES;
const LABEL_REF = (1 << 3) | WIRE_VARINT;
const SAMPLES = (2 << 3) | WIRE_BYTES;
const EXEMPLARS_1 = (3 << 3) | WIRE_BYTES;
const HISTOGRAMS_1 = (4 << 3) | WIRE_BYTES;
const HISTOGRAMS_2 = (3 << 3) | WIRE_BYTES;
const EXEMPLARS_2 = (4 << 3) | WIRE_BYTES;
const METADATA_2 = (5 << 3) | WIRE_BYTES;
/** Fields that 1.0 does not have: when samples and histograms began to count. */
const SAMPLE_START = (3 << 3) | WIRE_VARINT;
const HISTOGRAM_START = (17 << 3) | WIRE_VARINT;

/** A request in one of the two forms, uncompressed. */
export interface RequestBytes {
  readonly version: WriteVersion;
  readonly bytes: Uint8Array;
}

/** What one request holds: where its strings lie, and what index each has in the request under construction. */
interface Source {
  readonly bytes: Uint8Array;
  readonly version: WriteVersion;
  /** Begin and end of each string. */
  readonly symbols: readonly number[];
  indexes: Int32Array;
}

/**
 * The TimeSeries of one or several requests of this agent, in order, to be written anew: all of them or some, in either
 * version of the protocol. What version 1 has no place for (metadata, when samples began to count) is left out there.
 */
export class RequestParts {
  readonly #sources: Source[] = [];
  /** Of each TimeSeries: the number of its source, where it begins, where it ends. */
  readonly #series: number[] = [];

  constructor(requests: readonly RequestBytes[]) {
    for (const { version, bytes } of requests) {
      const reader = new ProtoReader(bytes);
      const symbols: number[] = [];
      const source: Source = { bytes, version, symbols, indexes: new Int32Array(0) };
      while (!reader.done) {
        const tag = reader.tag();
        if (version === 2 && tag === SYMBOL) {
          const outer = reader.enter();
          symbols.push(reader.position, reader.end);
          reader.leave(outer);
        } else if (tag === (version === 1 ? SERIES_1 : SERIES_2)) {
          const outer = reader.enter();
          this.#series.push(this.#sources.length, reader.position, reader.end);
          reader.leave(outer);
        } else reader.skip(tag);
      }
      this.#sources.push(source);
    }
  }

  /** The number of TimeSeries. */
  get count(): number {
    return this.#series.length / 3;
  }

  /** An uncompressed request with the TimeSeries `from` … `to` − 1. */
  write(from: number, to: number, version: WriteVersion): Uint8Array {
    const out = new ProtoWriter(64 * 1024);
    const table = new SymbolTable();
    for (const source of this.#sources) source.indexes = new Int32Array(source.symbols.length / 2).fill(-1);
    for (let i = from; i < to; i++) {
      const source = this.#sources[this.#series[i * 3]!]!;
      const reader = new ProtoReader(source.bytes, this.#series[i * 3 + 1]!, this.#series[i * 3 + 2]!);
      const mark = out.begin(version === 1 ? 1 : 5);
      if (source.version === version && version === 1) out.raw(source.bytes, reader.position, reader.end);
      else if (source.version === 1) toVersion2(reader, out, table);
      else if (version === 1) toVersion1(reader, out, source);
      else again(reader, out, source, table);
      out.end(mark);
    }
    if (version === 1) return out.finish();
    const symbols = table.bytes();
    const request = Buffer.allocUnsafeSlow(symbols.length + out.length);
    symbols.copy(request);
    request.set(out.view(), symbols.length);
    return request;
  }

  /** The labels of a TimeSeries. */
  labels(index: number): Labels {
    const source = this.#sources[this.#series[index * 3]!]!;
    const reader = new ProtoReader(source.bytes, this.#series[index * 3 + 1]!, this.#series[index * 3 + 2]!);
    const flat: string[] = [];
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== LABELS) reader.skip(tag);
      else if (source.version === 1) {
        const outer = reader.enter();
        while (!reader.done) {
          reader.tag();
          flat.push(reader.string());
        }
        reader.leave(outer);
      } else {
        const outer = reader.enter();
        while (!reader.done) flat.push(textOf(source, reader.varint()));
        reader.leave(outer);
      }
    }
    return Labels.from(flat.flatMap((text, i) => (i % 2 === 0 ? [[text, flat[i + 1] ?? ""] as [string, string]] : [])));
  }
}

function textOf({ bytes, symbols }: Source, index: number): string {
  const start = symbols[index * 2];
  if (start === undefined) throw new RangeError(`the request has no string ${index}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8", start, symbols[index * 2 + 1]);
}

/** The index in `table` of a source's string. */
function indexOf(source: Source, table: SymbolTable, old: number): number {
  const known = source.indexes[old];
  if (known === undefined) throw new RangeError(`the request has no string ${old}`);
  if (known >= 0) return known;
  const index = table.intern(source.bytes, source.symbols[old * 2]!, source.symbols[old * 2 + 1]!);
  source.indexes[old] = index;
  return index;
}

const scratch = { indexes: new Int32Array(64), bytes: new Uint8Array(64 * 5) };

/** Indexes of strings as a packed field 1. */
function writeIndexes(out: ProtoWriter, indexes: Int32Array, count: number): void {
  if (count * 5 > scratch.bytes.length) scratch.bytes = new Uint8Array(count * 10);
  let at = 0;
  for (let i = 0; i < count; i++) at = writeVarint(scratch.bytes, at, indexes[i]!);
  out.bytes(1, scratch.bytes, 0, at);
}

/** Room for at least `count` indexes; what is in it stays. */
function room(count: number): Int32Array {
  if (count > scratch.indexes.length) {
    const larger = new Int32Array(count * 2);
    larger.set(scratch.indexes);
    scratch.indexes = larger;
  }
  return scratch.indexes;
}

/** A packed list of indexes of `source`, as those of `table`. */
function moveIndexes(reader: ProtoReader, out: ProtoWriter, source: Source, table: SymbolTable): void {
  const outer = reader.enter();
  let count = 0;
  while (!reader.done) {
    room(count + 1)[count] = indexOf(source, table, reader.varint());
    count += 1;
  }
  reader.leave(outer);
  writeIndexes(out, scratch.indexes, count);
}

/** A field as it is, behind its tag. */
function copyField(reader: ProtoReader, out: ProtoWriter, tag: number): void {
  const from = reader.position;
  reader.skip(tag);
  out.rawVarint(tag);
  out.raw(reader.bytes, from, reader.position);
}

/** A TimeSeries of version 2 with the indexes of another table. */
function again(reader: ProtoReader, out: ProtoWriter, source: Source, table: SymbolTable): void {
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LABELS) moveIndexes(reader, out, source, table);
    else if (tag === EXEMPLARS_2 || tag === METADATA_2) {
      const outer = reader.enter();
      const mark = out.begin(tag >>> 3);
      while (!reader.done) {
        const inner = reader.tag();
        if (tag === EXEMPLARS_2 && inner === LABELS) moveIndexes(reader, out, source, table);
        // Of metadata, all but the type (field 1) are indexes.
        else if (tag === METADATA_2 && inner !== LABEL_REF) {
          out.uint32(inner >>> 3, indexOf(source, table, reader.varint()));
        } else copyField(reader, out, inner);
      }
      out.end(mark);
      reader.leave(outer);
    } else copyField(reader, out, tag);
  }
}

function toVersion1(reader: ProtoReader, out: ProtoWriter, source: Source): void {
  const pairs = (field: number) => {
    const outer = reader.enter();
    while (!reader.done) {
      const mark = out.begin(field);
      for (const part of [1, 2]) {
        const symbol = reader.varint();
        out.bytes(part, source.bytes, source.symbols[symbol * 2]!, source.symbols[symbol * 2 + 1]!);
      }
      out.end(mark);
    }
    reader.leave(outer);
  };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === LABELS) pairs(1);
    else if (tag === METADATA_2) reader.skip(tag);
    else {
      const field = tag === HISTOGRAMS_2 ? HISTOGRAMS_1 : tag === EXEMPLARS_2 ? EXEMPLARS_1 : tag;
      const outer = reader.enter();
      const mark = out.begin(field >>> 3);
      while (!reader.done) {
        const inner = reader.tag();
        if (tag === EXEMPLARS_2 && inner === LABELS) pairs(1);
        else if ((tag === SAMPLES && inner === SAMPLE_START) || (tag === HISTOGRAMS_2 && inner === HISTOGRAM_START)) {
          reader.skip(inner);
        } else copyField(reader, out, inner);
      }
      out.end(mark);
      reader.leave(outer);
    }
  }
}

function toVersion2(reader: ProtoReader, out: ProtoWriter, table: SymbolTable): void {
  // Labels come first in what this agent writes, each as a field of its own; here they are one list.
  const pair = (indexes: Int32Array, count: number) => {
    const outer = reader.enter();
    for (let part = 0; part < 2; part++) {
      reader.tag();
      const length = reader.length();
      indexes[count + part] = table.intern(reader.bytes, reader.position, reader.position + length);
      reader.position += length;
    }
    reader.leave(outer);
  };
  const pairs = (): void => {
    let count = 0;
    while (!reader.done) {
      const before = reader.position;
      if (reader.tag() !== LABELS) {
        reader.position = before;
        break;
      }
      pair(room(count + 2), count);
      count += 2;
    }
    if (count > 0) writeIndexes(out, scratch.indexes, count);
  };
  pairs();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === EXEMPLARS_1) {
      const outer = reader.enter();
      const mark = out.begin(EXEMPLARS_2 >>> 3);
      pairs();
      while (!reader.done) copyField(reader, out, reader.tag());
      out.end(mark);
      reader.leave(outer);
    } else if (tag === HISTOGRAMS_1) {
      const outer = reader.enter();
      out.bytes(HISTOGRAMS_2 >>> 3, reader.bytes, reader.position, reader.end);
      reader.leave(outer);
    } else copyField(reader, out, tag);
  }
}
