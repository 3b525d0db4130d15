import { GAUGE, HISTOGRAM, SUM, SUMMARY } from "#formats/otlp/fields";
import type { MetricMetadata } from "#pipeline/batch";

/**
 * To which family a sample of Prometheus belongs, and as what. Matches metadata.go, metricfamily.go and util.go of
 * internal/component/otelcol/receiver/prometheus of Alloy, with two differences: the `_created` of a counter is the start
 * time of its `_total`, where Alloy makes a second counter of it that is always 0; and a sample `x_count` beside a gauge
 * `x` is a metric of its own, where Alloy has one overwrite the other.
 */

/** What a sample says of its point. */
export const VALUE = 1;
export const SUM_VALUE = 2;
export const COUNT = 3;
export const CREATED = 4;
/** A bucket or quantile, with a boundary. */
export const BOUND = 5;
export type Role = typeof VALUE | typeof SUM_VALUE | typeof COUNT | typeof CREATED | typeof BOUND;

/** The field of a metric that holds the family's data; gauges are everything that is nothing else. */
export type FamilyField = typeof GAUGE | typeof SUM | typeof HISTOGRAM | typeof SUMMARY;

export interface FamilyOf {
  readonly name: string;
  readonly field: FamilyField;
  readonly isMonotonic: boolean;
  readonly metadata: MetricMetadata;
  readonly role: Role;
}

export type FindMetadata = (family: string) => MetricMetadata | undefined;

/** Types whose samples have suffixes. */
const COMPOSED: ReadonlySet<MetricMetadata["type"]> = new Set([
  "counter",
  "histogram",
  "gaugehistogram",
  "summary",
  "info",
]);
const SUFFIXES = ["_bucket", "_count", "_sum", "_total", "_info", "_created"];

/** What the samples that a scrape adds itself mean. */
const REPORTS: ReadonlyMap<string, MetricMetadata> = new Map(
  [
    { family: "up", unit: "", help: "The scraping was successful" },
    { family: "scrape_duration_seconds", unit: "seconds", help: "Duration of the scrape" },
    { family: "scrape_samples_scraped", unit: "", help: "The number of samples the target exposed" },
    { family: "scrape_series_added", unit: "", help: "The approximate number of new series in this scrape" },
    {
      family: "scrape_samples_post_metric_relabeling",
      unit: "",
      help: "The number of samples remaining after metric relabeling was applied",
    },
  ].map((each) => [each.family, { ...each, type: "gauge" }]),
);

/** A metric's name without the suffix that samples of families have. */
export function familyName(metric: string): string {
  for (const suffix of SUFFIXES) {
    if (metric.endsWith(suffix) && metric !== suffix) return metric.slice(0, -suffix.length);
  }
  return metric;
}

/** The family of a sample that is a plain number. */
export function familyOf(metric: string, find: FindMetadata): FamilyOf {
  const { name, metadata } = described(metric, find);
  const isCreated = metric === `${metadata.family}_created`;
  switch (metadata.type) {
    case "histogram":
    case "summary":
      return {
        name,
        field: metadata.type === "histogram" ? HISTOGRAM : SUMMARY,
        isMonotonic: true,
        metadata,
        role: metric.endsWith("_sum") ? SUM_VALUE : metric.endsWith("_count") ? COUNT : isCreated ? CREATED : BOUND,
      };
    case "counter":
      return isCreated
        ? { name: totalOf(metadata.family), field: SUM, isMonotonic: true, metadata, role: CREATED }
        : { name, field: SUM, isMonotonic: true, metadata, role: VALUE };
    case "info":
    case "stateset":
      return { name, field: SUM, isMonotonic: false, metadata, role: isCreated ? CREATED : VALUE };
    default:
      return { name, field: GAUGE, isMonotonic: false, metadata, role: VALUE };
  }
}

/** The samples of a counter: its family has the suffix already in Prometheus's text format, and not in OpenMetrics. */
function totalOf(family: string): string {
  return family.endsWith("_total") ? family : `${family}_total`;
}

/** The family of a native histogram: always a histogram, whatever its metadata says. */
export function nativeFamilyOf(metric: string, find: FindMetadata): { name: string; metadata: MetricMetadata } {
  const { name, metadata } = described(metric, find);
  return { name, metadata: { ...metadata, type: "histogram" } };
}

/** Whether a stale marker of this metric ends a native histogram: its family is a histogram, and there is no suffix. */
export function endsNative(metric: string, find: FindMetadata): boolean {
  return find(metric)?.type === "histogram";
}

function described(metric: string, find: FindMetadata): { name: string; metadata: MetricMetadata } {
  const exact = REPORTS.get(metric) ?? find(metric);
  if (exact !== undefined) return { name: metric, metadata: exact };
  const short = familyName(metric);
  const family = find(short);
  if (family !== undefined && COMPOSED.has(family.type)) {
    return { name: family.type === "counter" ? metric : short, metadata: family };
  }
  return { name: metric, metadata: { family: metric, type: "unknown", help: "", unit: "" } };
}
