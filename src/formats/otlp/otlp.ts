import { asBuffer, ProtobufError, ProtoReader } from "../protobuf.ts";
import {
  ENTRY_MESSAGES,
  MAX_NESTING,
  METRIC_DATA_FIELDS,
  type OtlpKind,
  type OtlpMessage,
  REQUESTS,
} from "./schema.ts";

export type { OtlpKind } from "./schema.ts";

/** Bits of a shape's entry: the wire type that the field must have, and what is special about it. */
const WIRE_MASK = 7;
const KNOWN = 8;
/** A repeated number, which may also come one by one; the low bits are the wire type of one. */
const PACKABLE = 16;
const TRACE_ID = 32;
const SPAN_ID = 64;
const MESSAGE = 128;

/** A message of the schema in the form in which the validator reads it: flat arrays by field number. */
interface Shape {
  readonly flags: Uint8Array;
  readonly children: (Shape | undefined)[];
}

const WIRE_TYPES: Readonly<Record<string, number>> = {
  string: 2,
  bytes: 2,
  traceId: 2,
  spanId: 2,
  message: 2,
  bool: 0,
  int32: 0,
  uint32: 0,
  sint32: 0,
  int64: 0,
  uint64: 0,
  enum: 0,
  fixed32: 5,
  fixed64: 1,
  sfixed64: 1,
  double: 1,
};

const shapes = new Map<OtlpMessage, Shape>();

function shapeOf(message: OtlpMessage): Shape {
  const known = shapes.get(message);
  if (known !== undefined) return known;
  const shape: Shape = { flags: new Uint8Array(32), children: new Array(32).fill(undefined) };
  shapes.set(message, shape);
  for (const field of message.fields) {
    const wire = WIRE_TYPES[field.type]!;
    let flags = KNOWN | wire;
    if (field.repeated && wire !== 2) flags |= PACKABLE;
    if (field.type === "traceId") flags |= TRACE_ID;
    if (field.type === "spanId") flags |= SPAN_ID;
    if (field.message !== undefined) flags |= MESSAGE;
    shape.flags[field.number] = flags;
    if (field.message !== undefined) shape.children[field.number] = shapeOf(field.message);
  }
  return shape;
}

const HEADER_SHAPES = {
  resource: shapeOf(REQUESTS.traces.byNumber[1]!.message!.byNumber[1]!.message!),
  scope: shapeOf(REQUESTS.traces.byNumber[1]!.message!.byNumber[2]!.message!.byNumber[1]!.message!),
};
const ENTRY_SHAPES: Readonly<Record<OtlpKind, Shape>> = {
  traces: shapeOf(ENTRY_MESSAGES.traces),
  metrics: shapeOf(ENTRY_MESSAGES.metrics),
  logs: shapeOf(ENTRY_MESSAGES.logs),
};
/** Of attributes, wherever they are. */
const KEY_VALUE = HEADER_SHAPES.resource.children[1]!;

const EMPTY = new Uint8Array(0);

/**
 * What groups of one kind hold beside their members: group g has the ranges `ranges[2f], ranges[2f + 1]` for f from
 * `first[g]` to before `first[g + 1]`.
 */
export class Fragments {
  first = new Int32Array(33);
  ranges = new Int32Array(128);
  #groups = 0;
  #count = 0;

