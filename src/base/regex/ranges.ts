/** Sets of code points: `low, high, low, high, …`, ascending, neither overlapping nor touching. */
export type Ranges = readonly number[];

export const MAX_CODE_POINT = 0x10ffff;

/** Sorts and merges pairs given in any order. */
export function normalize(pairs: readonly number[]): Ranges {
  if (pairs.length <= 2) return pairs;
  const order: [number, number][] = [];
  for (let i = 0; i < pairs.length; i += 2) order.push([pairs[i]!, pairs[i + 1]!]);
  order.sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  const merged: number[] = [...order[0]!];
  for (const [low, high] of order) {
    const last = merged.length - 1;
    if (low <= merged[last]! + 1) merged[last] = Math.max(merged[last]!, high);
    else merged.push(low, high);
  }
  return merged;
}

export function negate(ranges: Ranges): Ranges {
  const out: number[] = [];
  let next = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (next < ranges[i]!) out.push(next, ranges[i]! - 1);
    next = ranges[i + 1]! + 1;
  }
  if (next <= MAX_CODE_POINT) out.push(next, MAX_CODE_POINT);
  return out;
}

export function union(a: Ranges, b: Ranges): Ranges {
  return normalize([...a, ...b]);
}

/** The part of the set within `low … high`. */
export function clip(ranges: Ranges, low: number, high: number): Ranges {
  const out: number[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const from = Math.max(ranges[i]!, low);
    const to = Math.min(ranges[i + 1]!, high);
    if (from <= to) out.push(from, to);
  }
  return out;
}

export function disjoint(a: Ranges, b: Ranges): boolean {
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if (a[i + 1]! < b[j]!) i += 2;
    else if (b[j + 1]! < a[i]!) j += 2;
    else return false;
  }
  return true;
}

export function includes(ranges: Ranges, low: number, high = low): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (ranges[i]! <= low && high <= ranges[i + 1]!) return true;
  return false;
}
