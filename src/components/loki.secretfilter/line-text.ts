import type { SliceableBuffer } from "#pipeline/log-batch";

/** With this in a line, Gitleaks takes what is in it for no secret. */
export const ALLOWANCE = "gitleaks:allow";

/**
 * A line as text for regular expressions, with the way back to its bytes. A byte that is no UTF-8 becomes one character
 * (Go sees one U+FFFD for each): the unpaired surrogate U+DC00 + byte, so that different bytes stay different.
 */
export class LineText {
  readonly text: string;
  /** The line's first byte in its data. */
  readonly start: number;
  /** Code unit → bytes before it; undefined for ASCII, where they are the same. */
  readonly #offsets: Int32Array | undefined;
  /** What was found out about the whole of a line, which may hold very many secrets; see `onceForLine`. */
  readonly #verdicts = new Map<object, { readonly line: string; readonly verdict: boolean }>();
  #severalLines: boolean | undefined;
  #hasAllowance: boolean | undefined;

  constructor(data: SliceableBuffer, start: number, end: number) {
    this.start = start;
    const latin1 = data.latin1Slice(start, end);
    if (!BEYOND_ASCII.test(latin1)) {
      this.text = latin1;
      return;
    }
    const offsets = new Int32Array(end - start + 1);
    const units = new Uint16Array(end - start);
    let unit = 0;
    for (let at = start; at < end; ) {
      const length = sequenceLength(data, at, end);
      const code = length === 0 ? 0xdc00 + data[at]! : codePoint(data, at, length);
      offsets[unit] = at - start;
      if (code > 0xffff) {
        units[unit++] = 0xd7c0 + (code >> 10);
        offsets[unit] = at - start;
        units[unit++] = 0xdc00 + (code & 0x3ff);
      } else units[unit++] = code;
      at += Math.max(1, length);
    }
    offsets[unit] = end - start;
    this.#offsets = offsets.subarray(0, unit + 1);
    this.text = Buffer.from(units.buffer, 0, unit * 2).toString("utf16le");
  }

  /** The verdict of `about` on a line of the text, asked for once while the line stays the same. */
  onceForLine(about: object, line: string, judge: () => boolean): boolean {
    let known = this.#verdicts.get(about);
    if (known?.line !== line) this.#verdicts.set(about, (known = { line, verdict: judge() }));
    return known.verdict;
  }
  /** Whether a newline is in it. */
  get severalLines(): boolean {
    return (this.#severalLines ??= this.text.includes("\n"));
  }
  /** Whether it says that what is in it, or in one of its lines, is no secret. */
  get hasAllowance(): boolean {
    return (this.#hasAllowance ??= this.text.includes(ALLOWANCE));
  }
  get ascii(): boolean {
    return this.#offsets === undefined;
  }
  /** The place in the data of a place in the text. */
  byteAt(unit: number): number {
    return this.start + (this.#offsets === undefined ? unit : this.#offsets[unit]!);
  }
  /** The place in the text of a character's first byte in the data. */
  unitAt(byte: number): number {
    const offset = byte - this.start;
    if (this.#offsets === undefined) return offset;
    let low = 0;
    let high = this.#offsets.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsets[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const BEYOND_ASCII = /[\x80-\xff]/;

/** The length of the UTF-8 character at a place, or 0 if there is none that Go takes for one. */
function sequenceLength(data: Uint8Array, at: number, end: number): number {
  const lead = data[at]!;
  if (lead < 0x80) return 1;
  const length = lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length === 0 || at + length > end) return 0;
  for (let i = 1; i < length; i++) if ((data[at + i]! & 0xc0) !== 0x80) return 0;
  const second = data[at + 1]!;
  // Longer than need be, a surrogate, or beyond Unicode.
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return 0;
  if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return 0;
  return length;
}

function codePoint(data: Uint8Array, at: number, length: number): number {
  if (length === 1) return data[at]!;
  let code = data[at]! & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) code = (code << 6) | (data[at + i]! & 0x3f);
  return code;
}