  reset(): void {
    this.#groups = 0;
    this.#count = 0;
  }
  begin(group: number): void {
    if (group + 2 > this.first.length) this.first = grown(this.first);
    this.first[group] = this.#count;
    this.first[group + 1] = this.#count;
    this.#groups = group + 1;
  }
  /** Adds a range to the last group; neighbours become one. */
  add(start: number, end: number): void {
    const count = this.#count;
    if (count > this.first[this.#groups - 1]! && this.ranges[count * 2 - 1] === start) {
      this.ranges[count * 2 - 1] = end;
      return;
    }
    if (count * 2 + 2 > this.ranges.length) this.ranges = grown(this.ranges);
    this.ranges[count * 2] = start;
    this.ranges[count * 2 + 1] = end;
    this.#count = count + 1;
    this.first[this.#groups] = this.#count;
  }
  /** The bytes in all ranges of a group. */
  length(group: number): number {
    let sum = 0;
    for (let f = this.first[group]!; f < this.first[group + 1]!; f++)
      sum += this.ranges[f * 2 + 1]! - this.ranges[f * 2]!;
    return sum;
  }
}

/**
 * Where everything is in an Export…ServiceRequest: resource groups, scope groups in them, entries (spans, metrics, log
 * records) in those, all as offsets into `bytes`. One index is reused for many requests; its columns grow.
 *
 * - Resource r has the scopes `resourceScopes[r] … resourceScopes[r + 1]`, scope s the entries
 *   `scopeEntries[s] … scopeEntries[s + 1]`.
 * - Entry e's field (tag, length and body) is `entryField[e] … entryEnd[e]`, its message starts at `entryBody[e]`, and it
 *   counts `entryItems[e]` items: 1, or the data points of a metric.
 * - Whatever else a group holds (resource or scope, schema URL, unknown fields) are its fragments, see `Fragments`.
 */
export class OtlpIndex {
  bytes: Uint8Array = EMPTY;
  kind: OtlpKind = "traces";
  /** Spans, data points or log records. */
  items = 0;
  resources = 0;
  scopes = 0;
  entries = 0;
  resourceScopes = new Int32Array(17);
  scopeEntries = new Int32Array(33);
  entryField = new Int32Array(1024);
  entryBody = new Int32Array(1024);
  entryEnd = new Int32Array(1024);
  entryItems = new Int32Array(1024);
  readonly resourceFragments = new Fragments();
  readonly scopeFragments = new Fragments();
  readonly #reader = new ProtoReader(EMPTY);
  /** Ranges of the scopes of the current resource, read once the rest of the group has been. */
  readonly #pendingScopes: number[] = [];
  readonly #isTrusting: boolean;

  /** `isTrusting`: only for requests that a receiver has validated, whose entries are left unread then. */
  constructor({ isTrusting = false }: { readonly isTrusting?: boolean } = {}) {
    this.#isTrusting = isTrusting;
  }

  /**
   * Indexes and validates a request down to the last attribute: wire types, lengths, nesting, ids of 16 and 8 bytes.
   * Throws ProtobufError; the index is then of no use until the next `read`.
   */
  read(kind: OtlpKind, bytes: Uint8Array): void {
    this.bytes = bytes;
    this.kind = kind;
    this.items = 0;
    this.resources = 0;
    this.scopes = 0;
    this.entries = 0;
    this.resourceFragments.reset();
    this.scopeFragments.reset();
    const reader = this.#reader;
    reader.reset(bytes);
    while (reader.position < reader.end) {
      const tag = reader.tag();
      if (tag === 10) this.#resource(reader);
      else {
        if (tag >>> 3 === 1) wrongWireType(tag, reader.position);
        reader.skip(tag);
      }
    }
    this.resourceScopes[this.resources] = this.scopes;
    this.scopeEntries[this.scopes] = this.entries;
  }

  /** Forgets the bytes, so that an idle index does not keep a request alive. */
  clear(): void {
    this.bytes = EMPTY;
    this.#reader.reset(EMPTY);
  }

  #resource(reader: ProtoReader): void {
    const outer = reader.enter();
    const resource = this.resources;
    if (resource + 2 >= this.resourceScopes.length) {
      this.resourceScopes = grown(this.resourceScopes);
    }
    this.resourceScopes[resource] = this.scopes;
    const scopeRanges = this.#pendingScopes;
    scopeRanges.length = 0;
    this.resourceFragments.begin(resource);
    while (reader.position < reader.end) {
      const start = reader.position;
      const tag = reader.tag();
      if (tag === 18) {
        const length = reader.length();
        scopeRanges.push(reader.position, reader.position + length);
        reader.position += length;
        continue;
      }
      this.#header(reader, tag, HEADER_SHAPES.resource);
      this.resourceFragments.add(start, reader.position);
    }
    this.resources = resource + 1;
    const groupEnd = reader.end;
    for (let i = 0; i < scopeRanges.length; i += 2) {
      reader.position = scopeRanges[i]!;
      reader.end = scopeRanges[i + 1]!;
      this.#scope(reader);
    }
    reader.end = groupEnd;
    reader.leave(outer);
  }

  #scope(reader: ProtoReader): void {
    const scope = this.scopes;
    if (scope + 2 >= this.scopeEntries.length) {
      this.scopeEntries = grown(this.scopeEntries);
    }
    this.scopeEntries[scope] = this.entries;
    this.scopeFragments.begin(scope);
    const shape = ENTRY_SHAPES[this.kind];
    const metrics = this.kind === "metrics";
    while (reader.position < reader.end) {
      const start = reader.position;
      const tag = reader.tag();
      if (tag === 18) {
        const length = reader.length();
        const body = reader.position;
        const end = body + length;
        if (!this.#isTrusting) validate(reader.bytes, body, end, shape, 4);
        const items = metrics ? countPoints(reader, body, end) : 1;
        this.#entry(start, body, end, items);
        reader.position = end;
        continue;
      }
      this.#header(reader, tag, HEADER_SHAPES.scope);
      this.scopeFragments.add(start, reader.position);
    }
    this.scopes = scope + 1;
  }

  /** A field of a group other than its members: 1 is the resource or scope, 3 the schema URL. */
  #header(reader: ProtoReader, tag: number, shape: Shape): void {
    const field = tag >>> 3;
    if (field <= 3 && (tag & 7) !== 2) wrongWireType(tag, reader.position);
    if (tag !== 10) {
      reader.skip(tag);
      return;
    }
    const length = reader.length();
    validate(reader.bytes, reader.position, reader.position + length, shape, 4);
    reader.position += length;
  }

