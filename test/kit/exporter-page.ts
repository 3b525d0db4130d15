import assert from "node:assert/strict";
import { parseTextFile } from "#formats/text-file";

/** Compares pages of this agent's exporters with those of the exporters that they stand in for. */

interface Series {
  /** The name of its family, for the list of differences. */
  readonly family: string;
  readonly type: string;
  readonly help: string | undefined;
  readonly value: number;
}

/** Series by name and sorted labels. */
export function seriesOf(page: string): Map<string, Series> {
  const found = new Map<string, Series>();
  for (const { name, type, help, samples } of parseTextFile(page)) {
    for (const sample of samples) {
      const labels: string[] = [];
      for (let i = 0; i < sample.labels.length; i += 2) {
        if (sample.labels[i + 1] !== "") labels.push(`${sample.labels[i]}=${JSON.stringify(sample.labels[i + 1])}`);
      }
      found.set(`${sample.name}{${labels.sort().join()}}`, { family: name, type, help, value: sample.value });
    }
  }
  return found;
}

/** What may differ between two pages, and why. */
export interface PageDifferences {
  /** Series that need not be on both pages. */
  readonly series: readonly (readonly [pattern: RegExp, why: string])[];
  /** Families whose help text or type need not be equal. */
  readonly texts?: readonly (readonly [pattern: RegExp, why: string])[];
  /** Series whose values move between two reads. */
  readonly moving: RegExp;
}

/** Fails with everything that differs and may not; a stated difference that is none any more fails as well. */
export function assertSamePage(ours: string, theirs: string, differences: PageDifferences): void {
  const [a, b] = [seriesOf(ours), seriesOf(theirs)];
  const used = new Set<RegExp>();
  const may = (list: PageDifferences["series"], text: string) => {
    const found = list.find(([pattern]) => pattern.test(text));
    if (found !== undefined) used.add(found[0]);
    return found !== undefined;
  };
  const problems: string[] = [];
  for (const [key, their] of b) {
    const our = a.get(key);
    if (our === undefined) {
      if (!may(differences.series, key)) problems.push(`missing: ${key} ${their.value}`);
      continue;
    }
    if ((our.type !== their.type || our.help !== their.help) && !may(differences.texts ?? [], their.family)) {
      problems.push(`${our.type} "${our.help}" is ${their.type} "${their.help}": ${key}`);
    }
    const isClose =
      Object.is(our.value, their.value) || Math.abs(our.value - their.value) <= Math.abs(their.value) / 1e6;
    if (!isClose && !differences.moving.test(key)) problems.push(`${our.value} is ${their.value}: ${key}`);
  }
  for (const key of a.keys()) if (!b.has(key) && !may(differences.series, key)) problems.push(`too much: ${key}`);
  for (const [pattern, why] of [...differences.series, ...(differences.texts ?? [])]) {
    if (!used.has(pattern)) problems.push(`no difference any more: ${pattern} (${why})`);
  }
  assert.deepEqual(problems, []);
}
