/**
 * Lines of the Kubernetes container runtime interface: `TIME STREAM FLAGS CONTENT`.
 * As lenient as Alloy's stages/cri/parse.go: the time is not checked, the flag may be missing (then the line is whole),
 * at most one space is skipped between fields.
 */
export interface CriLine {
  /** The time is `bytes[timeStart, timeEnd)`. */
  timeStart: number;
  timeEnd: number;
  stderr: boolean;
  partial: boolean;
  /** The content is `bytes[contentStart, end)`. */
  contentStart: number;
}

export function emptyCriLine(): CriLine {
  return { timeStart: 0, timeEnd: 0, stderr: false, partial: false, contentStart: 0 };
}

/** Parses `bytes[start, end)` into `into`; false if it is no CRI line. */
export function parseCri(bytes: Uint8Array, start: number, end: number, into: CriLine): boolean {
  let at = start;
  while (at < end && !isSpaceAt(bytes, at, end)) at++;
  // Without any white space Alloy takes the time as empty and finds no separator.
  if (at >= end || bytes[at] !== 0x20) return false;
  into.timeStart = start;
  into.timeEnd = at;
  at += 1;
  // "stdout" or "stderr"
  if (end - at < 6 || bytes[at] !== 0x73 || bytes[at + 1] !== 0x74 || bytes[at + 2] !== 0x64) return false;
  if (bytes[at + 3] === 0x6f && bytes[at + 4] === 0x75 && bytes[at + 5] === 0x74) into.stderr = false;
  else if (bytes[at + 3] === 0x65 && bytes[at + 4] === 0x72 && bytes[at + 5] === 0x72) into.stderr = true;
  else return false;
  at += 6;
  if (at >= end || bytes[at] !== 0x20) return false;
  at += 1;
  into.partial = false;
  if (at < end) {
    if (bytes[at] === 0x50) {
      into.partial = true;
      at += 1;
    } else if (bytes[at] === 0x46) at += 1;
  }
  if (at < end && bytes[at] === 0x20) at += 1;
  into.contentStart = at;
  return true;
}

/** Whether a character of Unicode's White_Space (Go's `unicode.IsSpace`) starts at `at`. */
function isSpaceAt(bytes: Uint8Array, at: number, end: number): boolean {
  const byte = bytes[at]!;
  if (byte < 0x80) return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
  const next = at + 1 < end ? bytes[at + 1]! : 0;
  if (byte === 0xc2) return next === 0x85 || next === 0xa0;
  const third = at + 2 < end ? bytes[at + 2]! : 0;
  if (byte === 0xe1) return next === 0x9a && third === 0x80;
  if (byte === 0xe2) {
    if (next === 0x80) return (third >= 0x80 && third <= 0x8a) || third === 0xa8 || third === 0xa9 || third === 0xaf;
    return next === 0x81 && third === 0x9f;
  }
  return byte === 0xe3 && next === 0x80 && third === 0x80;
}
