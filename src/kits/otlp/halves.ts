/**
 * 64-bit numbers in two signed halves of 32 bits: what is kept of each of many series, and worked on for each point, without
 * a bigint for each.
 */

export function lowHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}
export function highHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}
/** The signed number. */
export function wholeOf(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Whether a < b as signed numbers. */
export function isLess(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh < bHigh;
}
/** Whether a < b as unsigned numbers. */
export function isBelow(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh === bHigh ? aLow >>> 0 < bLow >>> 0 : aHigh >>> 0 < bHigh >>> 0;
}

/** The upper half of a + b; the lower one is `(aLow + bLow) | 0`. */
export function sumHigh(aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const carry = (aLow + bLow) >>> 0 < aLow >>> 0 ? 1 : 0;
  return (aHigh + bHigh + carry) | 0;
}
/** The upper half of a − b; the lower one is `(aLow - bLow) | 0`. */
export function differenceHigh(aLow: number, aHigh: number, bLow: number, bHigh: number): number {
  const borrow = aLow >>> 0 < bLow >>> 0 ? 1 : 0;
  return (aHigh - bHigh - borrow) | 0;
}
