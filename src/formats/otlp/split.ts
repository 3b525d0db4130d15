import { asBuffer, ProtoReader, ProtoWriter, varintLength, WIRE_BYTES } from "../protobuf.ts";
import { DATA } from "./fields.ts";
import { type Fragments, OtlpIndex } from "./otlp.ts";
import type { OtlpKind } from "./schema.ts";
import { METRIC_DATA_FIELDS } from "./schema.ts";

/** A request of its own, made of a run of items of another. */
export interface OtlpChunk {
  readonly bytes: Uint8Array;
  readonly items: number;
}

/** How the size of a chunk is measured. */
export type OtlpSizer = "items" | "bytes";

const FIELD_ITEMS = 2;
/** The tag of the data points in every kind of metric data. */
const POINTS = (DATA.points << 3) | WIRE_BYTES;
const index = new OtlpIndex();

/**
 * Cuts a request into requests that hold its items in order: the first of at most `first`, the others of at most `rest`
 * items or bytes, each with the resources and scopes of its items. Metrics are cut between data points. Items, resources
 * and scopes are copied as they are; groups without items vanish. An item larger than the limit in bytes comes alone.
 * A request that fits `first` is returned as it is. Throws ProtobufError for what is no valid request.
 *
 * Matches `splitTraces`, `splitMetrics` and `splitLogs` of the OpenTelemetry Collector's batch processor, except that
 * those drop unknown fields.
 */
export function splitRequest(
  kind: OtlpKind,
  bytes: Uint8Array,
  first: number,
  rest: number,
  sizer: OtlpSizer = "items",
): OtlpChunk[] {
  index.read(kind, bytes);
  try {
    if ((sizer === "items" ? index.items : bytes.length) <= first) return [{ bytes, items: index.items }];
    const cutter = new Cutter(index);
    const chunks: OtlpChunk[] = [];
    for (let limit = Math.max(1, first); !cutter.done; limit = Math.max(1, rest))
      chunks.push(cutter.next(limit, sizer));
    return chunks;
  } finally {
    index.clear();
  }
}

/** Copies the fields of the Metric that `reader` is at, of its data points just those whose number (from 0) is wanted. */
export function copyPoints(
  reader: ProtoReader,
  writer: ProtoWriter,
  source: Uint8Array,
  isWanted: (point: number) => boolean,
): void {
  let point = 0;
  while (!reader.done) {
    const start = reader.position;
    const tag = reader.tag();
    if ((tag & 7) !== 2 || !METRIC_DATA_FIELDS.includes(tag >>> 3)) {
      reader.skip(tag);
      writer.raw(source, start, reader.position);
      continue;
    }
    const outer = reader.enter();
    const mark = writer.begin(tag >>> 3);
    while (!reader.done) {
      const fieldStart = reader.position;
      const inner = reader.tag();
      reader.skip(inner);
      if (inner !== POINTS || isWanted(point++)) writer.raw(source, fieldStart, reader.position);
    }
    writer.end(mark);
    reader.leave(outer);
  }
}

/** Walks over an index and writes one chunk after the other. */
class Cutter {
  readonly #index: OtlpIndex;
  #entry = 0;
  /** Data points of the metric `#entry` that earlier chunks took. */
  #taken = 0;

  constructor(source: OtlpIndex) {
    this.#index = source;
    this.#skipEmpty();
  }

  get done(): boolean {
    return this.#entry >= this.#index.entries;
  }

  next(limit: number, sizer: OtlpSizer): OtlpChunk {
    const { entryItems, entries } = this.#index;
    const from = this.#entry;
    let to = from;
    let items = 0;
    let size = 0;
    /** Messages of metrics that this chunk holds only in part, by entry. */
    const partial = new Map<number, Uint8Array>();
    while (to < entries) {
      const left = entryItems[to]! - this.#taken;
      if (sizer === "bytes") {
        const cost = this.#cost(to, to === from);
        if (items > 0 && size + cost > limit) break;
        size += cost;
      } else if (items + left > limit) {
        const take = limit - items;
        if (take > 0) {
          partial.set(to, this.#slice(to, this.#taken, this.#taken + take));
          this.#taken += take;
          items += take;
          to += 1;
        }
        break;
      }
      if (this.#taken > 0) partial.set(to, this.#slice(to, this.#taken, entryItems[to]!));
      items += left;
      this.#taken = 0;
      to += 1;
    }
    const bytes = this.#encode(from, to, partial);
    this.#entry = this.#taken > 0 ? to - 1 : to;
    this.#skipEmpty();
    return { bytes, items };
  }

  /** An upper bound of the bytes that an entry adds to a chunk. */
  #cost(entry: number, firstOfChunk: boolean): number {
    const { entryField, entryEnd } = this.#index;
    const own = entryEnd[entry]! - entryField[entry]!;
    const scope = this.#scopeOf(entry);
    if (!firstOfChunk && this.#index.scopeEntries[scope] !== entry) return own;
    // A new group: its fragments, and tags and lengths of up to 6 bytes for resource and scope.
    return own + 12 + this.#index.scopeFragments.length(scope) + this.#resourceBytes(scope);
  }

  #scopeOf(entry: number): number {
    const { scopeEntries, scopes } = this.#index;
    let low = 0;
    let high = scopes - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (scopeEntries[middle]! <= entry) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #resourceBytes(scope: number): number {
    const { resourceScopes, resources, resourceFragments } = this.#index;
    let resource = resources - 1;
    while (resource > 0 && resourceScopes[resource]! > scope) resource -= 1;
    return resourceFragments.length(resource);
  }

  /** Metrics without data points and chunks made of nothing else carry nothing. */
  #skipEmpty(): void {
    const { entryItems, entries } = this.#index;
    while (this.#entry < entries && entryItems[this.#entry] === 0) this.#entry += 1;
  }

  /** The metric `entry` with just its data points `from … to`. */
  #slice(entry: number, from: number, to: number): Uint8Array {
    const { bytes, entryBody, entryEnd } = this.#index;
    const reader = new ProtoReader(bytes, entryBody[entry]!, entryEnd[entry]!);
    const writer = new ProtoWriter(1024);
    copyPoints(reader, writer, bytes, (point) => point >= from && point < to);
    return writer.finish();
  }

