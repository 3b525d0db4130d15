/**
 * Probability sampling as OpenTelemetry specifies it: 56 bits of randomness and thresholds, and the trace state that carries
 * them. Matches pkg/sampling of the Collector's contrib repository.
 *
 * Randomness and thresholds are texts of 14 hexadecimal digits in lower case, which order as their numbers do. An item is
 * sampled if its randomness is not less than the threshold.
 */

const DIGITS = 14;
const BITS_OF_DIGIT = 4;
const RANGE = 1n << 56n;
const LEAST_PROBABILITY = 2 ** -56;

export const ALWAYS_SAMPLE = "0".repeat(DIGITS);
/** Beyond every randomness. */
export const NEVER_SAMPLE = "g";
export const GREATEST_RANDOMNESS = "f".repeat(DIGITS);

export function isSampled(threshold: string, randomness: string): boolean {
  return threshold <= randomness;
}

/** The threshold for a probability, with this many digits that count; undefined for probabilities out of (0, 1]. */
export function thresholdOf(probability: number, precision: number): string | undefined {
  if (!(probability >= LEAST_PROBABILITY && probability <= 1)) return undefined;
  if (probability === 1) return ALWAYS_SAMPLE;
  // Leading digits that are 0 or f do not count.
  const leading = Math.max(0, leadingDigits(probability), leadingDigits(1 - probability));
  const digits = Math.min(DIGITS, precision + leading);
  let threshold = RANGE - BigInt(Math.round(probability * Number(RANGE)));
  const shift = BigInt(BITS_OF_DIGIT * (DIGITS - digits));
  if (shift > 0n) threshold = ((threshold + (1n << (shift - 1n))) >> shift) << shift;
  return threshold >= RANGE ? NEVER_SAMPLE : threshold.toString(16).padStart(DIGITS, "0");
}
const double = new DataView(new ArrayBuffer(8));
/** How many digits of a fraction are 0, by its binary exponent as Go's `math.Frexp` has it. */
function leadingDigits(fraction: number): number {
  double.setFloat64(0, fraction);
  return Math.trunc(((double.getUint16(0) >>> 4) - 1022) / -BITS_OF_DIGIT);
}

export function probabilityOf(threshold: string): number {
  return Number(RANGE - BigInt(`0x${threshold}`)) / Number(RANGE);
}

const HEXADECIMAL = /^[0-9a-f]+$/i;

/** The threshold that a `th` value stands for; undefined for what is none. */
export function parseThreshold(text: string): string | undefined {
  if (text.length > DIGITS || !HEXADECIMAL.test(text)) return undefined;
  return text.toLowerCase().padEnd(DIGITS, "0");
}
/** The `th` value of a threshold; "" for one that nothing passes. */
export function thresholdText(threshold: string): string {
  if (threshold === NEVER_SAMPLE) return "";
  return threshold === ALWAYS_SAMPLE ? "0" : threshold.replace(/0+$/, "");
}

/** The randomness that an `rv` value stands for; undefined for what is none. */
export function parseRandomness(text: string): string | undefined {
  return text.length === DIGITS && HEXADECIMAL.test(text) ? text.toLowerCase() : undefined;
}

const LONGEST_STATE = 1024;
const MOST_MEMBERS = 32;
const KEY = /^[a-z][a-z0-9_\-*/]*$/;
const TENANT_KEY = /^([a-z0-9][a-z0-9_\-*/]*)@([a-z][a-z0-9_\-*/]*)$/;
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const [LONGEST_KEY, LONGEST_TENANT, LONGEST_SYSTEM] = [256, 241, 14];
const LONGEST_OTEL = 256;
const OTEL_MEMBERS = /^[a-z][a-z0-9]*:[A-Za-z0-9._-]*(?:;[a-z][a-z0-9]*:[A-Za-z0-9._-]*)*$/;

/** What a W3C trace state says of sampling (`ot=th:…;rv:…`), and the rest of it. Reused with `parse`. */
export class SamplingTraceState {
  /** As they are written, "" for none. */
  rv = "";
  th = "";
  readonly #otelMembers: string[] = [];
  readonly #members: string[] = [];

  /** False for what is no trace state, or one whose members for sampling cannot be read; what could be read is kept. */
  parse(text: string): boolean {
    this.#clear();
    this.#members.length = 0;
    if (text === "") return true;
    if (text.length > LONGEST_STATE) return false;
    const members = text.split(",").map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ""));
    if (!members.every((member) => member === "" || isMember(member))) return false;
    // One at the end, after a comma, does not count.
    if (members.at(-1) === "" && text.endsWith(",")) members.pop();
    let isReadable = true;
    for (const [i, member] of members.entries()) {
      if (i + 1 >= MOST_MEMBERS) return false;
      if (member !== "" && !this.#add(member)) isReadable = false;
    }
    return isReadable;
  }

  #add(member: string): boolean {
    const equals = member.indexOf("=");
    const key = member.slice(0, equals);
    if (isTooLong(key)) return false;
    if (key === "ot") return this.#parseOtel(member.slice(equals + 1));
    this.#members.push(member);
    return true;
  }

  #parseOtel(text: string): boolean {
    this.#clear();
    if (text.length > LONGEST_OTEL || !OTEL_MEMBERS.test(text)) return false;
    let isReadable = true;
    for (const member of text.split(";")) {
      const value = member.slice(member.indexOf(":") + 1);
      if (member.startsWith("rv:")) {
        this.rv = parseRandomness(value) === undefined ? "" : value;
        isReadable &&= this.rv !== "";
      } else if (member.startsWith("th:")) {
        this.th = parseThreshold(value) === undefined ? "" : value;
        isReadable &&= this.th !== "";
      } else this.#otelMembers.push(member);
    }
    return isReadable;
  }

  #clear(): void {
    this.rv = "";
    this.th = "";
    this.#otelMembers.length = 0;
  }

  toString(): string {
    let otel = this.rv === "" ? "" : `rv:${this.rv}`;
    if (this.th !== "") otel += `${otel === "" ? "" : ";"}th:${this.th}`;
    for (const member of this.#otelMembers) otel += `${otel === "" ? "" : ";"}${member}`;
    let text = otel === "" ? "" : `ot=${otel}`;
    for (const member of this.#members) text += `${text === "" ? "" : ","}${member}`;
    return text;
  }
}

function isMember(text: string): boolean {
  const equals = text.indexOf("=");
  if (equals < 1) return false;
  const key = text.slice(0, equals);
  return (KEY.test(key) || TENANT_KEY.test(key)) && VALUE.test(text.slice(equals + 1));
}
function isTooLong(key: string): boolean {
  if (key.length > LONGEST_KEY) return true;
  const [, tenant = "", system = ""] = TENANT_KEY.exec(key) ?? [];
  return tenant.length > LONGEST_TENANT || system.length > LONGEST_SYSTEM;
}