  #entry(start: number, body: number, end: number, items: number): void {
    const entry = this.entries;
    if (entry >= this.entryField.length) {
      this.entryField = grown(this.entryField);
      this.entryBody = grown(this.entryBody);
      this.entryEnd = grown(this.entryEnd);
      this.entryItems = grown(this.entryItems);
    }
    this.entryField[entry] = start;
    this.entryBody[entry] = body;
    this.entryEnd[entry] = end;
    this.entryItems[entry] = items;
    this.entries = entry + 1;
    this.items += items;
  }
}

const counter = new OtlpIndex();

/** The number of spans, data points or log records. Throws ProtobufError for what is no valid request. */
export function countItems(kind: OtlpKind, bytes: Uint8Array): number {
  counter.read(kind, bytes);
  const { items } = counter;
  counter.clear();
  return items;
}

/** The data points of the metric at `bytes[body, end)`. */
export function countPoints(reader: ProtoReader, body: number, end: number): number {
  const outer = reader.end;
  let points = 0;
  reader.position = body;
  reader.end = end;
  while (reader.position < end) {
    const tag = reader.tag();
    if ((tag & 7) !== 2 || !METRIC_DATA_FIELDS.includes(tag >>> 3)) {
      reader.skip(tag);
      continue;
    }
    const metricEnd = reader.enter();
    while (reader.position < reader.end) {
      const inner = reader.tag();
      if (inner === 10) points += 1;
      reader.skip(inner);
    }
    reader.leave(metricEnd);
  }
  reader.end = outer;
  return points;
}

