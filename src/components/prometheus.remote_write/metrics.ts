import { type Counter, counter, type Gauge, gauge, type Histogram, histogram, type InstrumentsOf } from "#base/metrics";
import { shownUrl } from "#kits/http/url";
import { newLabelValues } from "#kits/new-series";

const ENDPOINT = ["remote_name", "url"] as const;
const DROPPED = [...ENDPOINT, "reason"] as const;
const REQUEST_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300] as const;
const storage = "prometheus_remote_storage_";
const wal = "prometheus_remote_write_wal_";

const endpointSpecs = {
  bytes: counter(
    `${storage}bytes_total`,
    "The total number of bytes of data (not metadata) sent after compression.",
    ENDPOINT,
  ),
  metadataBytes: counter(
    `${storage}metadata_bytes_total`,
    "The total number of bytes of metadata sent after compression.",
    ENDPOINT,
  ),
  enqueueRetries: counter(
    `${storage}enqueue_retries_total`,
    "Total number of times enqueue has failed because a shard's queue was full.",
    ENDPOINT,
  ),
  samples: counter(`${storage}samples_total`, "Total number of samples sent to remote storage.", ENDPOINT),
  exemplars: counter(`${storage}exemplars_total`, "Total number of exemplars sent to remote storage.", ENDPOINT),
  histograms: counter(`${storage}histograms_total`, "Total number of histograms sent to remote storage.", ENDPOINT),
  metadata: counter(`${storage}metadata_total`, "Total number of metadata entries sent to remote storage.", ENDPOINT),
  samplesFailed: counter(
    `${storage}samples_failed_total`,
    "Total number of samples which failed on send to remote storage, non-recoverable errors.",
    ENDPOINT,
  ),
  exemplarsFailed: counter(
    `${storage}exemplars_failed_total`,
    "Total number of exemplars which failed on send to remote storage, non-recoverable errors.",
    ENDPOINT,
  ),
  metadataFailed: counter(
    `${storage}metadata_failed_total`,
    "Total number of metadata entries which failed on send to remote storage, non-recoverable errors.",
    ENDPOINT,
  ),
  samplesRetried: counter(
    `${storage}samples_retried_total`,
    "Total number of samples which failed on send to remote storage but were retried because the send error was recoverable.",
    ENDPOINT,
  ),
  exemplarsRetried: counter(
    `${storage}exemplars_retried_total`,
    "Total number of exemplars which failed on send to remote storage but were retried because the send error was recoverable.",
    ENDPOINT,
  ),
  metadataRetried: counter(
    `${storage}metadata_retried_total`,
    "Total number of metadata entries which failed on send to remote storage but were retried because the send error was recoverable.",
    ENDPOINT,
  ),
  pending: gauge(
    `${storage}samples_pending`,
    "The number of samples pending in the queue to be sent to the remote storage.",
    ENDPOINT,
  ),
  shards: gauge(`${storage}shards`, "The number of shards used for parallel sending to the remote storage.", ENDPOINT),
  shardsDesired: gauge(
    `${storage}shards_desired`,
    "The number of shards that the queue's shard calculation wants to run.",
    ENDPOINT,
  ),
  shardsMin: gauge(`${storage}shards_min`, "The minimum number of shards that the queue is allowed to run.", ENDPOINT),
  shardsMax: gauge(`${storage}shards_max`, "The maximum number of shards that the queue is allowed to run.", ENDPOINT),
  shardCapacity: gauge(
    `${storage}shard_capacity`,
    "The capacity of each shard of the queue used for parallel sending to the remote storage.",
    ENDPOINT,
  ),
  maxSamplesPerSend: gauge(
    `${storage}max_samples_per_send`,
    "The maximum number of samples to be sent, in a single request, to the remote storage.",
    ENDPOINT,
  ),
  highestSent: gauge(
    `${storage}queue_highest_sent_timestamp_seconds`,
    "Timestamp from a WAL sample, the highest timestamp successfully sent by this queue, in seconds since epoch.",
    ENDPOINT,
  ),
  duration: histogram(
    `${storage}sent_batch_duration_seconds`,
    "Duration of send calls to the remote storage.",
    REQUEST_BUCKETS,
    ENDPOINT,
  ),
};

