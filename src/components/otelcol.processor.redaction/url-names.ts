import { LEAST_LIKELY, LETTERS, TRANSITIONS } from "./letter-pairs.ts";

const MOST_SEGMENTS = 10;
const SLASH = 0x2f;
const ASTERISK = Buffer.from("*");
/** What begins the part of a URL that is left out. */
const QUERY = new Set([..."?&#"].map((char) => char.charCodeAt(0)));
const PLAIN = new Uint8Array(256);
for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_. ") PLAIN[char.charCodeAt(0)] = 1;

/**
 * A path with an asterisk for each segment that looks like an id, without its query: `/users/42/job?x=1` becomes
 * `/users/…/job` with the asterisk in the gap. Byte for byte what github.com/grafana/clusterurl gives, which upstream uses.
 */
export function withoutIds(path: string): string {
  const bytes = Buffer.from(path);
  // Asterisks stand for one byte at least, and at the last segment there may be one more.
  const out = Buffer.allocUnsafe(bytes.length + 2);
  let length = 0;
  const append = (piece: Uint8Array) => {
    out.set(piece, length);
    length += piece.length;
  };
  let start = 0;
  let slashes = 0;
  for (let i = 0; i <= bytes.length; i++) {
    const byte = bytes[i];
    if (byte !== undefined && byte !== SLASH && !QUERY.has(byte)) continue;
    const segment = bytes.subarray(start, i);
    const isPlain = isPlainSegment(segment);
    const isKept = isPlain && (segment.length === 0 || isWord(segment) || QUERY.has(byte ?? 0));
    append(isKept ? segment : ASTERISK);
    if (byte !== SLASH) break;
    slashes += 1;
    if (slashes >= MOST_SEGMENTS) {
      if (!isKept) append(leftOver(segment, isPlain));
      break;
    }
    out[length++] = SLASH;
    start = i + 1;
  }
  return out.toString("utf8", 0, length);
}

/** What upstream looks at again of the last segment that it takes: all but the first letter. */
function leftOver(segment: Uint8Array, isPlain: boolean): Uint8Array {
  if (!isPlain) return ASTERISK;
  const rest = segment.subarray(1);
  return rest.length === 0 || isWord(rest) ? rest : ASTERISK;
}

/** Letters and a few signs; the second character may be any one, as in `v1`. */
function isPlainSegment(segment: Uint8Array): boolean {
  for (let i = 0; i < segment.length; i++) if (PLAIN[segment[i]!] === 0 && i !== 1) return false;
  return true;
}

/** Whether the letters follow each other as those of a word do. Other characters do not count. */
function isWord(segment: Uint8Array): boolean {
  let sum = 0;
  let pairs = 0;
  let before = -1;
  for (const byte of segment) {
    const letter = LETTERS.indexOf(String.fromCharCode(byte).toLowerCase());
    if (letter < 0) continue;
    if (before >= 0) {
      sum += TRANSITIONS[before * LETTERS.length + letter]!;
      pairs += 1;
    }
    before = letter;
  }
  return Math.exp(sum / Math.max(1, pairs)) > LEAST_LIKELY;
}
