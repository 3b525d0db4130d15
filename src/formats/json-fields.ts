import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/** What `JsonFields` found for a path. */
export const FIELD_MISSING = 0;
export const FIELD_NULL = 1;
export const FIELD_TRUE = 2;
export const FIELD_FALSE = 3;
/** A string without escapes: its bytes are the range. */
export const FIELD_STRING = 4;
/** A string with escapes: the range is what is between the quotes. */
export const FIELD_ESCAPED = 5;
/** A number: the range is its token. */
export const FIELD_NUMBER = 6;
/** An object or array: the range is its text. */
export const FIELD_COMPLEX = 7;

/** A JSON value as scalars; objects and arrays as their text. */
export type FieldValue = string | number | boolean | null;

interface Node {
  readonly keys: { readonly bytes: Uint8Array; readonly name: string; readonly node: Node }[];
  /** The indices of the paths that end here. */
  readonly paths: number[];
  /** The indices of all paths that end here or deeper. */
  readonly below: number[];
}

/** Beyond this depth a document is taken as malformed, so that no line can exhaust the stack. */
const MAX_DEPTH = 1_000;

/**
 * Finds a known list of fields in a JSON object without building it: the whole document is checked (a malformed one gives
 * nothing), the last of repeated keys counts, and values stay ranges of the input until somebody asks for them.
 * Strings may hold any byte but control characters; invalid UTF-8 is passed through, as jsoniter does.
 */
export class JsonFields {
  readonly #root: Node = { keys: [], paths: [], below: [] };
  readonly kind: Uint8Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  #bytes: SliceableBuffer = sliceable(new Uint8Array(0));
  #limit = 0;
  #escaped = false;
  readonly #finite: boolean;

  /**
   * Each path is the names of nested objects' keys; several may be equal. With `finite`, a number beyond the doubles makes
   * a document malformed, as for decoders that read all its numbers.
   */
  constructor(paths: readonly (readonly string[])[], options: { readonly finite: boolean }) {
    this.#finite = options.finite;
    this.kind = new Uint8Array(paths.length);
    this.start = new Int32Array(paths.length);
    this.end = new Int32Array(paths.length);
    for (const [index, path] of paths.entries()) {
      let node = this.#root;
      node.below.push(index);
      for (const name of path) {
        let entry = node.keys.find((each) => each.name === name);
        if (entry === undefined) {
          entry = { name, bytes: Buffer.from(name), node: { keys: [], paths: [], below: [] } };
          node.keys.push(entry);
        }
        node = entry.node;
        node.below.push(index);
      }
      node.paths.push(index);
    }
  }

