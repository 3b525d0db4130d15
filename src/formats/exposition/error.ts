import { quote } from "#base/labels";

/** A page that is not what it says it is. The message is what Prometheus reports for it. */
export class ExpositionError extends Error {
  override readonly name = "ExpositionError";
}

/** Texts in messages are cut to this length. */
const SHOWN_BYTES = 512;

/** Bytes in double quotes with Go's escapes. */
export function quoteBytes(bytes: Buffer, start: number, end: number): string {
  return quote(bytes.toString("utf8", start, Math.min(end, start + SHOWN_BYTES)));
}

/** Prometheus's `parseError`: what was expected, the text found and the name of its token, and the line so far. */
export function unexpected(expected: string, bytes: Buffer, lineStart: number, at: number, token = tokenAt(bytes, at)) {
  const end = Math.min(bytes.length, at + 1);
  const found = quoteBytes(bytes, at, end);
  return new ExpositionError(
    `${expected}, got ${found} (${quote(token)}) while parsing: ${quoteBytes(bytes, lineStart, end)}`,
  );
}

function tokenAt(bytes: Buffer, at: number): string {
  if (at >= bytes.length) return "EOF";
  const code = bytes[at];
  switch (code) {
    case 0x7b:
      return "BOPEN";
    case 0x7d:
      return "BCLOSE";
    case 0x2c:
      return "COMMA";
    case 0x3d:
      return "EQUAL";
    default:
      return "INVALID";
  }
}
