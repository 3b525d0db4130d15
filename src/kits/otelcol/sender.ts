import type { OtlpKind } from "#formats/otlp/otlp";
import type { OtlpBatch } from "#pipeline/batch";
import { fullestQueue } from "#pipeline/flow";
import type { ExporterInstruments } from "./metrics.ts";
import { SenderHealth } from "./sender-health.ts";
import { KindQueue, MAX_QUEUE_BYTES, type SenderContext, type SenderOptions } from "./sender-queue.ts";

export type { SenderContext, SenderOptions };

/**
 * The queue, batching and retries of an OTLP exporter: one bounded queue per signal, `num_consumers` requests under way
 * at once. Data is acknowledged when it is delivered or dropped for a counted reason; with `storage`, when it is on disk.
 *
 * Matches exporter/exporterhelper of the OpenTelemetry Collector, except for a full queue without `block_on_overflow`:
 * while the backend takes data, senders wait for room; once it is failing, data is dropped and counted as `queue_full`,
 * so that one dead backend does not stop the others.
 */
export class OtlpSender {
  readonly #ctx: SenderContext;
  readonly #instruments: ExporterInstruments;
  readonly #health: SenderHealth;
  readonly #queues: Readonly<Record<OtlpKind, KindQueue>>;
  #options: SenderOptions;

  constructor(ctx: SenderContext, instruments: ExporterInstruments, options: SenderOptions) {
    this.#ctx = ctx;
    this.#instruments = instruments;
    this.#options = options;
    this.#health = new SenderHealth(ctx, options.destination);
    const queue = (kind: OtlpKind) => new KindQueue(kind, ctx, instruments, options, this.#health);
    this.#queues = { traces: queue("traces"), metrics: queue("metrics"), logs: queue("logs") };
    const queues = Object.values(this.#queues);
    ctx.rule("queue_full", () => queues.map((each) => each.judge()).find((found) => found !== undefined));
    ctx.rule("disk", () => queues.map((each) => each.diskProblem).find((found) => found !== undefined));
    ctx.queue(() => {
      const { sizer, queue_size, block_on_overflow: block, storage } = this.#options.queue;
      const limitBytes = storage === undefined ? Math.min(queue_size, MAX_QUEUE_BYTES) : queue_size;
      const bound = { limitBytes, whenFull: block ? "block" : "drop" } as const;
      // Bounds in other units say nothing about bytes: `otelcol_exporter_queue_size` shows how full those queues are.
      if (sizer === "bytes") return fullestQueue(queues.map(({ bytes, oldest }) => ({ bytes, oldest, ...bound })));
      const { oldest } = fullestQueue(queues);
      return { bytes: queues.reduce((sum, each) => sum + each.bytes, 0), oldest };
    });
  }

  /** Takes changed settings and keeps what waits; what failed before is tried again at once. */
  configure(options: SenderOptions): void {
    this.#options = options;
    this.#health.destination = options.destination;
    for (const queue of Object.values(this.#queues)) queue.configure(options);
  }

  consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    return this.#queues[batch.kind].consume(batch, signal);
  }

  /** Sends what waits until `deadline` is aborted or the backend takes nothing any more, without pauses for batching. */
  async drain(deadline: AbortSignal): Promise<void> {
    await Promise.all(Object.values(this.#queues).map((queue) => queue.drain(deadline)));
  }

  /**
   * Counts what is left in memory as dropped. It is not acknowledged: sources that can will read it again. Resolves when
   * the queues on disk are closed.
   */
  async close(): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const [kind, queue] of Object.entries(this.#queues)) {
      const items = queue.close();
      closing.push(queue.closed);
      if (items === 0) continue;
      this.#ctx.flow.drop("otlp", "shutdown", items);
      this.#instruments.failed[kind as OtlpKind].inc(items);
      this.#ctx.log.error("data was still in the queue at the stop and is lost", { signal: kind, items });
    }
    await Promise.all(closing);
  }
}
