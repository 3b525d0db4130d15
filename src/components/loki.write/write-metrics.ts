import { counter, DEFAULT_BUCKETS, gauge, histogram, type InstrumentsOf } from "#base/metrics";
import { newLabelValues } from "#kits/new-series";

const KIB = 1024;
const MIB = 1024 * KIB;

/** Alloy's metrics of loki.write (internal/component/common/loki/client/metrics.go). */
export const WRITE_METRICS = {
  sentBytes: counter("loki_write_sent_bytes_total", "Number of bytes sent.", ["host", "tenant"]),
  droppedBytes: counter(
    "loki_write_dropped_bytes_total",
    "Number of bytes dropped because failed to be sent to the ingester after all retries.",
    ["host", "tenant", "reason"],
  ),
  sentEntries: counter("loki_write_sent_entries_total", "Number of log entries sent to the ingester.", [
    "host",
    "tenant",
  ]),
  droppedEntries: counter(
    "loki_write_dropped_entries_total",
    "Number of log entries dropped because failed to be sent to the ingester after all retries.",
    ["host", "tenant", "reason"],
  ),
  retries: counter("loki_write_batch_retries_total", "Number of times batches has had to be retried.", [
    "host",
    "tenant",
  ]),
  requestSize: histogram(
    "loki_write_request_size_bytes",
    "Number of bytes for requests.",
    [1, 4, 16, 64, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 20_480].map((kib) => kib * KIB),
    ["host", "tenant"],
  ),
  requestDuration: histogram("loki_write_request_duration_seconds", "Duration of send requests.", DEFAULT_BUCKETS, [
    "status_code",
    "host",
    "tenant",
  ]),
  entryLatency: histogram(
    "loki_write_entry_propagation_latency_seconds",
    "Write latency for entries",
    [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600],
    ["host", "tenant"],
  ),
  walRecordsRead: counter(
    "loki_write_wal_watcher_records_read_total",
    "Number of records read by the WAL watcher from the WAL.",
    ["id"],
  ),
  walRunning: gauge("loki_write_wal_watcher_running", "Number of WAL watchers running."),
  walLastWritten: gauge("loki_write_wal_writer_last_written_timestamp", "Latest timestamp that was written to the WAL"),
  newStreams: counter("loki_write_new_streams_total", "Streams that had no entries in the minutes before."),
  labelValues: newLabelValues,
} as const;

export type WriteMetrics = InstrumentsOf<typeof WRITE_METRICS>;

/** Alloy's reasons for dropped entries; ours, in the flow accounting, are finer. */
const ALLOY_REASONS = ["ingester_error", "rate_limited", "stream_limited", "line_too_long", "queue_is_full"] as const;
export type AlloyReason = (typeof ALLOY_REASONS)[number];

/** Why entries were dropped, in the flow accounting. */
export type DropReason =
  | "bad_request"
  | "blocked"
  | "endpoint_removed"
  | "invalid_labels"
  | "invalid_metadata"
  | "invalid_tenant"
  | "line_too_long"
  | "no_endpoint"
  | "not_found"
  | "out_of_order"
  | "payload_too_large"
  | "queue_full"
  | "queue_age"
  | "queue_damaged"
  | "rate_limited"
  | "server_error"
  | "shutdown"
  | "stream_limit"
  | "timeout"
  | "too_far_in_future"
  | "too_old"
  | "unauthorized"
  | "unreachable";

/** The counters exist from a tenant's first entry on, so that rates have a beginning. */
export function initialise(metrics: WriteMetrics, host: string, tenant: string): void {
  for (const reason of ALLOY_REASONS) {
    metrics.droppedBytes.labels(host, tenant, reason);
    metrics.droppedEntries.labels(host, tenant, reason);
  }
  for (const each of [metrics.retries, metrics.sentBytes, metrics.sentEntries]) each.labels(host, tenant);
}

/** The largest push request that this component will look into again. */
export const MAX_REQUEST_BYTES = 256 * MIB;
