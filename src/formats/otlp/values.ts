import { sliceable } from "#pipeline/log-batch";
import { asBuffer, ProtoReader, type ProtoWriter } from "../protobuf.ts";
import type { AttributeKey } from "./attribute-key.ts";
// Maps are values and hold values: each of the two files needs the other, but neither while it is loaded.
import { KeyValues } from "./key-values.ts";

export { AttributeKey } from "./attribute-key.ts";
export { EncodedEntry, KeyValues, type RawEntry } from "./key-values.ts";

/**
 * Attributes and other AnyValues of OTLP as they lie in a request, decoded as late and as little as possible. Edits are
 * kept beside the bytes; whatever nobody edited is written as it came, byte for byte.
 */

/** `undefined` is the empty value; whole numbers are bigints, doubles are numbers. */
export type AnyValue = undefined | string | bigint | number | boolean | Uint8Array | KeyValues | ValueList;

/** What can be part of a record and writes itself when it was edited. */
export interface RecordPart {
  readonly changed: boolean;
  /** Writes all of the field's occurrences. */
  writeField(writer: ProtoWriter, field: number): void;
}

/** A list inside of a value. Who edits `items` sets `edited`. */
export class ValueList {
  items: AnyValue[];
  edited: boolean;
  constructor(items: AnyValue[], edited = true) {
    this.items = items;
    this.edited = edited;
  }
  get changed(): boolean {
    return this.edited || this.items.some(isChanged);
  }
  copy(): ValueList {
    return new ValueList(this.items.map(copyValue));
  }
}

/** One AnyValue that is a field by itself: the body of a log record. */
export class AnyPart implements RecordPart {
  #value: AnyValue;
  #edited = false;

  reset(value: AnyValue): void {
    this.#value = value;
    this.#edited = false;
  }
  get value(): AnyValue {
    return this.#value;
  }
  set value(value: AnyValue) {
    this.#value = value;
    this.#edited = true;
  }
  get changed(): boolean {
    return this.#edited || isChanged(this.#value);
  }
  writeField(writer: ProtoWriter, field: number): void {
    const mark = writer.begin(field);
    writeAny(writer, this.#value);
    writer.end(mark);
  }
}

export function isMutable(value: unknown): value is KeyValues | ValueList {
  return typeof value === "object" && (value instanceof KeyValues || value instanceof ValueList);
}
export function isChanged(value: unknown): boolean {
  return isMutable(value) && value.changed;
}

/** Maps and lists as copies, all else as it is. */
export function copyValue(value: AnyValue): AnyValue {
  return isMutable(value) ? value.copy() : value;
}

/** The AnyValue at `bytes[start, end)`; of several values the last counts. Throws ProtobufError. */
export function decodeAny(bytes: Buffer, start: number, end: number): AnyValue {
  // The common form first: a short string and nothing else.
  if (bytes[start] === 10 && end - start === bytes[start + 1]! + 2) return sliceable(bytes).utf8Slice(start + 2, end);
  const source = new ProtoReader(bytes, start, end);
  let value: AnyValue;
  while (!source.done) {
    const tag = source.tag();
    switch (tag) {
      case 10:
        value = source.string();
        break;
      case 16:
        value = source.bool();
        break;
      case 24:
        value = source.int64();
        break;
      case 33:
        value = source.double();
        break;
      case 42:
        value = decodeList(source);
        break;
      case 50:
        value = decodeMap(source);
        break;
      case 58:
        value = source.lengthDelimited();
        break;
      default:
        source.skip(tag);
    }
  }
  return value;
}

function decodeMap(source: ProtoReader): KeyValues {
  const outer = source.enter();
  const map = new KeyValues();
  map.reset(source.bytes);
  while (!source.done) {
    const at = source.position;
    const tag = source.tag();
    if (tag !== 10) {
      source.skip(tag);
      continue;
    }
    source.skip(tag);
    map.addRun(at, source.position);
  }
  source.leave(outer);
  return map;
}

function decodeList(source: ProtoReader): ValueList {
  const outer = source.enter();
  const items: AnyValue[] = [];
  while (!source.done) {
    const tag = source.tag();
    if (tag !== 10) {
      source.skip(tag);
      continue;
    }
    const length = source.length();
    const body = source.position;
    items.push(decodeAny(asBuffer(source.bytes), body, body + length));
    source.position = body + length;
  }
  source.leave(outer);
  return new ValueList(items, false);
}

/** Writes the fields of an AnyValue. */
export function writeAny(writer: ProtoWriter, value: AnyValue): void {
  switch (typeof value) {
    case "string":
      writer.string(1, value);
      return;
    case "boolean":
      writer.bool(2, value);
      return;
    case "bigint":
      writer.int64(3, value);
      return;
    case "number":
      writer.double(4, value);
      return;
    case "undefined":
      return;
  }
  if (value instanceof KeyValues) {
    const mark = writer.begin(6);
    value.writeField(writer, 1);
    writer.end(mark);
  } else if (value instanceof ValueList) {
    const mark = writer.begin(5);
    for (const item of value.items) {
      const inner = writer.begin(1);
      writeAny(writer, item);
      writer.end(inner);
    }
    writer.end(mark);
  } else writer.bytes(7, value);
}

/** Writes a KeyValue as an occurrence of this field. */
export function writeKeyValue(writer: ProtoWriter, field: number, key: string | AttributeKey, value: AnyValue): void {
  const mark = writer.begin(field);
  if (typeof key === "string") writer.string(1, key);
  else writer.copy(key.field, 0, key.field.buffer.length);
  const inner = writer.begin(2);
  writeAny(writer, value);
  writer.end(inner);
  writer.end(mark);
}
