import type { Counter } from "#base/metrics";
import type { OtlpKind } from "#formats/otlp/otlp";
import { batchMetrics } from "#kits/otelcol/metrics";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { PermanentError } from "#pipeline/errors";
import type { Fanout } from "#pipeline/fanout";
import { Shard, type ShardEvents } from "./shard.ts";

const args = s
  .object({
    timeout: s.duration().default("200ms").doc("Time after which a batch is sent whatever its size; 0 for at once."),
    send_batch_size: s.int(0).default(2000).doc("Number of items from which a batch is sent."),
    send_batch_max_size: s.int(0).default(3000).doc("Largest number of items in a batch; 0 for no limit."),
    metadata_keys: s.list(s.string()).default([]).doc("Client metadata by whose values batches are kept apart."),
    metadata_cardinality_limit: s.int(0).default(1000).doc("Most combinations of metadata values; 0 for no limit."),
    output: s.block(outputSchema).required().doc("Where batches go."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "send_batch_max_size",
    (a) => a.send_batch_max_size === 0 || a.send_batch_max_size >= a.send_batch_size,
    "must be greater or equal to `send_batch_size` when not 0",
  )
  .rule(
    "metadata_keys",
    (a) => new Set(a.metadata_keys.map((key) => key.toLowerCase())).size === a.metadata_keys.length,
    "has a key twice; case does not matter",
  );
type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "otelcol.processor.batch",
  stability: "generally-available",
  summary: "Makes fewer and larger batches, which compress better and need fewer requests.",
  example: `otelcol.processor.batch "default" {
  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: batchMetrics,

  start(ctx, first) {
    const outputs: Readonly<Record<OtlpKind, Fanout<"otlp">>> = {
      traces: ctx.fanout("otlp", first.output.traces),
      metrics: ctx.fanout("otlp", first.output.metrics),
      logs: ctx.fanout("otlp", first.output.logs),
    };
    const batchers = {
      traces: new Batcher(ctx, "traces", first, outputs.traces),
      metrics: new Batcher(ctx, "metrics", first, outputs.metrics),
      logs: new Batcher(ctx, "logs", first, outputs.logs),
    };
    const all = Object.values(batchers);
    ctx.metrics.cardinality.labels(`batch/${ctx.id}`).read = () => all.reduce((sum, each) => sum + each.cardinality, 0);
    ctx.stack.defer(() => {
      for (const each of all) each.close();
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => batchers[batch.kind].add(batch, signal), { mutates: false }),
    });
    return {
      async drain(deadline) {
        await Promise.all(all.map((each) => each.drain(deadline)));
      },
    };
  },
});

type Context = ComponentContext<Infer<typeof inputExports>, typeof batchMetrics>;

/** The shards of one signal: one, or one for each combination of metadata values. */
class Batcher {
  readonly #ctx: Context;
  readonly #kind: OtlpKind;
  readonly #args: Arguments;
  readonly #keys: readonly string[];
  readonly #events: ShardEvents;
  readonly #incoming: Counter;
  readonly #shards = new Map<string, Shard>();

  constructor(ctx: Context, kind: OtlpKind, given: Arguments, output: Fanout<"otlp">) {
    this.#ctx = ctx;
    this.#kind = kind;
    this.#args = given;
    this.#keys = given.metadata_keys.map((key) => key.toLowerCase()).sort();
    const id = `batch/${ctx.id}`;
    const { sendSize, sendSizeBytes, sizeTrigger, timeoutTrigger, incomingItems, outgoingItems } = ctx.metrics;
    this.#incoming = incomingItems.labels(id, kind);
    const outgoing = outgoingItems.labels(id, kind);
    const [items, bytes] = [sendSize.labels(id), sendSizeBytes.labels(id)];
    const triggers = { size: sizeTrigger.labels(id), timeout: timeoutTrigger.labels(id) };
    this.#events = {
      send: (batch) => output.consume(batch, ctx.signal),
      sent(batch, trigger) {
        outgoing.inc(batch.items);
        items.observe(batch.items);
        bytes.observe(batch.bytes);
        triggers[trigger].inc();
      },
      lost(count) {
        ctx.flow.drop("otlp", "shutdown", count);
        ctx.log.error("data was still waiting for its batch at the stop and is lost", { signal: kind, items: count });
      },
    };
  }

  /** Combinations of metadata values in use. */
  get cardinality(): number {
    return this.#shards.size;
  }

  add(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    if (batch.items === 0) {
      batch.acknowledgement.release();
      return;
    }
    const shard = this.#shard(batch.clientMetadata);
    this.#incoming.inc(batch.items);
    return shard.add(batch, signal);
  }

  async drain(deadline: AbortSignal): Promise<void> {
    await Promise.all([...this.#shards.values()].map((shard) => shard.drain(deadline)));
  }

  close(): void {
    for (const shard of this.#shards.values()) shard.close();
  }

  #shard(given: OtlpBatch["clientMetadata"]): Shard {
    const values = this.#keys.map((key) => given?.get(key) ?? []);
    const name = this.#keys.length === 0 ? "" : JSON.stringify(values);
    const known = this.#shards.get(name);
    if (known !== undefined) return known;
    const { metadata_cardinality_limit: limit, timeout, send_batch_size, send_batch_max_size } = this.#args;
    if (this.#keys.length > 0 && limit > 0 && this.#shards.size >= limit) {
      throw new PermanentError(
        "metadata_cardinality_limit",
        `more than ${limit} combinations of ${this.#keys.join(", ")}`,
      );
    }
    const metadata = this.#keys.length === 0 ? undefined : new Map(this.#keys.map((key, i) => [key, values[i]!]));
    const options = { timeoutMs: timeout, sendSize: send_batch_size, maxSize: send_batch_max_size };
    const shard = new Shard(this.#kind, metadata, options, this.#events, this.#ctx);
    this.#shards.set(name, shard);
    return shard;
  }
}
