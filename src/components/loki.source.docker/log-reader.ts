import { allocate, type SliceableBuffer } from "#pipeline/log-batch";

export type LogStream = "stdout" | "stderr";

/** Gets what the reader finds; the bytes are lent until the call returns. */
export interface LogSink {
  line(stream: LogStream, seconds: number, nanos: number, data: Uint8Array, start: number, end: number): void;
  bad(reason: "line_too_long" | "no_timestamp"): void;
}

/** As in Alloy's scanner; longer lines are passed over. */
const MAX_LINE = 1024 * 1024;
const HEADER_BYTES = 8;
const FIRST_BYTES = 32 * 1024;
const NEWLINE = 10;
const RETURN = 13;
const STDERR = 2;

/** Bytes that wait for more. */
class Pending {
  data: SliceableBuffer = allocate(0);
  length = 0;

  append(source: Uint8Array, start: number, end: number): void {
    const needed = this.length + end - start;
    if (needed > this.data.length) {
      const larger = allocate(Math.max(needed, this.data.length * 2, FIRST_BYTES));
      this.data.copy(larger, 0, 0, this.length);
      this.data = larger;
    }
    this.data.set(source.subarray(start, end), this.length);
    this.length = needed;
  }
  /** Removes the first bytes; memory of a long line is given back. */
  consume(bytes: number): void {
    this.data.copyWithin(0, bytes, this.length);
    this.length -= bytes;
    if (this.length === 0 && this.data.length > 4 * FIRST_BYTES) this.data = allocate(0);
  }
}

/** A line that Docker has cut into several messages. */
interface Assembly {
  readonly stamp: Timestamp | undefined;
  readonly text: Pending;
  tooLong: boolean;
}

/**
 * Reads a container's log as the Engine API sends it with `timestamps=1`: frames of a header and one message each, or for
 * a terminal the bare text. Chunks may end anywhere.
 */
export class LogReader {
  readonly #sink: LogSink;
  readonly #isTerminal: boolean;
  readonly #pending = new Pending();
  readonly #times = new TimestampReader();
  readonly #partial = new Map<LogStream, Assembly>();
  /** Bytes to pass over; Infinity: up to the end of the line. */
  #skip = 0;

  constructor(isTerminal: boolean, sink: LogSink) {
    this.#isTerminal = isTerminal;
    this.#sink = sink;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    if (this.#skip > 0) {
      if (this.#skip === Infinity) {
        const newline = chunk.indexOf(NEWLINE);
        if (newline < 0) return;
        from = newline + 1;
        this.#skip = 0;
      } else {
        from = Math.min(this.#skip, chunk.length);
        this.#skip -= from;
      }
    }
    if (from === chunk.length) return;
    this.#pending.append(chunk, from, chunk.length);
    const done = this.#isTerminal ? this.#lines() : this.#frames();
    if (done > 0) this.#pending.consume(done);
  }

  /** The log has ended: what was not finished by a newline is a line too. */
  end(): void {
    for (const [stream, assembly] of this.#partial) this.#assembled(stream, assembly);
    this.#partial.clear();
    const { data, length } = this.#pending;
    if (this.#isTerminal && length > 0) this.#message("stdout", data, 0, length);
    this.#pending.consume(length);
  }

  #lines(): number {
    const { data, length } = this.#pending;
    let at = 0;
    for (;;) {
      const newline = data.indexOf(NEWLINE, at);
      if (newline < 0 || newline >= length) break;
      if (newline - at > MAX_LINE) this.#sink.bad("line_too_long");
      else this.#message("stdout", data, at, newline + 1);
      at = newline + 1;
    }
    if (length - at <= MAX_LINE) return at;
    this.#sink.bad("line_too_long");
    this.#skip = Infinity;
    return length;
  }

  #frames(): number {
    const { data, length } = this.#pending;
    let at = 0;
    while (length - at >= HEADER_BYTES) {
      const size = data.readUInt32BE(at + 4);
      const start = at + HEADER_BYTES;
      if (size > MAX_LINE) {
        this.#sink.bad("line_too_long");
        const there = Math.min(size, length - start);
        this.#skip = size - there;
        at = start + there;
        continue;
      }
      if (length - start < size) break;
      this.#frame(data[at] === STDERR ? "stderr" : "stdout", data, start, start + size);
      at = start + size;
    }
    return at;
  }

