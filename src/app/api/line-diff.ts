/** Lines around a change that are shown with it. */
const CONTEXT = 3;
/** Texts that differ by more lines than this are shown as one change, since the search takes the square of it in memory. */
const MOST_DIFFERENCES = 400;

/** A run of lines: `[oldStart, oldEnd)` of the old text became `[newStart, newEnd)` of the new one. */
interface Change {
  readonly oldStart: number;
  readonly oldEnd: number;
  readonly newStart: number;
  readonly newEnd: number;
}

/** The difference of two texts in unified format, as `diff -u` and `patch` have it; empty if there is none. */
export function unifiedDiff(oldName: string, newName: string, oldText: string, newText: string): string {
  const [before, after] = [linesOf(oldText), linesOf(newText)];
  const hunks = hunksOf(changesOf(before, after), before.length);
  if (hunks.length === 0) return "";
  const out = [`--- ${oldName}\n`, `+++ ${newName}\n`];
  for (const changes of hunks) {
    const first = changes[0]!;
    const last = changes.at(-1)!;
    const oldStart = Math.max(0, first.oldStart - CONTEXT);
    const newStart = first.newStart - (first.oldStart - oldStart);
    const oldEnd = Math.min(before.length, last.oldEnd + CONTEXT);
    const newEnd = last.newEnd + (oldEnd - last.oldEnd);
    out.push(`@@ -${range(oldStart, oldEnd)} +${range(newStart, newEnd)} @@\n`);
    let at = oldStart;
    for (const change of changes) {
      for (; at < change.oldStart; at++) out.push(shown(" ", before[at]!));
      for (; at < change.oldEnd; at++) out.push(shown("-", before[at]!));
      for (let i = change.newStart; i < change.newEnd; i++) out.push(shown("+", after[i]!));
    }
    for (; at < oldEnd; at++) out.push(shown(" ", before[at]!));
  }
  return out.join("");
}

/** With their newlines, so that a text without one at its end differs from the same text with it. */
function linesOf(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function shown(mark: string, line: string): string {
  return line.endsWith("\n") ? mark + line : `${mark}${line}\n\\ No newline at end of file\n`;
}

/** From 1; an empty range names the line before it. */
function range(start: number, end: number): string {
  const length = end - start;
  return length === 1 ? String(start + 1) : `${length === 0 ? start : start + 1},${length}`;
}

/** Changes that are near to each other share a hunk. */
function hunksOf(changes: readonly Change[], length: number): readonly (readonly Change[])[] {
  const hunks: Change[][] = [];
  let shownTo = -1;
  for (const change of changes) {
    if (hunks.length > 0 && change.oldStart - CONTEXT <= shownTo) hunks.at(-1)!.push(change);
    else hunks.push([change]);
    shownTo = Math.min(length, change.oldEnd + CONTEXT);
  }
  return hunks;
}

function changesOf(before: readonly string[], after: readonly string[]): readonly Change[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let [oldEnd, newEnd] = [before.length, after.length];
  while (oldEnd > start && newEnd > start && before[oldEnd - 1] === after[newEnd - 1]) {
    oldEnd--;
    newEnd--;
  }
  if (start === oldEnd && start === newEnd) return [];
  const path = shortestEdit(before.slice(start, oldEnd), after.slice(start, newEnd));
  if (path === undefined) return [{ oldStart: start, oldEnd, newStart: start, newEnd }];
  return path.map((each) => ({
    oldStart: each.oldStart + start,
    oldEnd: each.oldEnd + start,
    newStart: each.newStart + start,
    newEnd: each.newEnd + start,
  }));
}

/**
 * The fewest removals and additions that make `after` of `before`, by Myers' algorithm ("An O(ND) Difference Algorithm",
 * 1986); undefined beyond MOST_DIFFERENCES of them. In step d, `furthest[k]` is how far in `before` one gets on the
 * diagonal k (place in `before` minus place in `after`) with d differences.
 */
function shortestEdit(before: readonly string[], after: readonly string[]): readonly Change[] | undefined {
  const steps: Map<number, number>[] = [];
  let furthest = new Map<number, number>([[1, 0]]);
  const bound = Math.min(before.length + after.length, MOST_DIFFERENCES);
  for (let d = 0; d <= bound; d++) {
    const next = new Map<number, number>();
    for (let k = -d; k <= d; k += 2) {
      let x = goesDown(furthest, k, d) ? furthest.get(k + 1)! : furthest.get(k - 1)! + 1;
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) x++;
      next.set(k, x);
      if (x >= before.length && x - k >= after.length) {
        steps.push(furthest);
        return changesAlong(steps, before.length, after.length);
      }
    }
    steps.push(furthest);
    furthest = next;
  }
  return undefined;
}

/** Whether the furthest way onto the diagonal comes by an addition, rather than by a removal. */
function goesDown(furthest: ReadonlyMap<number, number>, k: number, d: number): boolean {
  return k === -d || (k !== d && furthest.get(k - 1)! < furthest.get(k + 1)!);
}

/** Walks back from the ends of both texts; `steps[d]` is what was reached before step d. */
function changesAlong(steps: readonly ReadonlyMap<number, number>[], x: number, y: number): readonly Change[] {
  const changes: Change[] = [];
  for (let d = steps.length - 1; d > 0; d--) {
    const furthest = steps[d]!;
    const k = x - y;
    const down = goesDown(furthest, k, d);
    const oldStart = furthest.get(down ? k + 1 : k - 1)!;
    const newStart = oldStart - (down ? k + 1 : k - 1);
    const change = {
      oldStart,
      oldEnd: down ? oldStart : oldStart + 1,
      newStart,
      newEnd: down ? newStart + 1 : newStart,
    };
    const later = changes.at(-1);
    if (later !== undefined && later.oldStart === change.oldEnd && later.newStart === change.newEnd) {
      changes[changes.length - 1] = { ...later, oldStart: change.oldStart, newStart: change.newStart };
    } else changes.push(change);
    [x, y] = [oldStart, newStart];
  }
  return changes.reverse();
}
