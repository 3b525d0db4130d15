import type { MetricFamily } from "#base/metrics";

/** Families without samples that have the name and labels of an earlier one, which no scraper would take. */
export function withoutDuplicates(families: readonly MetricFamily[]): {
  readonly families: readonly MetricFamily[];
  /** How many samples were taken out. */
  readonly dropped: number;
  /** One of their names. */
  readonly example: string | undefined;
} {
  let dropped = 0;
  let example: string | undefined;
  const kept = families.map((family) => {
    const seen = new Set<string>();
    const samples = family.samples.filter(({ name, labels }) => {
      const key = `${name}\xff${sortedPairs(labels).join("\xff")}`;
      const isNew = !seen.has(key);
      seen.add(key);
      if (!isNew) {
        dropped += 1;
        example ??= family.name;
      }
      return isNew;
    });
    return samples.length === family.samples.length ? family : { ...family, samples };
  });
  return { families: kept, dropped, example };
}

/** A label without a value is none. */
function sortedPairs(labels: readonly string[]): string[] {
  const pairs: string[] = [];
  for (let i = 0; i < labels.length; i += 2) if (labels[i + 1] !== "") pairs.push(`${labels[i]}\xfe${labels[i + 1]}`);
  return pairs.sort();
}
