/**
 * The self metrics of otelcol components under the Collector's names, so that Alloy's dashboards and alerts work.
 * `receiver`, `exporter` and `processor` labels are the Collector's component ids: `otlp/otelcol.receiver.otlp.default`.
 */
import { type Counter, counter, type Gauge, gauge, type Histogram, histogram } from "#base/metrics";
import type { OtlpKind } from "#formats/otlp/otlp";

/** What one item of a signal is called in metric names. */
const ITEM_NAMES: Readonly<Record<OtlpKind, string>> = {
  traces: "spans",
  metrics: "metric_points",
  logs: "log_records",
};
const ITEM_TEXTS: Readonly<Record<OtlpKind, string>> = {
  traces: "spans",
  metrics: "metric points",
  logs: "log records",
};

export const LATENCY_BUCKETS = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000];
const SIZE_BUCKETS = LATENCY_BUCKETS;
const RPC_LABELS = ["rpc_grpc_status_code", "rpc_method", "rpc_service", "rpc_system"];

const accepted = (kind: OtlpKind) =>
  counter(
    `otelcol_receiver_accepted_${ITEM_NAMES[kind]}_total`,
    `Number of ${ITEM_TEXTS[kind]} successfully pushed into the pipeline.`,
    ["receiver", "transport"],
  );
const refused = (kind: OtlpKind) =>
  counter(
    `otelcol_receiver_refused_${ITEM_NAMES[kind]}_total`,
    `Number of ${ITEM_TEXTS[kind]} that could not be pushed into the pipeline.`,
    ["receiver", "transport"],
  );

/** For receivers of OTLP over gRPC and HTTP. */
export const receiverMetrics = {
  acceptedTraces: accepted("traces"),
  acceptedMetrics: accepted("metrics"),
  acceptedLogs: accepted("logs"),
  refusedTraces: refused("traces"),
  refusedMetrics: refused("metrics"),
  refusedLogs: refused("logs"),
};

