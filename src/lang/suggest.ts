/** Names longer than this are never suggested for: the search stays bounded whatever the input. */
const maxNameLength = 128;

/**
 * The candidate that `name` was most likely meant to be, for the hint of a diagnostic; undefined when none is near.
 * Distance is Damerau-Levenshtein (optimal string alignment) without regard to case; up to a third of the name's length
 * may differ, at least 1 and at most 4 edits. Of equally near ones the first wins.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length === 0 || name.length > maxNameLength) return undefined;
  const wanted = name.toLowerCase();
  let limit = Math.min(4, Math.max(1, Math.floor(name.length / 3)));
  let best: string | undefined;
  for (const candidate of candidates) {
    if (candidate === name || candidate.length > maxNameLength) continue;
    const distance = editDistance(wanted, candidate.toLowerCase(), limit);
    if (distance > limit || (best !== undefined && distance === limit)) continue;
    best = candidate;
    if (distance === 0) return best;
    limit = distance;
  }
  return best;
}

/** Edits (insert, delete, replace, swap of neighbours) between two texts; any number above `limit` once it exceeds it. */
export function editDistance(a: string, b: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    let rowMinimum = i;
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let distance = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, beforePrevious[j - 2]! + 1);
      }
      current.push(distance);
      rowMinimum = Math.min(rowMinimum, distance);
    }
    // A swap reaches back two rows, so the row before must be beyond the limit as well.
    if (rowMinimum > limit && Math.min(...previous) > limit) return limit + 1;
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length]!;
}