export const remoteWriteMetrics = {
  ...endpointSpecs,
  newLabelValues,
  samplesDropped: counter(
    `${storage}samples_dropped_total`,
    "Total number of samples which were dropped after being read from the WAL before being sent via remote write.",
    DROPPED,
  ),
  exemplarsDropped: counter(
    `${storage}exemplars_dropped_total`,
    "Total number of exemplars which were dropped before being sent via remote write.",
    DROPPED,
  ),
  histogramsDropped: counter(
    `${storage}histograms_dropped_total`,
    "Total number of histograms which were dropped before being sent via remote write.",
    DROPPED,
  ),
  samplesIn: counter(
    `${storage}samples_in_total`,
    "Samples in to remote storage, compare to samples out for queue managers.",
  ),
  exemplarsIn: counter(
    `${storage}exemplars_in_total`,
    "Exemplars in to remote storage, compare to exemplars out for queue managers.",
  ),
  histogramsIn: counter(
    `${storage}histograms_in_total`,
    "HistogramSamples in to remote storage, compare to histograms out for queue managers.",
  ),
  highestTimestamp: gauge(
    `${storage}highest_timestamp_in_seconds`,
    "Highest timestamp that has come into the remote storage, in seconds since epoch.",
  ),
  walSamples: counter(`${wal}samples_appended_total`, "Total number of samples appended to the WAL"),
  walExemplars: counter(`${wal}exemplars_appended_total`, "Total number of exemplars appended to the WAL"),
  walMetadata: counter(`${wal}metadata_updates_total`, "Total number of metadata entries updated in the WAL"),
  walOutOfOrder: counter(
    `${wal}out_of_order_samples_total`,
    "Total number of out of order samples ingestion failed attempts.",
  ),
  walActiveSeries: gauge(
    `${wal}storage_active_series`,
    "Current number of active series being tracked by the WAL storage",
  ),
  walDeletedSeries: gauge(`${wal}storage_deleted_series`, "Current number of series marked for deletion from memory"),
  walCreatedSeries: counter(`${wal}storage_created_series_total`, "Total number of created series appended to the WAL"),
  walRemovedSeries: counter(`${wal}storage_removed_series_total`, "Total number of series removed from the WAL"),
};

export type RemoteWriteMetrics = InstrumentsOf<typeof remoteWriteMetrics>;

/** The instruments of one endpoint, and the way to take them off the page. */
export type EndpointMetrics = {
  readonly [K in keyof typeof endpointSpecs]: ReturnType<(typeof endpointSpecs)[K]["create"]>;
} & { dropped(kind: "samples" | "exemplars" | "histograms", reason: string, count: number): void; remove(): void };

export function endpointMetrics(all: RemoteWriteMetrics, name: string, url: string): EndpointMetrics {
  const shown = new URL(url);
  shown.username = "";
  shown.password = "";
  const labels = [name, shownUrl(shown.href)] as const;
  const reasons = new Set<string>();
  const own: Record<string, Counter | Gauge | Histogram> = {};
  for (const key of Object.keys(endpointSpecs) as (keyof typeof endpointSpecs)[]) own[key] = all[key].labels(...labels);
  const dropped = { samples: all.samplesDropped, exemplars: all.exemplarsDropped, histograms: all.histogramsDropped };
  return {
    ...(own as { readonly [K in keyof typeof endpointSpecs]: ReturnType<(typeof endpointSpecs)[K]["create"]> }),
    dropped(kind, reason, count) {
      reasons.add(reason);
      dropped[kind].labels(...labels, reason).inc(count);
    },
    remove() {
      for (const key of Object.keys(endpointSpecs) as (keyof typeof endpointSpecs)[]) all[key].remove(...labels);
      for (const reason of reasons) for (const each of Object.values(dropped)) each.remove(...labels, reason);
    },
  };
}
