/**
 * Where syslog messages begin and end in a stream (RFC 6587), as in Alloy: by a count of octets before each, or by a
 * newline after each. The first byte decides; for raw lines it does so for each line.
 */

/** Longest message whose end is not announced, beyond what is configured. */
const MAX_UNANNOUNCED = 1024 * 1024;
const NEWLINE = 0x0a;
const LESS_THAN = 0x3c;

export interface FramingOptions {
  /** Lines of any kind rather than messages that begin with `<`. */
  readonly raw: boolean;
  /** Ends raw lines: 10 or 0. */
  readonly delimiter: number;
  /** Most octets that a message may announce. */
  readonly maxLength: number;
}

/** `bytes[start, end)` is a message, valid until the receiver returns. */
export type FrameReceiver = (bytes: Uint8Array, start: number, end: number) => void;

/** The stream cannot be read any further. */
export class FramingError extends Error {
  override readonly name = "FramingError";
}

export class SyslogFramer {
  readonly #options: FramingOptions;
  readonly #receive: FrameReceiver;
  readonly #limit: number;
  /** How the stream is framed; undefined until its first byte. */
  #mode: "octets" | "lines" | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  /** The rest is a message with its newline, of which the next byte tells whether it goes on. */
  #held = false;
  /** The rest has no newline before this place. */
  #searched = 0;

  constructor(options: FramingOptions, receive: FrameReceiver) {
    this.#options = options;
    this.#receive = receive;
    this.#limit = Math.max(options.maxLength, MAX_UNANNOUNCED);
  }

  /** Whether `flush` would hand on a message. */
  get held(): boolean {
    return this.#held;
  }

  /** Takes the next bytes of the stream. Throws a FramingError, after which nothing more can be read. */
  push(chunk: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#held = false;
    let at = 0;
    for (let next = this.#step(bytes, at); next !== undefined; next = this.#step(bytes, at)) {
      at = next;
      this.#searched = 0;
    }
    if (bytes.length - at > this.#limit) {
      throw new FramingError(`a message has more than ${this.#limit} bytes and no end`);
    }
    // A copy, so that the chunk can go.
    this.#rest = at === bytes.length ? new Uint8Array(0) : bytes.slice(at);
  }

  /** Nothing more has come for a while: hands on a message that could have gone on in a further line. */
  flush(): void {
    if (!this.#held) return;
    const bytes = this.#rest;
    this.#clear();
    this.#receive(bytes, 0, bytes.length - 1);
  }

  /** The stream has ended. Throws a FramingError if that was within a message. */
  end(): void {
    if (this.#held) {
      this.flush();
      return;
    }
    const bytes = this.#rest;
    this.#clear();
    if (bytes.length === 0) return;
    if (this.#mode === "octets") {
      throw new FramingError(`the connection ended within a message, of which ${bytes.length} bytes had come`);
    }
    this.#receive(bytes, 0, bytes.length);
  }

  #clear(): void {
    this.#rest = new Uint8Array(0);
    this.#held = false;
    this.#searched = 0;
  }

  /** Hands on one message, if it is there; returns where the next one begins. */
  #step(bytes: Uint8Array, at: number): number | undefined {
    if (at >= bytes.length) return undefined;
    const first = bytes[at]!;
    if (this.#options.raw) {
      this.#mode = isDigit(first) ? "octets" : "lines";
      return this.#mode === "octets" ? this.#octets(bytes, at) : this.#rawLine(bytes, at);
    }
    this.#mode ??= modeOf(first);
    return this.#mode === "octets" ? this.#octets(bytes, at) : this.#line(bytes, at);
  }

  #octets(bytes: Uint8Array, at: number): number | undefined {
    const { raw, maxLength } = this.#options;
    if (bytes[at] === NEWLINE) return at + 1; // some senders end each message with one all the same
    let length = 0;
    let i = at;
    for (; i < bytes.length && isDigit(bytes[i]!); i++) {
      length = length * 10 + bytes[i]! - 0x30;
      if (i - at > 9) throw new FramingError("the length before a message has more than 10 digits");
    }
    const limit = raw ? this.#limit : maxLength;
    if (length > limit) {
      throw new FramingError(
        `message length (${length}) exceeds maximum length (${limit}): raise \`max_message_length\``,
      );
    }
    if (i === bytes.length) return undefined;
    if (i === at || length === 0 || bytes[i] !== 0x20) {
      throw new FramingError(`expecting the length of a message and a space, found ${sample(bytes, at)}`);
    }
    const start = i + 1;
    if (!raw && start < bytes.length && bytes[start] !== LESS_THAN) {
      throw new FramingError(`expecting \`<\` after the length of a message, found ${sample(bytes, start)}`);
    }
    if (start + length > bytes.length) return undefined;
    this.#receive(bytes, start, start + length);
    return start + length;
  }

  #line(bytes: Uint8Array, at: number): number | undefined {
    for (let from = at + this.#searched; ; ) {
      const newline = bytes.indexOf(NEWLINE, from);
      if (newline === -1) {
        this.#searched = bytes.length - at;
        return undefined;
      }
      if (newline + 1 === bytes.length) {
        this.#held = true;
        this.#searched = newline - at;
        return undefined;
      }
      // What does not begin with a priority goes on with the message before it, as in Alloy.
      if (bytes[newline + 1] === LESS_THAN) {
        this.#receive(bytes, at, newline);
        return newline + 1;
      }
      from = newline + 1;
    }
  }

  #rawLine(bytes: Uint8Array, at: number): number | undefined {
    const end = bytes.indexOf(this.#options.delimiter, at + this.#searched);
    if (end === -1) {
      this.#searched = bytes.length - at;
      return undefined;
    }
    this.#receive(bytes, at, end);
    return end + 1;
  }
}

function modeOf(first: number): "octets" | "lines" {
  if (first === LESS_THAN) return "lines";
  if (isDigit(first)) return "octets";
  const char = JSON.stringify(String.fromCharCode(first));
  throw new FramingError(
    `a stream of syslog begins with \`<\` or with a length, not with ${char}: let the sender write syslog, or set \`syslog_format = "raw"\``,
  );
}

function sample(bytes: Uint8Array, at: number): string {
  return JSON.stringify(Buffer.from(bytes.subarray(at, at + 12)).toString("latin1"));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
