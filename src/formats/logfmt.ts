import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/**
 * A reader of logfmt with the semantics of github.com/go-logfmt/logfmt (decode.go): bare keys and `key=` have empty
 * values, a newline begins a new record, and the first syntax error ends the reading, while what was read before it counts.
 * Unlike Go's scanner there is no 64 KiB bound on a record.
 */
export class LogfmtReader {
  #bytes: SliceableBuffer = sliceable(new Uint8Array(0));
  #at = 0;
  #end = 0;
  #recordEnd = 0;
  keyStart = 0;
  keyEnd = 0;
  /** The value is `bytes[valueStart, valueEnd)`, unless `unquoted` holds it because it had escapes. */
  valueStart = 0;
  valueEnd = 0;
  unquoted: string | undefined;
  /** Why reading stopped before the end, if it did. */
  error: string | undefined;

  /** Points the reader at `bytes[start, end)`. */
  reset(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = sliceable(bytes);
    this.#at = start;
    this.#end = end;
    this.#recordEnd = this.#endOfRecord(start);
    this.error = undefined;
  }

  key(): string {
    return this.#bytes.utf8Slice(this.keyStart, this.keyEnd);
  }
  value(): string {
    return this.unquoted ?? this.#bytes.utf8Slice(this.valueStart, this.valueEnd);
  }

  /** Reads the next pair; false at the end or at an error. */
  next(): boolean {
    const bytes = this.#bytes;
    for (;;) {
      while (this.#at < this.#recordEnd && bytes[this.#at]! <= 0x20) this.#at++;
      if (this.#at < this.#recordEnd) break;
      if (this.#recordEnd >= this.#end) return false;
      this.#at = this.#recordEnd + 1;
      this.#recordEnd = this.#endOfRecord(this.#at);
    }
    this.unquoted = undefined;
    this.valueStart = this.valueEnd = 0;
    const end = this.#recordEnd;
    let at = this.#at;
    this.keyStart = at;
    let multibyte = false;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0x3d || byte <= 0x20) break;
      if (byte === 0x22) return this.#fail(at, "unexpected '\"'");
      if (byte >= 0x80) multibyte = true;
    }
    this.keyEnd = at;
    if (at < end && bytes[at] === 0x3d && at === this.keyStart) return this.#fail(at, "unexpected '='");
    if (multibyte && this.key().includes("\ufffd")) return this.#fail(at, "invalid key");
    if (at >= end || bytes[at] !== 0x3d) {
      this.#at = at;
      return true;
    }
    at += 1;
    if (at >= end || bytes[at]! <= 0x20) {
      this.#at = at;
      return true;
    }
    if (bytes[at] === 0x22) return this.#quoted(at);
    this.valueStart = at;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte <= 0x20) break;
      if (byte === 0x3d || byte === 0x22) return this.#fail(at, byte === 0x3d ? "unexpected '='" : "unexpected '\"'");
    }
    this.valueEnd = at;
    this.#at = at;
    return true;
  }

  #quoted(open: number): boolean {
    const bytes = this.#bytes;
    const end = this.#recordEnd;
    let escaped = false;
    for (let at = open + 1; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === 0x5c) {
        escaped = true;
        at += 1;
      } else if (byte === 0x22) {
        this.valueStart = open + 1;
        this.valueEnd = at;
        this.#at = at + 1;
        if (escaped) {
          this.unquoted = unquote(bytes.utf8Slice(open + 1, at));
          if (this.unquoted === undefined) return this.#fail(at + 1, "invalid quoted value");
        }
        return true;
      }
    }
    return this.#fail(end, "unterminated quoted value");
  }

  #fail(at: number, message: string): boolean {
    this.error = `${message} at byte ${at}`;
    this.#at = this.#recordEnd = this.#end;
    return false;
  }

  /** Where the record that begins at `from` ends: before the next newline. */
  #endOfRecord(from: number): number {
    const newline = this.#bytes.indexOf(0x0a, from);
    return newline === -1 || newline >= this.#end ? this.#end : newline;
  }
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  "'": "'",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** JSON's escapes and `\'`; undefined where go-logfmt reports an invalid quoted value. */
function unquote(text: string): string | undefined {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char < " ") return undefined;
    if (char !== "\\") {
      out += char;
      continue;
    }
    i += 1;
    const kind = text[i];
    if (kind === undefined) return undefined;
    if (kind === "u") {
      const digits = text.slice(i + 1, i + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) return undefined;
      out += String.fromCharCode(Number.parseInt(digits, 16));
      i += 4;
    } else {
      const plain = SIMPLE_ESCAPES[kind];
      if (plain === undefined) return undefined;
      out += plain;
    }
  }
  return out.toWellFormed();
}
