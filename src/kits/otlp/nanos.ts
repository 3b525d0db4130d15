import type { ProtoWriter } from "#formats/protobuf";

/** Times of columns (whole milliseconds, and nanoseconds beyond them) as OTLP's nanoseconds of 64 bits, without bigints. */

const TWO_16 = 65_536;
const TWO_32 = 2 ** 32;
const NANOS_PER_MS = 1_000_000;
/** The time that was written last, and its halves. */
const last = { ms: 0, ns: 0, low: 0, high: 0 };

/** Writes a `fixed64` of nanoseconds since 1970. A time before 1970 wraps around, as Go's conversion to uint64 does. */
export function writeNanos(writer: ProtoWriter, field: number, ms: number, ns: number): void {
  if (ms < 0) {
    writer.fixed64Big(field, BigInt(ms) * 1_000_000n + BigInt(ns));
    return;
  }
  // The samples of a scrape have one time.
  if (ms !== last.ms || ns !== last.ns) {
    // ms = upper · 2^16 + lower, so that no product exceeds 2^53.
    const upper = Math.floor(ms / TWO_16) * NANOS_PER_MS;
    const low = (upper % TWO_16) * TWO_16 + (ms % TWO_16) * NANOS_PER_MS + ns;
    last.ms = ms;
    last.ns = ns;
    last.low = low % TWO_32;
    last.high = Math.floor(upper / TWO_16) + Math.floor(low / TWO_32);
  }
  writer.fixed64(field, last.low, last.high);
}

/** Whole milliseconds of nanoseconds in two halves of 32 bits, both unsigned. */
export function millisOf(low: number, high: number): number {
  const rest = (high % NANOS_PER_MS) * TWO_32 + low;
  return Math.floor(high / NANOS_PER_MS) * TWO_32 + Math.floor(rest / NANOS_PER_MS);
}

/** The nanoseconds beyond those milliseconds, 0 … 999,999. */
export function nanosBeyondMillis(low: number, high: number): number {
  return ((high % NANOS_PER_MS) * TWO_32 + low) % NANOS_PER_MS;
}