export const rpcServerMetrics = {
  rpcDuration: histogram("rpc_server_duration_milliseconds", "Duration of inbound RPCs.", LATENCY_BUCKETS, RPC_LABELS),
  rpcRequestSize: histogram(
    "rpc_server_request_size_bytes",
    "Size of RPC request messages, uncompressed.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
  rpcResponseSize: histogram(
    "rpc_server_response_size_bytes",
    "Size of RPC response messages, uncompressed.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
  rpcRequests: histogram(
    "rpc_server_requests_per_rpc",
    "Number of messages received per RPC.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
  rpcResponses: histogram("rpc_server_responses_per_rpc", "Number of messages sent per RPC.", SIZE_BUCKETS, RPC_LABELS),
};

export const rpcClientMetrics = {
  rpcDuration: histogram("rpc_client_duration_milliseconds", "Duration of outbound RPCs.", LATENCY_BUCKETS, RPC_LABELS),
  rpcRequestSize: histogram(
    "rpc_client_request_size_bytes",
    "Size of RPC request messages, uncompressed.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
  rpcResponseSize: histogram(
    "rpc_client_response_size_bytes",
    "Size of RPC response messages, uncompressed.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
  rpcRequests: histogram("rpc_client_requests_per_rpc", "Number of messages sent per RPC.", SIZE_BUCKETS, RPC_LABELS),
  rpcResponses: histogram(
    "rpc_client_responses_per_rpc",
    "Number of messages received per RPC.",
    SIZE_BUCKETS,
    RPC_LABELS,
  ),
};

type RpcInstruments = Readonly<Record<keyof typeof rpcServerMetrics, Histogram>>;

/** Records calls; children per method and code are kept. */
export function rpcRecorder(metrics: RpcInstruments) {
  const children = new Map<string, Histogram[]>();
  return (path: string, code: number, durationMs: number, requestBytes: number, responseBytes: number): void => {
    const key = `${code}${path}`;
    let found = children.get(key);
    if (found === undefined) {
      const [, service = "", method = ""] = path.split("/");
      const labels = [String(code), method, service, "grpc"];
      const { rpcDuration, rpcRequestSize, rpcResponseSize, rpcRequests, rpcResponses } = metrics;
      found = [rpcDuration, rpcRequestSize, rpcResponseSize, rpcRequests, rpcResponses].map((each) =>
        each.labels(...labels),
      );
      children.set(key, found);
    }
    found[0]!.observe(durationMs);
    found[1]!.observe(requestBytes);
    found[2]!.observe(responseBytes);
    found[3]!.observe(1);
    found[4]!.observe(code === 0 ? 1 : 0);
  };
}

const exported = (kind: OtlpKind) => ({
  sent: counter(
    `otelcol_exporter_sent_${ITEM_NAMES[kind]}_total`,
    `Number of ${ITEM_TEXTS[kind]} successfully sent to destination.`,
    ["exporter"],
  ),
  failed: counter(
    `otelcol_exporter_send_failed_${ITEM_NAMES[kind]}_total`,
    `Number of ${ITEM_TEXTS[kind]} in failed attempts to send to destination.`,
    ["exporter"],
  ),
  enqueueFailed: counter(
    `otelcol_exporter_enqueue_failed_${ITEM_NAMES[kind]}_total`,
    `Number of ${ITEM_TEXTS[kind]} failed to be added to the sending queue.`,
    ["exporter"],
  ),
});
const [tracesOut, metricsOut, logsOut] = [exported("traces"), exported("metrics"), exported("logs")];

const BATCH_SIZES = [10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000];

/** For exporters with a sending queue. */
export const exporterMetrics = {
  sentTraces: tracesOut.sent,
  sentMetrics: metricsOut.sent,
  sentLogs: logsOut.sent,
  failedTraces: tracesOut.failed,
  failedMetrics: metricsOut.failed,
  failedLogs: logsOut.failed,
  enqueueFailedTraces: tracesOut.enqueueFailed,
  enqueueFailedMetrics: metricsOut.enqueueFailed,
  enqueueFailedLogs: logsOut.enqueueFailed,
  queueSize: gauge("otelcol_exporter_queue_size", "Current size of the retry queue (in batches).", [
    "data_type",
    "exporter",
  ]),
  queueCapacity: gauge("otelcol_exporter_queue_capacity", "Fixed capacity of the retry queue (in batches).", [
    "data_type",
    "exporter",
  ]),
  queueBatchSendSize: histogram(
    "otelcol_exporter_queue_batch_send_size",
    "Number of units in the batch.",
    [...BATCH_SIZES, 20_000, 30_000, 50_000, 100_000],
    ["exporter"],
  ),
};

export interface ExporterInstruments {
  readonly sent: Readonly<Record<OtlpKind, Counter>>;
  readonly failed: Readonly<Record<OtlpKind, Counter>>;
  readonly enqueueFailed: Readonly<Record<OtlpKind, Counter>>;
  readonly queueSize: Readonly<Record<OtlpKind, Gauge>>;
  readonly queueCapacity: Readonly<Record<OtlpKind, Gauge>>;
  readonly batchSendSize: Histogram;
}

type Instruments<M> = { readonly [K in keyof M]: M[K] extends { create(): infer T } ? T : never };

/** The exporter's instruments by signal, labelled with its Collector id. */
export function exporterInstruments(
  metrics: Instruments<typeof exporterMetrics>,
  exporter: string,
): ExporterInstruments {
  const gauges = (family: Gauge) => ({
    traces: family.labels("traces", exporter),
    metrics: family.labels("metrics", exporter),
    logs: family.labels("logs", exporter),
  });
  return {
    sent: {
      traces: metrics.sentTraces.labels(exporter),
      metrics: metrics.sentMetrics.labels(exporter),
      logs: metrics.sentLogs.labels(exporter),
    },
    failed: {
      traces: metrics.failedTraces.labels(exporter),
      metrics: metrics.failedMetrics.labels(exporter),
      logs: metrics.failedLogs.labels(exporter),
    },
    enqueueFailed: {
      traces: metrics.enqueueFailedTraces.labels(exporter),
      metrics: metrics.enqueueFailedMetrics.labels(exporter),
      logs: metrics.enqueueFailedLogs.labels(exporter),
    },
    queueSize: gauges(metrics.queueSize),
    queueCapacity: gauges(metrics.queueCapacity),
    batchSendSize: metrics.queueBatchSendSize.labels(exporter),
  };
}

/** For processors: what came in and what the next components accepted. */
export const processorMetrics = {
  incomingItems: counter("otelcol_processor_incoming_items_total", "Number of items passed to the processor.", [
    "processor",
    "otel_signal",
  ]),
  outgoingItems: counter("otelcol_processor_outgoing_items_total", "Number of items emitted from the processor.", [
    "processor",
    "otel_signal",
  ]),
};

/** For the batch processor. */
export const batchMetrics = {
  ...processorMetrics,
  sendSize: histogram(
    "otelcol_processor_batch_batch_send_size",
    "Number of units in the batch.",
    [...BATCH_SIZES, 20_000, 30_000, 50_000, 100_000],
    ["processor"],
  ),
  sendSizeBytes: histogram(
    "otelcol_processor_batch_batch_send_size_bytes",
    "Number of bytes in the batch that was sent.",
    [10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 20_000, 30_000]
      .concat([50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000])
      .concat([1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 6_000_000, 7_000_000, 8_000_000, 9_000_000]),
    ["processor"],
  ),
  sizeTrigger: counter(
    "otelcol_processor_batch_batch_size_trigger_send_total",
    "Number of times the batch was sent due to a size trigger.",
    ["processor"],
  ),
  timeoutTrigger: counter(
    "otelcol_processor_batch_timeout_trigger_send_total",
    "Number of times the batch was sent due to a timeout trigger.",
    ["processor"],
  ),
  cardinality: gauge(
    "otelcol_processor_batch_metadata_cardinality",
    "Number of distinct metadata value combinations being processed.",
    ["processor"],
  ),
};
