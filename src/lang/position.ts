import type { Source } from "./ast.ts";

/** A place as Alloy shows it: both from 1; the column counts bytes of UTF-8, as Alloy's `token.Position` does. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

const lineStartsOf = new WeakMap<Source, readonly number[]>();

/** The offsets at which the lines of a source start; worked out once per source. */
export function lineStarts(source: Source): readonly number[] {
  let starts = lineStartsOf.get(source);
  if (starts === undefined) {
    const found = [0];
    for (let at = source.text.indexOf("\n"); at >= 0; at = source.text.indexOf("\n", at + 1)) found.push(at + 1);
    starts = found;
    lineStartsOf.set(source, starts);
  }
  return starts;
}

/** The line, from 1, of an offset into the source's text. */
export function lineOf(source: Source, offset: number): number {
  const starts = lineStarts(source);
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return Math.max(low, 1);
}

/** The line and column of an offset; offsets outside of the text are taken to its nearest end. */
export function positionOf(source: Source, offset: number): Position {
  const inside = Math.min(Math.max(offset, 0), source.text.length);
  const line = lineOf(source, inside);
  const start = lineStarts(source)[line - 1]!;
  return { line, column: utf8Length(source.text, start, inside) + 1 };
}

/** How many bytes of UTF-8 a part of a text is; `decodeSource`'s stand-ins for invalid bytes are one byte each. */
export function utf8Length(text: string, start = 0, end = text.length): number {
  let length = 0;
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) length++;
    else if (unit < 0x800) length += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLowSurrogate(text.charCodeAt(i + 1)) && i + 1 < end) {
      length += 4;
      i++;
    } else if (isInvalidByte(unit)) length++;
    else length += 3;
  }
  return length;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function isInvalidByte(unit: number): boolean {
  return unit >= 0xdc80 && unit <= 0xdcff;
}

/**
 * Makes a source of a file's bytes. A byte that is not part of valid UTF-8 becomes the unpaired surrogate U+DC00 + byte,
 * which the scanner reports at its exact place; nothing is lost or replaced silently.
 */
export function decodeSource(name: string, content: Uint8Array): Source {
  try {
    return { name, text: new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(content) };
  } catch {
    return { name, text: decodeLeniently(content) };
  }
}

function decodeLeniently(content: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const parts: string[] = [];
  let validFrom = 0;
  for (let i = 0; i < content.length; ) {
    const length = sequenceLength(content, i);
    if (length > 0) {
      i += length;
      continue;
    }
    parts.push(decoder.decode(content.subarray(validFrom, i)), String.fromCharCode(0xdc00 + content[i]!));
    i++;
    validFrom = i;
  }
  parts.push(decoder.decode(content.subarray(validFrom)));
  return parts.join("");
}

/** The length of the valid UTF-8 sequence at `i`; 0 if there is none. */
function sequenceLength(content: Uint8Array, i: number): number {
  const first = content[i]!;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || i + length > content.length) return 0;
  const second = content[i + 1]!;
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < low || second > high) return 0;
  for (let j = i + 2; j < i + length; j++) if ((content[j]! & 0xc0) !== 0x80) return 0;
  return length;
}
