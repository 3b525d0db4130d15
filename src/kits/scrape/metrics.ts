import { formatPrometheusDuration } from "#base/duration";
import { type Counter, counter, gauge, type Histogram, histogram, type InstrumentsOf, summary } from "#base/metrics";
import type { Flow } from "#pipeline/flow";
import { metricFanoutMetrics } from "../metric-fanout.ts";
import { newLabelValues } from "../new-series.ts";

const INTERVAL_BUCKETS = [0.01, 0.1, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600] as const;

/** Those that client libraries take where nothing is said. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** Under the names of Alloy and of the scrape manager of Prometheus inside it. */
export const scrapeMetricSpecs = {
  targets: gauge("prometheus_scrape_targets_gauge", "Number of targets this component is configured to scrape"),
  moved: counter(
    "prometheus_scrape_targets_moved_total",
    "Number of targets that have moved from this cluster node to another one",
  ),
  pools: counter("prometheus_target_scrape_pools_total", "Total number of scrape pool creation attempts."),
  poolsFailed: counter(
    "prometheus_target_scrape_pools_failed_total",
    "Total number of scrape pool creations that failed.",
  ),
  reloads: counter("prometheus_target_scrape_pool_reloads_total", "Total number of scrape pool reloads."),
  reloadsFailed: counter(
    "prometheus_target_scrape_pool_reloads_failed_total",
    "Total number of failed scrape pool reloads.",
  ),
  poolTargets: gauge("prometheus_target_scrape_pool_targets", "Current number of targets in this scrape pool.", [
    "scrape_job",
  ]),
  poolTargetLimit: gauge(
    "prometheus_target_scrape_pool_target_limit",
    "Maximum number of targets allowed in this scrape pool.",
    ["scrape_job"],
  ),
  syncs: counter(
    "prometheus_target_scrape_pool_sync_total",
    "Total number of syncs that were executed on a scrape pool.",
    ["scrape_job"],
  ),
  syncFailed: counter("prometheus_target_sync_failed_total", "Total number of target sync failures.", ["scrape_job"]),
  exceededTargetLimit: counter(
    "prometheus_target_scrape_pool_exceeded_target_limit_total",
    "Total number of times scrape pools hit the target limit, during sync or config reload.",
  ),
  exceededLabelLimits: counter(
    "prometheus_target_scrape_pool_exceeded_label_limits_total",
    "Total number of times scrape pools hit the label limits, during sync or config reload.",
  ),
  exceededSampleLimit: counter(
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "Total number of scrapes that hit the sample limit and were rejected.",
  ),
  exceededBodySize: counter(
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
    "Total number of scrapes that hit the body size limit",
  ),
  duplicates: counter(
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "Total number of samples rejected due to duplicate timestamps but different values.",
  ),
  outOfOrder: counter(
    "prometheus_target_scrapes_sample_out_of_order_total",
    "Total number of samples rejected due to not being out of the expected order.",
  ),
  outOfBounds: counter(
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "Total number of samples rejected due to timestamp falling outside of the time bounds.",
  ),
  exceededBucketLimit: counter(
    "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
    "Total number of scrapes that hit the native histogram bucket limit and were rejected.",
  ),
  exemplarsOutOfOrder: counter(
    "prometheus_target_scrapes_exemplar_out_of_order_total",
    "Total number of exemplar rejected due to not being out of the expected order.",
  ),
  scrapeDuration: histogram(
    "prometheus_target_scrape_duration_seconds",
    "Total duration of the scrape from start to commit completion in seconds.",
    DURATION_BUCKETS,
  ),
  cacheFlushes: counter(
    "prometheus_target_scrapes_cache_flush_forced_total",
    "How many times a scrape cache was flushed due to getting big while scrapes are failing.",
  ),
  intervalLength: histogram(
    "prometheus_target_interval_length_histogram_seconds",
    "Actual intervals between scrapes, as a histogram.",
    INTERVAL_BUCKETS,
    ["interval"],
  ),
  intervalQuantiles: summary(
    "prometheus_target_interval_length_seconds",
    "Actual intervals between scrapes.",
    [0.01, 0.05, 0.5, 0.9, 0.99],
    ["interval"],
  ),
  syncLength: summary(
    "prometheus_target_sync_length_seconds",
    "Actual interval to sync the scrape pool.",
    [0.01, 0.05, 0.5, 0.9, 0.99],
    ["scrape_job"],
  ),
  syncLengthHistogram: histogram(
    "prometheus_target_sync_length_histogram_seconds",
    "Actual interval to sync the scrape pool.",
    [0.01, 0.1, 1, 10],
    ["scrape_job"],
  ),
  reloadLength: summary(
    "prometheus_target_reload_length_seconds",
    "Actual interval to reload the scrape pool with a given configuration.",
    [0.01, 0.05, 0.5, 0.9, 0.99],
    ["interval"],
  ),
  metadataBytes: gauge(
    "prometheus_target_metadata_cache_bytes",
    "The number of bytes that are currently used for storing metric metadata in the cache",
    ["scrape_job"],
  ),
  metadataEntries: gauge(
    "prometheus_target_metadata_cache_entries",
    "Total number of metric metadata entries in the cache",
    ["scrape_job"],
  ),
  newLabelValues,
  ...metricFanoutMetrics,
};

/** What scrape loops count. */
export interface ScrapeMetrics {
  readonly exceededLabelLimits: Counter;
  readonly exceededSampleLimit: Counter;
  readonly exceededBodySize: Counter;
  readonly exceededBucketLimit: Counter;
  readonly exemplarsOutOfOrder: Counter;
  readonly scrapeDuration: Histogram;
  readonly duplicates: Counter;
  readonly outOfBounds: Counter;
  intervalLength(intervalMs: number, seconds: number): void;
  drop(reason: string, samples: number): void;
}

export function scrapeMetrics(instruments: InstrumentsOf<typeof scrapeMetricSpecs>, flow: Flow): ScrapeMetrics {
  return {
    ...instruments,
    intervalLength(intervalMs, seconds) {
      const interval = formatPrometheusDuration(intervalMs);
      instruments.intervalLength.labels(interval).observe(seconds);
      instruments.intervalQuantiles.labels(interval).observe(seconds);
    },
    drop: (reason, samples) => flow.drop("metrics", reason, samples),
  };
}
