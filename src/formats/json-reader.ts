import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/** Bytes that are no JSON, or not the value that was asked for. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  constructor(problem: string, offset: number) {
    super(`${problem} at byte ${offset}`);
  }
}

/** Values that are skipped may not be nested more deeply. */
const MAX_DEPTH = 1_000;
const MAX_SCALAR = 400;
/** Bytes that are looked at one by one. */
const NEAR = 128;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const SCALAR = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;
const CONTROL = /[\0-\x1f]/g;

/** What a value begins with, as `peek` gives it. */
export const JSON_OBJECT = OPEN_OBJECT;
export const JSON_ARRAY = OPEN_ARRAY;
export const JSON_STRING = QUOTE;

/**
 * A cursor over a JSON document that builds nothing of it, for documents from outside that may be large: what is not asked
 * for costs no memory. Strings may hold raw control characters and any bytes, as Alloy's readers allow.
 *
 * ```ts
 * for (let more = reader.object(); more; more = reader.nextKey()) if (reader.text() === "a") …; else reader.skip();
 * ```
 */
export class JsonReader {
  readonly bytes: SliceableBuffer;
  /** Where the next value is, or white space before it. May be set back to where a value was. */
  position = 0;
  /** The string or key that was read last, without its quotes, … */
  start = 0;
  end = 0;
  /** … and whether there are escapes in it. */
  escaped = false;
  /** Where `unescape` writes to. */
  scratch: Uint8Array = new Uint8Array(0);
  /** There is no backslash from `#searched` up to `#backslash`. */
  #searched = 0;
  #backslash = -1;
  /** For `skip`: 1 for each object that is open, 0 for each array. */
  #open: Uint8Array | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = sliceable(bytes);
  }

  /** The first byte of the next value; 0 at the end. */
  peek(): number {
    const { bytes } = this;
    for (; this.position < bytes.length; this.position++) {
      const byte = bytes[this.position]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
    }
    return 0;
  }

  /** Goes into an object. Returns whether it has a key, which is then read as `string` does it. */
  object(): boolean {
    this.#expect(OPEN_OBJECT, "an object");
    if (this.#take(CLOSE_OBJECT)) return false;
    this.#key();
    return true;
  }
  /** After a value: goes on to the object's next key, or out of it. */
  nextKey(): boolean {
    if (this.#take(CLOSE_OBJECT)) return false;
    this.#expect(COMMA, "`,` or `}`");
    this.#key();
    return true;
  }

  /** Goes into an array. Returns whether it has an item. */
  array(): boolean {
    this.#expect(OPEN_ARRAY, "an array");
    return !this.#take(CLOSE_ARRAY);
  }
  /** After an item: goes on to the next one, or out of the array. */
  nextItem(): boolean {
    if (this.#take(CLOSE_ARRAY)) return false;
    this.#expect(COMMA, "`,` or `]`");
    return true;
  }

  /** Reads a string; `start`, `end` and `escaped` tell of it. */
  string(): void {
    this.#expect(QUOTE, "a string");
    const { bytes } = this;
    let at = this.position;
    this.start = at;
    this.escaped = false;
    // Most strings are short, and a search by native code costs more than a look at some bytes.
    const near = Math.min(bytes.length, at + NEAR);
    for (; at < near; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.end = at;
        this.position = at + 1;
        return;
      }
      if (byte === BACKSLASH) {
        this.escaped = true;
        at += 1;
      }
    }
    let quote = bytes.indexOf(QUOTE, at);
    let backslash = this.#nextBackslash(at);
    if (backslash < quote) this.escaped = true;
    while (backslash < quote) {
      at = backslash + 2;
      if (quote < at) quote = bytes.indexOf(QUOTE, at);
      backslash = this.#nextBackslash(at);
    }
    if (quote === -1) this.#fail("a string that is not closed");
    this.end = quote;
    this.position = quote + 1;
  }

  /** The text of the string or key that was read last. */
  text(): string {
    return this.textOf(this.start, this.end, this.escaped);
  }
  /** The text of a string that was read before. */
  textOf(start: number, end: number, escaped: boolean): string {
    const raw = this.bytes.utf8Slice(start, end);
    if (!escaped) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      try {
        const code = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
        return JSON.parse(`"${raw.replace(CONTROL, code)}"`) as string;
      } catch {
        throw new JsonError("an invalid escape in the string", start);
      }
    }
  }

  /** Writes a string that was read before, without its escapes, to the start of `scratch`; returns its length in bytes. */
  unescape(start: number, end: number): number {
    const { bytes } = this;
    if (this.scratch.length < end - start) this.scratch = Buffer.allocUnsafeSlow(Math.max(1_024, 2 * (end - start)));
    const { scratch } = this;
    let to = 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte !== BACKSLASH) {
        scratch[to++] = byte;
        continue;
      }
      at += 1;
      const simple = at < end ? SIMPLE[bytes[at]!]! : 0;
      if (simple !== 0) {
        scratch[to++] = simple;
        continue;
      }
      let code = bytes[at] === 0x75 ? this.#hex(at + 1, end) : -1;
      if (code < 0) throw new JsonError("an invalid escape in the string", at);
      at += 4;
      if (code >= 0xd800 && code < 0xe000) {
        const low =
          code < 0xdc00 && bytes[at + 1] === BACKSLASH && bytes[at + 2] === 0x75 ? this.#hex(at + 3, end) : -1;
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        } else code = 0xfffd; // half of a pair
      }
      to = putUtf8(scratch, to, code);
    }
    return to;
  }

  /** Reads a number, `true`, `false` or `null`; gives it as it is written. */
  scalar(): string {
    this.peek();
    const { bytes } = this;
    const start = this.position;
    let end = start;
    while (end < bytes.length && isScalarByte(bytes[end]!)) end += 1;
    const text = end - start > MAX_SCALAR ? "" : bytes.latin1Slice(start, end);
    if (!SCALAR.test(text)) this.#fail("no value");
    this.position = end;
    return text;
  }

  /** Passes over a value of any kind, and checks its form. */
  skip(): void {
    const open = (this.#open ??= new Uint8Array(MAX_DEPTH));
    let depth = 0;
    for (;;) {
      const first = this.peek();
      if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
        if (depth === MAX_DEPTH) this.#fail(`values nested more than ${MAX_DEPTH} deep`);
        if (first === OPEN_OBJECT ? this.object() : this.array()) {
          open[depth++] = first === OPEN_OBJECT ? 1 : 0;
          continue;
        }
      } else if (first === QUOTE) this.string();
      else this.scalar();
      while (depth > 0 && !(open[depth - 1] === 1 ? this.nextKey() : this.nextItem())) depth -= 1;
      if (depth === 0) return;
    }
  }

  /** After the last value: nothing may come behind it. */
  finish(): void {
    if (this.peek() !== 0 || this.position < this.bytes.length) this.#fail("something behind the end of the document");
  }

  /** Four hexadecimal digits; negative for others. */
  #hex(at: number, end: number): number {
    if (at + 4 > end) return -1;
    const text = this.bytes.latin1Slice(at, at + 4);
    return /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
  }

  #key(): void {
    this.string();
    this.#expect(0x3a, "`:`");
  }

  #take(byte: number): boolean {
    if (this.peek() !== byte) return false;
    this.position += 1;
    return true;
  }
  #expect(byte: number, what: string): void {
    if (!this.#take(byte)) throw new JsonError(`expecting ${what}`, this.position);
  }
  #fail(what: string): never {
    throw new JsonError(this.position >= this.bytes.length ? "the document ends too early" : what, this.position);
  }

  /** Infinity if there is none. Remembered, so that a document with few of them is searched once. */
  #nextBackslash(at: number): number {
    if (at < this.#searched || at > this.#backslash) {
      const found = this.bytes.indexOf(BACKSLASH, at);
      this.#searched = at;
      this.#backslash = found === -1 ? Infinity : found;
    }
    return this.#backslash;
  }
}

/** What stands behind a backslash, and for what. */
const SIMPLE = new Uint8Array(256);
for (const [name, byte] of [
  ['"', 0x22],
  ["\\", 0x5c],
  ["/", 0x2f],
  ["b", 8],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
] as const) {
  SIMPLE[name.charCodeAt(0)] = byte;
}

function putUtf8(into: Uint8Array, at: number, code: number): number {
  let to = at;
  if (code < 0x80) into[to++] = code;
  else {
    if (code < 0x800) into[to++] = 0xc0 | (code >> 6);
    else {
      if (code < 0x10000) into[to++] = 0xe0 | (code >> 12);
      else {
        into[to++] = 0xf0 | (code >> 18);
        into[to++] = 0x80 | ((code >> 12) & 0x3f);
      }
      into[to++] = 0x80 | ((code >> 6) & 0x3f);
    }
    into[to++] = 0x80 | (code & 0x3f);
  }
  return to;
}

function isScalarByte(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x2b && byte <= 0x39 && byte !== COMMA) || byte === 0x45;
}
