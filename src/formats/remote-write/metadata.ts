import type { MetricMetadata } from "#pipeline/batch";

/** By their code in both versions of remote write (`MetricMetadata.MetricType`, `Metadata.MetricType`). */
export const METADATA_TYPES: readonly MetricMetadata["type"][] = [
  "unknown",
  "counter",
  "gauge",
  "histogram",
  "gaugehistogram",
  "summary",
  "info",
  "stateset",
];

type Types = readonly MetricMetadata["type"][];

/** What the names of a family's series may end with, by type: Prometheus's isSeriesPartOfFamily (scrape/scrape.go). */
const SUFFIXES: readonly (readonly [suffix: string, types: Types])[] = [
  ["_bucket", ["histogram", "gaugehistogram"]],
  ["_count", ["histogram", "summary"]],
  ["_sum", ["histogram", "summary"]],
  ["_gcount", ["gaugehistogram"]],
  ["_gsum", ["gaugehistogram"]],
  ["_total", ["counter"]],
  ["_created", ["counter", "histogram", "summary"]],
  ["_info", ["info"]],
];

/** The families that a series with this name may belong to, each with the types that it then must have; any if undefined. */
export function familiesOf(name: string): readonly (readonly [family: string, types: Types | undefined])[] {
  const found: (readonly [string, Types | undefined])[] = [[name, undefined]];
  for (const [suffix, types] of SUFFIXES) {
    if (name.endsWith(suffix) && name.length > suffix.length) found.push([name.slice(0, -suffix.length), types]);
  }
  return found;
}
