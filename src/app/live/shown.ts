import { sliceable } from "#pipeline/log-batch";
import type { LiveItem, Pairs } from "../api/json.ts";

/** How things are written in the live view: bounded in length, valid as text whatever bytes they came from. */

/** Longer texts are cut, with a mark that says how much is left out. */
const LONGEST_TEXT = 4096;

/** Bytes as text; what is no UTF-8 becomes U+FFFD. */
export function shownBytes(data: Uint8Array, start: number, end: number): string {
  if (end - start <= LONGEST_TEXT) return sliceable(data).utf8Slice(start, end);
  let cut = start + LONGEST_TEXT;
  // Not in the middle of a character: up to three bytes back to one that is no continuation.
  for (let back = 0; back < 3 && (data[cut]! & 0xc0) === 0x80; back++) cut -= 1;
  return sliceable(data).utf8Slice(start, cut) + leftOut(end - cut, "bytes");
}

export function shownText(text: string): string {
  if (text.length <= LONGEST_TEXT) return text;
  // Not between the halves of a surrogate pair.
  const code = text.charCodeAt(LONGEST_TEXT - 1);
  const cut = code >= 0xd800 && code < 0xdc00 ? LONGEST_TEXT - 1 : LONGEST_TEXT;
  return text.slice(0, cut) + leftOut(text.length - cut, "characters");
}

function leftOut(count: number, what: string): string {
  return `… (${count} ${what} more)`;
}

/** Flat pairs as an object without a prototype, since names come from outside. Of a repeated name the first value stays. */
export function pairsOf(flat: readonly string[]): Pairs {
  const pairs: Record<string, string> = Object.create(null);
  for (let i = 0; i < flat.length; i += 2) if (!(flat[i]! in pairs)) pairs[flat[i]!] = flat[i + 1]!;
  return pairs;
}

function shownPairs(pairs: Pairs): Pairs {
  const shown: Record<string, string> = Object.create(null);
  for (const name in pairs) shown[shownText(name)] = shownText(pairs[name]!);
  return shown;
}

/** The item with all its texts cut, except for exports, which are cut where they are made. */
export function shownItem(item: LiveItem): LiveItem {
  if (item.type === "exports") return item;
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(item)) {
    // A line was cut while it was bytes.
    if (typeof value === "string") shown[name] = name === "line" ? value : shownText(value);
    else shown[name] = typeof value === "object" ? shownPairs(value as Pairs) : value;
  }
  return shown as unknown as LiveItem;
}

const LAST_MS = 8.64e15;

/** ISO 8601 in UTC: with milliseconds, or with nanoseconds if there are some. `ns` is what lies beyond the milliseconds. */
export function isoTime(ms: number, ns = 0): string {
  if (!(Math.abs(ms) <= LAST_MS)) return String(ms);
  const text = new Date(ms).toISOString();
  return ns === 0 ? text : `${text.slice(0, -1)}${String(ns).padStart(6, "0")}Z`;
}

/** The same from nanoseconds since 1970; empty for 0, which says that the time is not known. */
export function isoNanos(time: bigint): string {
  return time === 0n ? "" : isoTime(Number(time / 1_000_000n), Number(time % 1_000_000n));
}

/** A number as Prometheus writes it. */
export function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
