/**
 * Redis's serialization protocol, version 2, as every server speaks it that calls itself one: Redis, Valkey, KeyDB,
 * Sentinel, Tile38. Source: redis.io/docs/latest/develop/reference/protocol-spec.
 */

/** What a server answers to one command; an error answer is a value, so that one of many does not end the others. */
export type RedisReply = string | number | null | RedisError | readonly RedisReply[];

/** An answer with `-`: the command failed, the connection is as good as before. */
export class RedisError extends Error {
  override readonly name = "RedisError";
  /** The first word in capitals, such as `NOAUTH`; `ERR` for most. */
  readonly code: string;
  constructor(text: string) {
    super(text);
    this.code = /^[A-Z]+/.exec(text)?.[0] ?? "ERR";
  }
  /** Whether the server lacks the command altogether, as old or reduced ones do. */
  get isUnknownCommand(): boolean {
    return /^ERR unknown (?:sub)?command/i.test(this.message);
  }
}

/** The other side speaks something else, or sends more than is allowed. Nothing can be read after it. */
export class RedisProtocolError extends Error {
  override readonly name = "RedisProtocolError";
}

const MAX_LINE_BYTES = 64 * 1024;
const MAX_DEPTH = 32;
const CR = 13;
const LF = 10;

/** A command as bytes: an array of bulk strings. */
export function encodeCommand(words: readonly (string | number)[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) {
    const value = String(word);
    text += `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  }
  return text;
}

interface OpenArray {
  readonly items: RedisReply[];
  readonly length: number;
}

/** Reads replies from pieces as they come. A reply larger than `limitBytes` is a RedisProtocolError. */
export class RedisReplyReader {
  readonly #limitBytes: number;
  #chunks: Buffer[] = [];
  #length = 0;
  /** Fewer bytes than this cannot bring the reading on: pieces of a long string are joined only once. */
  #needed = 1;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;
  #replyBytes = 0;
  readonly #open: OpenArray[] = [];

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** The next reply; undefined until more has come. Throws RedisProtocolError. */
  next(): RedisReply | undefined {
    if (this.#length < this.#needed) return undefined;
    this.#join();
    for (;;) {
      let value = this.#value();
      if (value === undefined) return undefined;
      for (let array = this.#open.at(-1); array !== undefined; array = this.#open.at(-1)) {
        array.items.push(value);
        if (array.items.length < array.length) break;
        this.#open.pop();
        value = array.items;
      }
      if (this.#open.length > 0) continue;
      this.#replyBytes = 0;
      return value;
    }
  }

  #join(): void {
    if (this.#chunks.length === 0) return;
    this.#buffer = Buffer.concat([this.#buffer.subarray(this.#at), ...this.#chunks]);
    this.#at = 0;
    this.#chunks = [];
  }

  /** One scalar or empty array, taken from the buffer; the beginning of an array is remembered and read on. */
  #value(): RedisReply | undefined {
    for (;;) {
      const end = this.#lineEnd();
      if (end === undefined) return undefined;
      const kind = String.fromCharCode(this.#buffer[this.#at]!);
      const text = this.#buffer.toString("utf8", this.#at + 1, end);
      switch (kind) {
        case "+":
          this.#take(end + 2);
          return text;
        case "-":
          this.#take(end + 2);
          return new RedisError(text);
        case ":":
          this.#take(end + 2);
          return this.#integer(text);
        case "$":
          return this.#bulk(end + 2, this.#size(text));
        case "*": {
          const length = this.#size(text);
          this.#take(end + 2);
          if (length <= 0) return length < 0 ? null : [];
          if (this.#open.length === MAX_DEPTH) throw new RedisProtocolError("it sends arrays in arrays without end");
          this.#open.push({ items: [], length });
          continue;
        }
        default: {
          const line = this.#buffer.toString("latin1", this.#at, Math.min(end, this.#at + 60));
          throw new RedisProtocolError(`it does not speak the protocol of Redis; it says "${printable(line)}"`);
        }
      }
    }
  }

  #bulk(start: number, size: number): string | null | undefined {
    if (size < 0) {
      this.#take(start);
      return null;
    }
    if (this.#replyBytes + size > this.#limitBytes) throw this.#tooLarge();
    if (this.#buffer.length < start + size + 2) return this.#wait(start + size + 2);
    const text = this.#buffer.toString("utf8", start, start + size);
    this.#take(start + size + 2);
    return text;
  }

  /** Where the line ends that begins here: the index of its CR. */
  #lineEnd(): number | undefined {
    let from = this.#at;
    for (;;) {
      const end = this.#buffer.indexOf(CR, from);
      const length = (end < 0 ? this.#buffer.length : end) - this.#at;
      if (length > MAX_LINE_BYTES) throw new RedisProtocolError("it does not speak the protocol of Redis");
      if (end < 0 || end + 1 >= this.#buffer.length) return this.#wait(this.#buffer.length + 1);
      if (this.#buffer[end + 1] === LF) return end;
      from = end + 1;
    }
  }

  #wait(needed: number): undefined {
    this.#needed = needed - this.#at;
    this.#length = this.#buffer.length - this.#at;
    return undefined;
  }

  #take(end: number): void {
    this.#replyBytes += end - this.#at;
    if (this.#replyBytes > this.#limitBytes) throw this.#tooLarge();
    this.#at = end;
    this.#length = this.#buffer.length - end;
    this.#needed = 1;
  }

  #size(text: string): number {
    const size = this.#integer(text);
    if (size < -1 || size > 2 ** 31) throw new RedisProtocolError(`it announces ${size} elements or bytes`);
    return size;
  }

  #integer(text: string): number {
    if (!/^[+-]?\d+$/.test(text)) {
      throw new RedisProtocolError(`it sends "${printable(text.slice(0, 60))}" where a number belongs`);
    }
    return Number(text);
  }

  #tooLarge(): RedisProtocolError {
    return new RedisProtocolError(`its answer is larger than ${this.#limitBytes / 1024 / 1024} MiB`);
  }
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, "?");
}