  /** Scans `bytes[start, end)`; false if it is no JSON object (`null` is one without fields, as for Go's maps). */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.#bytes = sliceable(bytes);
    this.#limit = end;
    this.kind.fill(FIELD_MISSING);
    let at = this.#space(start);
    if (at >= end) return false;
    if (this.#bytes[at] === 0x7b) at = this.#object(at, this.#root, 0);
    else if (this.#bytes[at] === 0x6e) at = this.#literal(at, "null");
    else return false;
    return at >= 0 && this.#space(at) === end;
  }

  /** The value of a path after a successful scan; undefined if it is not there. */
  value(index: number): FieldValue | undefined {
    const start = this.start[index]!;
    const end = this.end[index]!;
    switch (this.kind[index]) {
      case FIELD_NULL:
        return null;
      case FIELD_TRUE:
        return true;
      case FIELD_FALSE:
        return false;
      case FIELD_STRING:
        return this.#bytes.utf8Slice(start, end);
      case FIELD_ESCAPED:
        return decodeEscaped(this.#bytes, start, end);
      case FIELD_NUMBER:
        return Number(this.#bytes.latin1Slice(start, end));
      case FIELD_COMPLEX:
        return marshalJsoniter(JSON.parse(this.#bytes.utf8Slice(start, end)));
      default:
        return undefined;
    }
  }

  /** From `{` to behind `}`, or −1. */
  #object(open: number, node: Node | undefined, depth: number): number {
    if (depth > MAX_DEPTH) return -1;
    const bytes = this.#bytes;
    const limit = this.#limit;
    let at = this.#space(open + 1);
    if (at < limit && bytes[at] === 0x7d) return at + 1;
    for (;;) {
      if (at >= limit || bytes[at] !== 0x22) return -1;
      const keyStart = at + 1;
      at = this.#string(keyStart);
      if (at < 0) return -1;
      const child = node === undefined ? undefined : this.#child(node, keyStart, at - 1);
      if (at < limit && bytes[at] !== 0x3a) at = this.#space(at);
      if (at >= limit || bytes[at] !== 0x3a) return -1;
      at += 1;
      if (at < limit && bytes[at]! <= 0x20) at = this.#space(at);
      at = this.#value(at, child, depth);
      if (at < 0) return -1;
      if (at < limit && bytes[at]! <= 0x20) at = this.#space(at);
      if (at >= limit) return -1;
      const byte = bytes[at]!;
      if (byte === 0x7d) return at + 1;
      if (byte !== 0x2c) return -1;
      at += 1;
      if (at < limit && bytes[at]! <= 0x20) at = this.#space(at);
    }
  }

  #child(node: Node, start: number, end: number): Node | undefined {
    const bytes = this.#bytes;
    if (this.#escaped) {
      const name = decodeEscaped(bytes, start, end);
      return node.keys.find((each) => each.name === name)?.node;
    }
    const { keys } = node;
    const length = end - start;
    next: for (let k = 0; k < keys.length; k++) {
      const wanted = keys[k]!.bytes;
      if (wanted.length !== length) continue;
      for (let i = 0; i < length; i++) if (wanted[i] !== bytes[start + i]) continue next;
      return keys[k]!.node;
    }
    return undefined;
  }

  /** A value from its first byte to behind it, or −1. `node` says what is wanted of it. */
  #value(start: number, node: Node | undefined, depth: number): number {
    if (start >= this.#limit) return -1;
    if (node !== undefined && node.below.length > node.paths.length) {
      // A repeated key replaces what was found below its first occurrence.
      for (const index of node.below) this.kind[index] = FIELD_MISSING;
    }
    let at: number;
    let kind = FIELD_COMPLEX;
    switch (this.#bytes[start]) {
      case 0x22:
        at = this.#string(start + 1);
        if (node === undefined) return at;
        if (at > 0) this.#found(node, this.#escaped ? FIELD_ESCAPED : FIELD_STRING, start + 1, at - 1);
        return at;
      case 0x7b:
        at = this.#object(start, node, depth + 1);
        break;
      case 0x5b:
        at = this.#array(start, depth + 1);
        break;
      case 0x74:
        at = this.#literal(start, "true");
        kind = FIELD_TRUE;
        break;
      case 0x66:
        at = this.#literal(start, "false");
        kind = FIELD_FALSE;
        break;
      case 0x6e:
        at = this.#literal(start, "null");
        kind = FIELD_NULL;
        break;
      default:
        at = this.#number(start);
        kind = FIELD_NUMBER;
    }
    if (node !== undefined && at > 0) this.#found(node, kind, start, at);
    return at;
  }

  #found(node: Node, kind: number, start: number, end: number): void {
    const { paths } = node;
    for (let i = 0; i < paths.length; i++) {
      const index = paths[i]!;
      this.kind[index] = kind;
      this.start[index] = start;
      this.end[index] = end;
    }
  }

  #array(open: number, depth: number): number {
    if (depth > MAX_DEPTH) return -1;
    const bytes = this.#bytes;
    let at = this.#space(open + 1);
    if (at < this.#limit && bytes[at] === 0x5d) return at + 1;
    for (;;) {
      at = this.#value(at, undefined, depth);
      if (at < 0) return -1;
      at = this.#space(at);
      if (at >= this.#limit) return -1;
      const byte = bytes[at]!;
      if (byte === 0x5d) return at + 1;
      if (byte !== 0x2c) return -1;
      at = this.#space(at + 1);
    }
  }

  /** From behind the opening quote to behind the closing one, or −1. Notes in `#escaped` whether there were escapes. */
  #string(start: number): number {
    const bytes = this.#bytes;
    const limit = this.#limit;
    let at = start;
    this.#escaped = false;
    for (;;) {
      if (at >= limit) return -1;
      const byte = bytes[at++]!;
      if (byte === 0x22) return at;
      if (byte < 0x20) return -1;
      if (byte === 0x5c) {
        this.#escaped = true;
        if (at >= limit) return -1;
        const kind = bytes[at++]!;
        if (kind === 0x75) {
          if (at + 4 > limit) return -1;
          for (let i = 0; i < 4; i++) if (!isHex(bytes[at + i]!)) return -1;
          at += 4;
        } else if (!isSimpleEscape(kind)) return -1;
      }
    }
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    const limit = this.#limit;
    let at = start;
    if (bytes[at] === 0x2d) at += 1;
    if (at >= limit) return -1;
    if (bytes[at] === 0x30) at += 1;
    else {
      const digits = this.#digits(at);
      if (digits === at) return -1;
      at = digits;
    }
    if (at < limit && bytes[at] === 0x2e) {
      const digits = this.#digits(at + 1);
      if (digits === at + 1) return -1;
      at = digits;
    }
    if (at < limit && (bytes[at]! | 0x20) === 0x65) {
      at += 1;
      if (at < limit && (bytes[at] === 0x2b || bytes[at] === 0x2d)) at += 1;
      const digits = this.#digits(at);
      if (digits === at) return -1;
      at = digits;
      return this.#isInRange(start, at) ? at : -1;
    }
    return at - start < 308 || this.#isInRange(start, at) ? at : -1;
  }

  #isInRange(start: number, end: number): boolean {
    return !this.#finite || Number.isFinite(Number(this.#bytes.latin1Slice(start, end)));
  }

  #digits(start: number): number {
    let at = start;
    while (at < this.#limit && this.#bytes[at]! >= 0x30 && this.#bytes[at]! <= 0x39) at++;
    return at;
  }

  #literal(start: number, word: string): number {
    if (start + word.length > this.#limit) return -1;
    for (let i = 1; i < word.length; i++) if (this.#bytes[start + i] !== word.charCodeAt(i)) return -1;
    return start + word.length;
  }

  #space(start: number): number {
    let at = start;
    while (at < this.#limit) {
      const byte = this.#bytes[at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    return at;
  }
}

/** A value as Go's JSON encoders write it: without spaces, `<`, `>` and `&` escaped. */
export function marshalJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const SHORT_EXPONENT = /[0-9]e-[0-9](?![0-9])/;

/** The same as jsoniter writes it, which Alloy's stage.json has: exponents have two digits at least. */
export function marshalJsoniter(value: unknown): string {
  const text = marshalJson(value);
  if (!SHORT_EXPONENT.test(text)) return text;
  if (typeof value === "number") return text.replace("e-", "e-0");
  if (Array.isArray(value)) return `[${value.map(marshalJsoniter).join(",")}]`;
  if (typeof value !== "object" || value === null) return text;
  return `{${Object.entries(value)
    .map(([key, each]) => `${marshalJson(key)}:${marshalJsoniter(each)}`)
    .join(",")}}`;
}

/** What is between the quotes of a JSON string, decoded. The escapes must be valid. */
export function decodeEscaped(bytes: SliceableBuffer, start: number, end: number): string {
  return JSON.parse(`"${bytes.utf8Slice(start, end)}"`) as string;
}

function isHex(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);
}

/** One of `"\/bfnrt`. */
function isSimpleEscape(byte: number): boolean {
  switch (byte) {
    case 0x22:
    case 0x5c:
    case 0x2f:
    case 0x62:
    case 0x66:
    case 0x6e:
    case 0x72:
    case 0x74:
      return true;
    default:
      return false;
  }
}