  #frame(stream: LogStream, data: SliceableBuffer, start: number, end: number): void {
    if (start === end) return;
    const isWhole = data[end - 1] === NEWLINE;
    let assembly = this.#partial.get(stream);
    if (assembly === undefined && isWhole) {
      this.#message(stream, data, start, end);
      return;
    }
    // Each part of a line that Docker has cut begins with a time of its own.
    const stamp = this.#times.read(data, start, end);
    if (assembly === undefined) {
      this.#partial.set(stream, (assembly = { stamp, text: new Pending(), tooLong: false }));
    }
    const from = stamp?.end ?? start;
    if (assembly.text.length + end - from > MAX_LINE) assembly.tooLong = true;
    else if (!assembly.tooLong) assembly.text.append(data, from, end);
    if (!isWhole) return;
    this.#partial.delete(stream);
    this.#assembled(stream, assembly);
  }

  #assembled(stream: LogStream, { stamp, text, tooLong }: Assembly): void {
    if (tooLong) this.#sink.bad("line_too_long");
    else if (stamp === undefined) this.#sink.bad("no_timestamp");
    else this.#line(stream, stamp, text.data, 0, text.length);
  }

  #message(stream: LogStream, data: SliceableBuffer, start: number, end: number): void {
    const stamp = this.#times.read(data, start, end);
    if (stamp === undefined) this.#sink.bad("no_timestamp");
    else this.#line(stream, stamp, data, stamp.end, end);
  }

  #line(stream: LogStream, { seconds, nanos }: Timestamp, data: Uint8Array, start: number, end: number): void {
    let last = end;
    if (last > start && data[last - 1] === NEWLINE) last -= 1;
    if (last > start && data[last - 1] === RETURN) last -= 1;
    this.#sink.line(stream, seconds, nanos, data, start, last);
  }
}

interface Timestamp {
  /** Whole seconds since 1970, and the nanoseconds beyond them. */
  readonly seconds: number;
  readonly nanos: number;
  /** Where the text after it begins. */
  readonly end: number;
}

const SECONDS_LENGTH = "2006-01-02T15:04:05".length;

/** Reads `2006-01-02T15:04:05.999999999Z `; most lines share their second with the one before. */
class TimestampReader {
  #text = "";
  #seconds = 0;

  read(data: SliceableBuffer, start: number, end: number): Timestamp | undefined {
    const text = data.latin1Slice(start, Math.min(end, start + SECONDS_LENGTH));
    if (text !== this.#text) {
      const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)$/.exec(text);
      if (match === null) return undefined;
      const [, year, month, day, hour, minute, second] = match.map(Number);
      this.#seconds = Date.UTC(year!, month! - 1, day, hour, minute, second) / 1_000;
      this.#text = text;
    }
    let at = start + SECONDS_LENGTH;
    let nanos = 0;
    if (data[at] === 46) {
      let unit = 100_000_000;
      for (at += 1; at < end && data[at]! >= 48 && data[at]! <= 57; at++) {
        nanos += (data[at]! - 48) * unit;
        unit = Math.floor(unit / 10);
      }
    }
    if (data[at] === 90 && data[at + 1] === 32) return { seconds: this.#seconds, nanos, end: at + 2 };
    const zone = /^([+-])(\d\d):(\d\d) /.exec(data.latin1Slice(at, Math.min(end, at + 7)));
    if (zone === null) return undefined;
    const offset = (Number(zone[2]) * 60 + Number(zone[3])) * (zone[1] === "-" ? -60 : 60);
    return { seconds: this.#seconds - offset, nanos, end: at + 7 };
  }
}
