/**
 * How many spans a sampled span stands for, by the threshold (`ot=th:…`) in its trace state. Matches
 * connector/spanmetricsconnector/internal/metrics/adjusted_count.go and pkg/sampling of the Collector.
 */

const LONGEST_STATE = 1024;
const LONGEST_KEY = 256;
const LONGEST_TENANT = 241;
const LONGEST_SYSTEM = 14;
const LONGEST_OT_VALUE = 256;
/** From this member on a trace state is too long. */
const TOO_MANY_MEMBERS = 32;
/** 2^56: probabilities have 14 hexadecimal digits. */
const ALL = 1n << 56n;
const DIGITS = 14;

const KEY = /^(?:[a-z][a-z0-9_\-*/]*|[a-z0-9][a-z0-9_\-*/]*@[a-z][a-z0-9_\-*/]*)$/;
const VALUE = /^[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;
const OT_KEY = /^[a-z][a-z0-9]*$/;
const OT_VALUE = /^[A-Za-z0-9._-]*$/;
const HEX = /^[0-9a-fA-F]+$/;
const BLANKS = /^[ \t]+|[ \t]+$/g;

/** The denominator of the probability with which a span was sampled, of 2^56; undefined for a state that does not say it. */
export function sampledShare(state: string): bigint | undefined {
  if (state.length > LONGEST_STATE || !state.includes("ot=")) return undefined;
  const members = state.split(",");
  // A comma at the end begins no member.
  if (members.at(-1) === "") members.pop();
  if (members.length >= TOO_MANY_MEMBERS) return undefined;
  let share: bigint | undefined;
  for (const each of members) {
    const member = each.replace(BLANKS, "");
    if (member === "") continue;
    const equals = member.indexOf("=");
    const key = member.slice(0, equals);
    const value = member.slice(equals + 1);
    if (equals < 1 || !isKey(key) || !VALUE.test(value)) return undefined;
    if (key !== "ot") continue;
    const found = thresholdOf(value);
    if (found === "malformed") return undefined;
    share = found === undefined ? undefined : ALL - found;
  }
  return share;
}

function isKey(key: string): boolean {
  if (key.length > LONGEST_KEY || !KEY.test(key)) return false;
  const at = key.indexOf("@");
  return at < 0 || (at <= LONGEST_TENANT && key.length - at - 1 <= LONGEST_SYSTEM);
}

/** The threshold in the value of `ot`. */
function thresholdOf(text: string): bigint | undefined | "malformed" {
  if (text.length > LONGEST_OT_VALUE) return "malformed";
  let threshold: bigint | undefined;
  for (const member of text.split(";")) {
    const colon = member.indexOf(":");
    const key = member.slice(0, colon);
    const value = member.slice(colon + 1);
    if (colon < 1 || !OT_KEY.test(key) || !OT_VALUE.test(value)) return "malformed";
    if (key === "rv" && (value.length !== DIGITS || !HEX.test(value))) return "malformed";
    if (key !== "th") continue;
    if (value.length > DIGITS || !HEX.test(value)) return "malformed";
    threshold = BigInt(`0x${value.padEnd(DIGITS, "0")}`);
  }
  return threshold;
}

/** Counts for spans; neighbours in a request tend to have the same trace state, so that the last one is kept. */
export class AdjustedCounts {
  readonly #random: () => number;
  #last = Buffer.alloc(0);
  #count = 1;

  /** `random` gives numbers from 0 to below 1, for shares that are no whole number. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** A request begins: the next span with a fractional count is rounded anew. */
  reset(): void {
    this.#last = Buffer.alloc(0);
    this.#count = 1;
  }

  /** The number for the trace state `bytes[from, to)`: rounded at random, so that sums are right. */
  of(bytes: Buffer, from: number, to: number): number {
    if (from === to) return 1;
    if (this.#last.compare(bytes, from, to) === 0) return this.#count;
    this.#last = Buffer.from(bytes.subarray(from, to));
    const share = sampledShare(bytes.toString("latin1", from, to));
    this.#count = share === undefined ? 1 : this.#divide(share);
    return this.#count;
  }

  #divide(share: bigint): number {
    const whole = Number(ALL / share);
    const rest = Number(ALL % share);
    return rest > 0 && this.#random() < rest / Number(share) ? whole + 1 : whole;
  }
}
