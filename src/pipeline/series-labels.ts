import { Labels } from "#base/labels";

/**
 * Labels in remote-write form: repeated `Label` messages as field 1 of TimeSeries,
 * `0a LENGTH 0a LENGTH name 12 LENGTH value`, sorted by name.
 */

/** An upper bound of what `encodeLabels` writes, in bytes. */
export function encodedLabelsLength(labels: Labels): number {
  let length = 0;
  for (const text of labels.flat) length += text.length * 3 + 16;
  return length;
}

/** Writes the labels to `target` at `at`; returns the offset after them. */
export function encodeLabels(labels: Labels, target: Buffer, at: number): number {
  const { flat } = labels;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    const value = flat[i + 1]!;
    const nameLength = Buffer.byteLength(name);
    const valueLength = Buffer.byteLength(value);
    target[at] = 0x0a;
    at = writeVarint(
      target,
      at + 1,
      2 + varintLength(nameLength) + nameLength + varintLength(valueLength) + valueLength,
    );
    target[at] = 0x0a;
    at = writeVarint(target, at + 1, nameLength);
    at += target.write(name, at);
    target[at] = 0x12;
    at = writeVarint(target, at + 1, valueLength);
    at += target.write(value, at);
  }
  return at;
}

/** The labels in `bytes[start, end)`, which this module or the registry wrote: nothing is checked. */
export function decodeLabels(bytes: Buffer, start: number, end: number): Labels {
  const flat: string[] = [];
  let at = start;
  while (at < end) {
    at = skipVarint(bytes, at + 1);
    for (let part = 0; part < 2; part++) {
      const length = readVarint(bytes, at + 1);
      at = skipVarint(bytes, at + 1);
      flat.push(bytes.toString("utf8", at, at + length));
      at += length;
    }
  }
  return Labels.fromSorted(flat);
}

/** Visits the labels in `bytes[start, end)` as ranges; nothing is checked. */
export function forEachLabel(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (nameStart: number, nameEnd: number, valueStart: number, valueEnd: number) => void,
): void {
  let at = start;
  while (at < end) {
    at = skipVarint(bytes, at + 1);
    const nameLength = readVarint(bytes, at + 1);
    const nameStart = skipVarint(bytes, at + 1);
    at = nameStart + nameLength;
    const valueLength = readVarint(bytes, at + 1);
    const valueStart = skipVarint(bytes, at + 1);
    at = valueStart + valueLength;
    visit(nameStart, nameStart + nameLength, valueStart, at);
  }
}

/** Bytes of `value` (0 … 2³¹ − 1) as a varint. */
export function varintLength(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;
}

/** Writes `value` (0 … 2³¹ − 1) at `at`; returns the offset after it. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  while (value > 0x7f) {
    target[at++] = (value & 0x7f) | 0x80;
    value >>>= 7;
  }
  target[at++] = value;
  return at;
}

function readVarint(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

function skipVarint(bytes: Uint8Array, at: number): number {
  while (bytes[at]! >= 0x80) at += 1;
  return at + 1;
}
