import type { Labels } from "#base/labels";
import { encodedLabelsLength, encodeLabels, varintLength, writeVarint } from "#pipeline/series-labels";

/**
 * A label set as ranges of bytes, from a parser to its encoded form without a string in between. Reused for each series:
 * `clear`, `add` …, `sort`, `encode`.
 */
export class LabelBytes {
  #text = Buffer.allocUnsafeSlow(4096);
  #used = 0;
  /** Four numbers a label: where its name starts and ends, where its value starts and ends, in `#text`. */
  #ranges = new Int32Array(256);
  count = 0;

  get text(): Buffer {
    return this.#text;
  }

  clear(): void {
    this.count = 0;
    this.#used = 0;
  }

  /** Adds a label with copies of name and value. */
  add(name: Uint8Array, value: Uint8Array): void {
    const length = name.length + value.length;
    if (this.#used + length > this.#text.length) this.#growText(length);
    if (this.count * 4 + 4 > this.#ranges.length) this.#growRanges();
    const at = this.count * 4;
    this.#ranges[at] = this.#used;
    this.#text.set(name, this.#used);
    this.#used += name.length;
    this.#ranges[at + 1] = this.#used;
    this.#ranges[at + 2] = this.#used;
    this.#text.set(value, this.#used);
    this.#used += value.length;
    this.#ranges[at + 3] = this.#used;
    this.count += 1;
  }

  /** Adds a label whose name and value lie in `source`. */
  addRanges(source: Uint8Array, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const length = nameEnd - nameStart + valueEnd - valueStart;
    if (this.#used + length > this.#text.length) this.#growText(length);
    if (this.count * 4 + 4 > this.#ranges.length) this.#growRanges();
    const text = this.#text;
    const at = this.count * 4;
    let used = this.#used;
    this.#ranges[at] = used;
    for (let i = nameStart; i < nameEnd; i++) text[used++] = source[i]!;
    this.#ranges[at + 1] = used;
    this.#ranges[at + 2] = used;
    for (let i = valueStart; i < valueEnd; i++) text[used++] = source[i]!;
    this.#ranges[at + 3] = used;
    this.#used = used;
    this.count += 1;
  }

  /** The label of a name, or -1. */
  find(name: string): number {
    for (let i = 0; i < this.count; i++) {
      if (this.nameEnd(i) - this.nameStart(i) === Buffer.byteLength(name) && this.name(i) === name) return i;
    }
    return -1;
  }

  /** Takes the value of label `i` away, which is as good as the label. */
  blank(i: number): void {
    this.#ranges[i * 4 + 3] = this.valueStart(i);
  }

  nameStart(i: number): number {
    return this.#ranges[i * 4]!;
  }
  nameEnd(i: number): number {
    return this.#ranges[i * 4 + 1]!;
  }
  valueStart(i: number): number {
    return this.#ranges[i * 4 + 2]!;
  }
  valueEnd(i: number): number {
    return this.#ranges[i * 4 + 3]!;
  }
  name(i: number): string {
    return this.#text.toString("utf8", this.nameStart(i), this.nameEnd(i));
  }
  value(i: number): string {
    return this.#text.toString("utf8", this.valueStart(i), this.valueEnd(i));
  }

  /** Sorts by name and takes out labels without a value, which are as good as absent. Returns a name that occurs twice, if any does. */
  sort(): string | undefined {
    const ranges = this.#ranges;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const from = i * 4;
      const nameStart = ranges[from]!;
      const nameEnd = ranges[from + 1]!;
      const valueStart = ranges[from + 2]!;
      const valueEnd = ranges[from + 3]!;
      if (valueStart === valueEnd) continue;
      let to = kept;
      while (to > 0 && this.#compareNames(ranges[to * 4 - 4]!, ranges[to * 4 - 3]!, nameStart, nameEnd) > 0) {
        ranges.copyWithin(to * 4, to * 4 - 4, to * 4);
        to -= 1;
      }
      ranges[to * 4] = nameStart;
      ranges[to * 4 + 1] = nameEnd;
      ranges[to * 4 + 2] = valueStart;
      ranges[to * 4 + 3] = valueEnd;
      kept += 1;
    }
    this.count = kept;
    for (let i = 1; i < kept; i++) {
      if (this.#compareNames(this.nameStart(i - 1), this.nameEnd(i - 1), this.nameStart(i), this.nameEnd(i)) === 0) {
        return this.name(i);
      }
    }
    return undefined;
  }

  /** An upper bound of what `encode` writes for one label. */
  encodedLength(i: number): number {
    return this.valueEnd(i) - this.nameStart(i) + 20;
  }

  /** Writes label `i` as a `Label` message in field 1; returns the offset after it. */
  encode(i: number, target: Uint8Array, at: number): number {
    const text = this.#text;
    const nameStart = this.nameStart(i);
    const nameEnd = this.nameEnd(i);
    const valueStart = this.valueStart(i);
    const valueEnd = this.valueEnd(i);
    const nameLength = nameEnd - nameStart;
    const valueLength = valueEnd - valueStart;
    target[at] = 0x0a;
    at = writeVarint(
      target,
      at + 1,
      2 + varintLength(nameLength) + nameLength + varintLength(valueLength) + valueLength,
    );
    target[at] = 0x0a;
    at = writeVarint(target, at + 1, nameLength);
    for (let k = nameStart; k < nameEnd; k++) target[at++] = text[k]!;
    target[at] = 0x12;
    at = writeVarint(target, at + 1, valueLength);
    for (let k = valueStart; k < valueEnd; k++) target[at++] = text[k]!;
    return at;
  }

  #compareNames(aStart: number, aEnd: number, bStart: number, bEnd: number): number {
    const text = this.#text;
    for (; aStart < aEnd && bStart < bEnd; aStart++, bStart++) {
      const difference = text[aStart]! - text[bStart]!;
      if (difference !== 0) return difference;
    }
    return aEnd - aStart - (bEnd - bStart);
  }

  #growText(needed: number): void {
    const text = Buffer.allocUnsafeSlow(Math.max(this.#text.length * 2, this.#used + needed));
    this.#text.copy(text, 0, 0, this.#used);
    this.#text = text;
  }

  #growRanges(): void {
    const ranges = new Int32Array(this.#ranges.length * 2);
    ranges.set(this.#ranges);
    this.#ranges = ranges;
  }
}

/** Labels that are merged into many sets, encoded once. */
export class EncodedLabels {
  readonly labels: Labels;
  readonly count: number;
  readonly bytes: Buffer;
  readonly names: readonly Buffer[];
  /** Label i is `bytes[starts[i], starts[i + 1])`. */
  readonly starts: Int32Array;

  constructor(labels: Labels) {
    this.labels = labels;
    this.count = labels.size;
    const target = Buffer.allocUnsafe(encodedLabelsLength(labels));
    const length = encodeLabels(labels, target, 0);
    this.bytes = Buffer.from(target.subarray(0, length));
    this.names = [...labels].map(([name]) => Buffer.from(name));
    this.starts = new Int32Array(this.count + 1);
    let at = 0;
    for (const [i, [name, value]] of [...labels].entries()) {
      const nameLength = Buffer.byteLength(name);
      const valueLength = Buffer.byteLength(value);
      const body = 2 + varintLength(nameLength) + nameLength + varintLength(valueLength) + valueLength;
      at += 1 + varintLength(body) + body;
      this.starts[i + 1] = at;
    }
  }
}

/**
 * Merges a sorted set with constant labels: compares the name of `labels`' label `i` with that of `constant`'s label `k`,
 * as `Buffer.compare` does.
 */
export function compareName(labels: LabelBytes, i: number, constant: EncodedLabels, k: number): number {
  const { text } = labels;
  const name = constant.names[k]!;
  const start = labels.nameStart(i);
  const length = labels.nameEnd(i) - start;
  const common = Math.min(length, name.length);
  for (let at = 0; at < common; at++) {
    const difference = text[start + at]! - name[at]!;
    if (difference !== 0) return difference;
  }
  return length - name.length;
}
