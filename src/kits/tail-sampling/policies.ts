/** How policies decide on a trace, from what was found out about it. Matches processor/tailsamplingprocessor/internal/sampling. */

export const SAMPLED = 1;
export const NOT_SAMPLED = 2;
/** A policy of type `drop` said so: no other policy counts. */
export const DROPPED = 3;
/** A condition failed that must not: the policy says nothing. */
export const FAILED = 4;
export type Decision = typeof SAMPLED | typeof NOT_SAMPLED | typeof DROPPED | typeof FAILED;

/** A trace whose decision is due. One object serves all traces. */
export interface TraceFacts {
  /** Whether condition number i held for some span or resource, … */
  holds(condition: number): boolean;
  /** … or failed before it could. */
  fails(condition: number): boolean;
  readonly spans: number;
  /** The length of its spans and their headers as a request. */
  readonly bytes: number;
  /** Bytes 0 to 15 of the trace id. */
  readonly id: Uint8Array;
  /** Epoch milliseconds. */
  readonly now: number;
}
export type Decide = (trace: TraceFacts) => Decision;

export const always: Decide = () => SAMPLED;

export function condition(number: number, isInverted = false): Decide {
  return (trace) => {
    if (trace.fails(number)) return FAILED;
    return trace.holds(number) !== isInverted ? SAMPLED : NOT_SAMPLED;
  };
}

export function spanCount(least: number, most: number): Decide {
  return ({ spans }) => (spans >= least && (most === 0 || spans <= most) ? SAMPLED : NOT_SAMPLED);
}

/** All of several, asked in their order until one says no. */
export function every(policies: readonly Decide[], agreed: typeof SAMPLED | typeof DROPPED = SAMPLED): Decide {
  return (trace) => {
    for (const decide of policies) {
      const decision = decide(trace);
      if (decision !== SAMPLED) return decision === FAILED ? FAILED : NOT_SAMPLED;
    }
    return agreed;
  };
}

export function not(decide: Decide): Decide {
  return (trace) => {
    const decision = decide(trace);
    if (decision === SAMPLED) return NOT_SAMPLED;
    return decision === NOT_SAMPLED ? SAMPLED : decision;
  };
}

export interface CompositePart {
  readonly decide: Decide;
  /** Spans a second that it may let through. */
  readonly spansPerSecond: number;
}

/**
 * The first policy that says yes decides, as long as it has let through fewer spans than it may in this second of the clock;
 * no later one is asked then.
 */
export function composite(parts: readonly CompositePart[], totalPerSecond: number): Decide {
  const sampled = new Float64Array(parts.length);
  let second = Number.NaN;
  return (trace) => {
    const now = Math.floor(trace.now / 1000);
    if (now !== second) {
      second = now;
      sampled.fill(0);
    }
    for (const [i, { decide, spansPerSecond }] of parts.entries()) {
      const decision = decide(trace);
      if (decision === FAILED) return FAILED;
      if (decision !== SAMPLED) continue;
      const sum = sampled[i]! + trace.spans;
      if (sum > spansPerSecond || sum > totalPerSecond) return NOT_SAMPLED;
      sampled[i] = sum;
      return SAMPLED;
    }
    return NOT_SAMPLED;
  };
}

/**
 * A token bucket over what `cost` says of a trace. It is full at first (but with a rate of 0, when it stays empty), gets `rate` tokens a second, and holds at most
 * `burst`; a trace that costs more never passes. Matches golang.org/x/time/rate, whose AllowN takes nothing when it refuses.
 */
export function limited(rate: number, burst: number, cost: (trace: TraceFacts) => number): Decide {
  let tokens = rate > 0 ? burst : 0;
  let last = Number.NaN;
  return (trace) => {
    const elapsed = trace.now > last ? (trace.now - last) / 1000 : 0;
    const available = Math.min(burst, tokens + elapsed * Math.max(0, rate));
    const wanted = cost(trace);
    if (wanted > burst || wanted > available) return NOT_SAMPLED;
    tokens = available - wanted;
    last = trace.now;
    return SAMPLED;
  };
}

const FNV_OFFSET = 0xcbf29ce484222325n;
const FNV_PRIME = 0x100000001b3n;
const MASK = (1n << 64n) - 1n;
const TWO_32 = 2 ** 32;

/** Traces whose id, hashed by FNV-1a after the salt, is in the lower part of all hashes that `percent` stands for. */
export function probabilistic(percent: number, salt: string): Decide {
  let state = FNV_OFFSET;
  for (const byte of Buffer.from(salt === "" ? "default-hash-seed" : salt)) {
    state = ((state ^ BigInt(byte)) * FNV_PRIME) & MASK;
  }
  const startLow = Number(state & 0xffffffffn);
  const startHigh = Number(state >> 32n);
  const threshold = thresholdOf(percent / 100);
  const mostLow = Number(threshold & 0xffffffffn);
  const mostHigh = Number(threshold >> 32n);
  return ({ id }) => {
    let low = startLow;
    let high = startHigh;
    for (let i = 0; i < 16; i++) {
      low = (low ^ id[i]!) >>> 0;
      // The prime is 2^40 + 0x1b3.
      const product = low * 0x1b3;
      high = (Math.imul(high, 0x1b3) + Math.floor(product / TWO_32) + (low << 8)) >>> 0;
      low = product % TWO_32;
    }
    return high < mostHigh || (high === mostHigh && low <= mostLow) ? SAMPLED : NOT_SAMPLED;
  };
}

/** A part of 2^64 − 1, rounded to 64 bits as Go's big.Float does and cut to a whole number. */
function thresholdOf(ratio: number): bigint {
  if (!(ratio > 0)) return 0n;
  if (ratio >= 1) return MASK;
  // ratio = mantissa / 2^shift, exactly
  let mantissa = ratio;
  let shift = 0n;
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2;
    shift += 1n;
  }
  const product = BigInt(mantissa) * MASK;
  const excess = BigInt(Math.max(0, product.toString(2).length - 64));
  const half = excess === 0n ? 0n : 1n << (excess - 1n);
  let kept = product >> excess;
  const rest = product - (kept << excess);
  if (excess > 0n && (rest > half || (rest === half && (kept & 1n) === 1n))) kept += 1n;
  return shift >= excess ? kept >> (shift - excess) : kept << (excess - shift);
}