  /** Writes the entries `from … to` with their groups; lengths first, so that every byte is copied once. */
  #encode(from: number, to: number, partial: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const { resources, resourceScopes, scopeEntries, resourceFragments, scopeFragments } = this.#index;
    const scopeLengths: number[] = [];
    const resourceLengths: number[] = [];
    let total = 0;
    for (let r = 0; r < resources; r++) {
      let length = 0;
      for (let s = resourceScopes[r]!; s < resourceScopes[r + 1]!; s++) {
        const body = this.#entryBytes(Math.max(from, scopeEntries[s]!), Math.min(to, scopeEntries[s + 1]!), partial);
        const scopeLength = body === 0 ? 0 : body + scopeFragments.length(s);
        scopeLengths.push(scopeLength);
        if (scopeLength > 0) length += 1 + varintLength(scopeLength) + scopeLength;
      }
      if (length > 0) length += resourceFragments.length(r);
      resourceLengths.push(length);
      if (length > 0) total += 1 + varintLength(length) + length;
    }
    const target = new Target(total, asBuffer(this.#index.bytes));
    for (let r = 0; r < resources; r++) {
      if (resourceLengths[r] === 0) continue;
      target.header(1, resourceLengths[r]!);
      copyFragments(target, resourceFragments, r);
      for (let s = resourceScopes[r]!; s < resourceScopes[r + 1]!; s++) {
        if (scopeLengths[s] === 0) continue;
        target.header(2, scopeLengths[s]!);
        copyFragments(target, scopeFragments, s);
        this.#copyEntries(target, Math.max(from, scopeEntries[s]!), Math.min(to, scopeEntries[s + 1]!), partial);
      }
    }
    return target.bytes;
  }

  #entryBytes(from: number, to: number, partial: ReadonlyMap<number, Uint8Array>): number {
    const { entryField, entryEnd, entryItems } = this.#index;
    let sum = 0;
    for (let e = from; e < to; e++) {
      const message = partial.size === 0 ? undefined : partial.get(e);
      if (message !== undefined) sum += 1 + varintLength(message.length) + message.length;
      else if (entryItems[e] !== 0) sum += entryEnd[e]! - entryField[e]!;
    }
    return sum;
  }

  /** Neighbours in the source are copied in one go. */
  #copyEntries(target: Target, from: number, to: number, partial: ReadonlyMap<number, Uint8Array>): void {
    const { entryField, entryEnd, entryItems } = this.#index;
    let runStart = 0;
    let runEnd = 0;
    for (let e = from; e < to; e++) {
      const message = partial.size === 0 ? undefined : partial.get(e);
      if (message !== undefined) {
        target.copy(runStart, runEnd);
        runStart = runEnd = 0;
        target.header(FIELD_ITEMS, message.length);
        target.put(message);
      } else if (entryItems[e] !== 0) {
        if (entryField[e] !== runEnd) {
          target.copy(runStart, runEnd);
          runStart = entryField[e]!;
        }
        runEnd = entryEnd[e]!;
      }
    }
    target.copy(runStart, runEnd);
  }
}

function copyFragments(target: Target, { first, ranges }: Fragments, group: number): void {
  for (let f = first[group]!; f < first[group + 1]!; f++) target.copy(ranges[f * 2]!, ranges[f * 2 + 1]!);
}

/** A buffer of known size that is filled from the source. */
class Target {
  readonly bytes: Buffer;
  readonly #source: Buffer;
  #at = 0;

  constructor(size: number, source: Buffer) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.#source = source;
  }

  header(field: number, length: number): void {
    this.bytes[this.#at++] = (field << 3) | 2;
    let rest = length;
    while (rest >= 0x80) {
      this.bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.#at++] = rest;
  }

  copy(start: number, end: number): void {
    if (end > start) this.#at += this.#source.copy(this.bytes, this.#at, start, end);
  }

  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }
}