/** Checks that `bytes[at, end)` is a message of this shape, all the way down. The hot loop of the receiver. */
function validate(bytes: Uint8Array, start: number, end: number, shape: Shape, depth: number): void {
  if (depth > MAX_NESTING) throw new ProtobufError(`messages nest deeper than ${MAX_NESTING}`, start);
  const { flags: allFlags, children } = shape;
  let at = start;
  while (at < end) {
    const tagAt = at;
    let tag = bytes[at++]!;
    if (tag >= 0x80) {
      // Two bytes hold every field that the schema knows; longer tags are of unknown fields.
      const second = at < end ? bytes[at]! : 0x80;
      if (second >= 0x80) {
        at = skipUnknown(bytes, tagAt, end);
        continue;
      }
      at += 1;
      tag = (tag & 0x7f) | (second << 7);
    }
    const flags = tag < 256 ? allFlags[tag >>> 3]! : 0;
    if (flags === 0 || (tag & 7) !== (flags & WIRE_MASK)) {
      if (flags === 0) at = skipUnknown(bytes, tagAt, end);
      else if ((flags & PACKABLE) !== 0 && (tag & 7) === 2) at = skipPacked(bytes, at, end, flags & WIRE_MASK);
      else wrongWireType(tag, tagAt);
      continue;
    }
    switch (tag & 7) {
      case 2: {
        if (at >= end) throw new ProtobufError("truncated varint", at);
        const lengthAt = at;
        let length = bytes[at++]!;
        if (length >= 0x80) {
          length &= 0x7f;
          for (let shift = 7; ; shift += 7) {
            if (at >= end) throw new ProtobufError("truncated varint", at);
            if (shift > 21) {
              // Rare: padded, or beyond any request that fits the limits of a receiver.
              const reader = new ProtoReader(bytes, lengthAt, end);
              length = reader.length();
              at = reader.position;
              break;
            }
            const byte = bytes[at++]!;
            length |= (byte & 0x7f) << shift;
            if (byte < 0x80) break;
          }
        }
        if (length > end - at) throw new ProtobufError("a length reaches beyond the end of its message", at);
        if ((flags & (MESSAGE | TRACE_ID | SPAN_ID)) !== 0) {
          if ((flags & MESSAGE) !== 0) {
            const child = children[tag >>> 3]!;
            if (child !== KEY_VALUE || depth + 2 > MAX_NESTING || !isPlainText(bytes, at, at + length)) {
              validate(bytes, at, at + length, child, depth + 1);
            }
          } else if (length !== 0 && length !== ((flags & TRACE_ID) !== 0 ? 16 : 8)) {
            const name = (flags & TRACE_ID) !== 0 ? "trace id" : "span id";
            throw new ProtobufError(`a ${name} of ${length} bytes`, at);
          }
        }
        at += length;
        break;
      }
      case 0:
        at = skipVarint(bytes, at, end);
        break;
      case 1:
        at += 8;
        if (at > end) throw new ProtobufError("truncated message", at - 8);
        break;
      default:
        at += 4;
        if (at > end) throw new ProtobufError("truncated message", at - 4);
    }
  }
}

/** Whether a KeyValue is a key and a text of lengths of one byte and nothing else, as most of all messages are. */
function isPlainText(bytes: Uint8Array, start: number, end: number): boolean {
  const keyLength = bytes[start + 1]!;
  const value = start + 4 + keyLength;
  const length = end - value;
  return (
    bytes[start] === 10 &&
    keyLength < 0x80 &&
    length >= 2 &&
    length < 0x80 &&
    bytes[value - 2] === 18 &&
    bytes[value - 1] === length &&
    bytes[value] === 10 &&
    bytes[value + 1] === length - 2
  );
}

function skipVarint(bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at < end; ) {
    const byte = bytes[at++]!;
    if (byte < 0x80) {
      if (at - start === 10 && byte > 1) break;
      return at;
    }
    if (at - start >= 10) break;
  }
  throw new ProtobufError(end - start < 10 ? "truncated varint" : "varint longer than 64 bits", start);
}

function skipPacked(bytes: Uint8Array, start: number, end: number, wireType: number): number {
  const reader = new ProtoReader(bytes, start, end);
  const length = reader.length();
  const last = reader.position + length;
  if (wireType === 0) for (let at = reader.position; at < last; ) at = skipVarint(bytes, at, last);
  else if (length % (wireType === 1 ? 8 : 4) !== 0) throw new ProtobufError("packed numbers of odd length", start);
  return last;
}

function skipUnknown(bytes: Uint8Array, start: number, end: number): number {
  const reader = new ProtoReader(bytes, start, end);
  reader.skip(reader.tag());
  return reader.position;
}

function wrongWireType(tag: number, offset: number): never {
  throw new ProtobufError(`wire type ${tag & 7} for field ${tag >>> 3} of OTLP`, offset);
}

function grown(column: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(column.length * 2);
  larger.set(column);
  return larger;
}

/** All parts as one message, which protobuf's wire format makes of a concatenation. */
export function joinParts(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts.map(asBuffer));
}
