/** Blocks that otelcol components share. Matches internal/component/otelcol/config_*.go of Alloy. */
import { type Infer, s } from "#lang/schema";
import { storageArgument } from "./storage.ts";

/** `output { metrics = […] logs = […] traces = […] }` */
export const outputSchema = s.object({
  metrics: s.list(s.consumer("otlp")).default([]).doc("Where metrics go."),
  logs: s.list(s.consumer("otlp")).default([]).doc("Where logs go."),
  traces: s.list(s.consumer("otlp")).default([]).doc("Where traces go."),
});
export type OutputArguments = Infer<typeof outputSchema>;

/** `debug_metrics {}`. Matches config_debug_metrics.go, where `level` has no effect any more, and internal/views. */
export const debugMetricsSchema = s.object({
  disable_high_cardinality_metrics: s
    .bool()
    .default(true)
    .doc("Leaves out addresses and ports of peers from the attributes of self metrics.")
    .withoutEffect("self metrics never have addresses or ports of peers"),
  level: s
    .oneOf(["none", "basic", "normal", "detailed"])
    .default("detailed")
    .doc("How detailed the self metrics are.")
    .withoutEffect("self metrics always come in full detail, as in Alloy, where `level` has no effect any more"),
});

/** What every consumer of OTLP exports. */
export const inputExports = s.object({ input: s.consumer("otlp") });

/** `read_buffer_size` and `write_buffer_size` of clients and servers; `size` is Alloy's default. */
export const bufferSize = (what: "read" | "write", size: string) =>
  s.byteSize().default(size).doc(`Size of the ${what} buffer.`).withoutEffect("Node sizes its buffers itself");

const SIZERS = ["requests", "items", "bytes"] as const;

const queueBatchSchema = s
  .object({
    flush_timeout: s.duration().default("200ms").doc("Time after which a batch is sent whatever its size."),
    min_size: s.int(0).default(2000).doc("Size from which a batch is sent."),
    max_size: s.int(0).default(3000).doc("Largest size of a batch; larger ones are split. 0 for no limit."),
    sizer: s.oneOf(["items", "bytes"]).default("items").doc("What the sizes are measured in."),
  })
  .rule("flush_timeout", (a) => a.flush_timeout > 0, "must be positive")
  .rule("max_size", (a) => a.max_size === 0 || a.max_size >= a.min_size, "must be at least `min_size`");

export const queueSchema = s
  .object({
    enabled: s.bool().default(true).doc("Whether data waits in a queue before it is sent."),
    num_consumers: s.int(1).default(10).doc("How many requests are sent at once."),
    queue_size: s.int().default(1000).doc("How much the queue holds, in units of the sizer."),
    block_on_overflow: s.bool().default(false).doc("Make senders wait while the queue is full, instead of refusing."),
    sizer: s.oneOf(SIZERS).default("requests").doc("What `queue_size` is measured in."),
    wait_for_result: s.bool().default(false).doc("Accept data only once it has been sent."),
    storage: storageArgument().doc("The `handler` of an `otelcol.storage.file`, which keeps the queue on disk."),
    batch: s.block(queueBatchSchema).doc("Merge what waits in the queue into larger requests."),
  })
  .rule("queue_size", (a) => !a.enabled || a.queue_size > 0, "must be greater than zero")
  .rule(
    "wait_for_result",
    (a) => !a.enabled || !a.wait_for_result || a.storage === undefined,
    "is not possible together with `storage`: what is on disk is accepted",
  )
  .rule(
    "batch.min_size",
    (a) => !a.enabled || a.batch === undefined || a.batch.sizer !== a.sizer || a.batch.min_size <= a.queue_size,
    "must be less than or equal to `queue_size`",
  );
export type QueueArguments = Infer<typeof queueSchema>;

export const retrySchema = s
  .object({
    enabled: s.bool().default(true).doc("Whether failed requests are sent again."),
    initial_interval: s.duration().default("5s").doc("Pause before the first retry."),
    randomization_factor: s.float(0).default(0.5).doc("How much pauses vary at random, as a part of their length."),
    multiplier: s.float().default(1.5).doc("Growth of the pause from retry to retry."),
    max_interval: s.duration().default("30s").doc("Longest pause between retries."),
    max_elapsed_time: s.duration().default("5m").doc("Time after which data is given up; 0 for never."),
  })
  .rule("multiplier", (a) => a.multiplier > 1, "must be greater than 1.0");
export type RetryArguments = Infer<typeof retrySchema>;
