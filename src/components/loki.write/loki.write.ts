import { createHash } from "node:crypto";
import { join } from "node:path";
import { HttpClient } from "#kits/http-client";
import { httpClientFields, httpClientRules } from "#kits/http-client-schema";
import { type Infer, s } from "#lang/schema";
import type { LogBatch } from "#pipeline/batch";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { DiskQueue } from "#pipeline/disk-queue";
import type { PushTransport } from "./delivery.ts";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";
import { StreamTable } from "./streams.ts";
import { encodeWalRecords, sendFromWal } from "./wal.ts";
import { WRITE_METRICS } from "./write-metrics.ts";

const queueConfig = s
  .object({
    capacity: s
      .byteSize()
      .default("10MiB")
      .doc("Largest size in memory of each shard's finished, compressed requests."),
    min_shards: s.int(0).default(1).doc("How many requests may be under way at once."),
    drain_timeout: s.duration().default("15s").doc("How long to go on sending when the agent stops."),
    block_on_overflow: s
      .bool()
      .default(true)
      .doc("With a full queue, let sources wait; otherwise drop what comes, counted as `queue_full`."),
  })
  .doc("The queue in memory.");

const endpoint = httpClientRules(
  s.object({
    name: s.string().default("").doc("Name in logs and of the place in the `wal`; made of the URL when left out."),
    url: s.string().doc("URL of Loki's push API, such as http://loki:3100/loki/api/v1/push."),
    batch_wait: s.duration().default("1s").doc("How long entries may wait for others before they are sent."),
    batch_size: s.byteSize().default("1MiB").doc("Bytes of lines and metadata after which a request is sent."),
    remote_timeout: s.duration().default("10s").doc("Longest time one request may take."),
    headers: s.map(s.string()).optional().doc("Further headers for each request."),
    min_backoff_period: s.duration().default("500ms").doc("First pause before a request is tried again."),
    max_backoff_period: s.duration().default("5m").doc("Longest pause before a request is tried again."),
    max_backoff_retries: s
      .int(0)
      .default(10)
      .doc("How often a request is tried before its entries are dropped; 0 for no limit."),
    tenant_id: s.string().default("").doc("Tenant of entries that name none; no tenant is sent when left out."),
    retry_on_http_429: s.bool().default(true).doc("Try again what was refused with status 429, rather than drop it."),
    ...httpClientFields,
    queue_config: s.block(queueConfig).presentByDefault().experimental().doc("The queue in memory."),
  }),
)
  .rule(
    "url",
    (args) => /^https?:$/.test(URL.parse(args.url)?.protocol ?? ""),
    "is no HTTP URL: write it as http://host:port/loki/api/v1/push",
  )
  .doc("A server to send to.");

const wal = s
  .object({
    enabled: s.bool().default(false).doc("Whether entries are kept on disk until they are delivered."),
    max_segment_age: s.duration().default("1h").doc("Age at which entries that could not be delivered are dropped."),
    min_read_frequency: s.duration().default("250ms").doc("Has no effect: writes wake the senders."),
    max_read_frequency: s.duration().default("1s").doc("Has no effect: writes wake the senders."),
    drain_timeout: s.duration().default("15s").doc("How long to go on sending when the agent stops."),
  })
  .rule(
    "min_read_frequency",
    (args) => args.min_read_frequency < args.max_read_frequency,
    "must be lower than `max_read_frequency`",
  )
  .doc("A queue on disk before the endpoints.");

const schema = s.object({
  external_labels: s.map(s.string()).default({}).doc("Labels for entries that do not have them."),
  max_streams: s.int(0).default(0).doc("Most streams in one request, 0 for no limit; entries of others are dropped."),
  endpoint: s.blocks(endpoint).doc("Servers to send to."),
  wal: s.block(wal).presentByDefault().doc("A queue on disk before the endpoints."),
});

type EndpointArguments = Infer<typeof endpoint>;

export default defineComponent({
  name: "loki.write",
  stability: "generally-available",
  summary: "Sends log entries to Loki over its push API.",
  example: `loki.write "default" {
  endpoint {
    url = "http://127.0.0.1:3100/loki/api/v1/push"
  }
}`,
  args: schema,
  exports: s.object({ receiver: s.consumer("logs") }),
  metrics: WRITE_METRICS,

  // No update(): changed arguments restart the component, which drains the queues first.
  start(ctx, args) {
    const streams = new StreamTable(args.external_labels);
    const endpoints = args.endpoint.map((each) => createEndpoint(ctx, each, args.max_streams, streams, report));
    const names = new Set(endpoints.map(({ options }) => options.name));
    if (names.size < endpoints.length)
      throw new Error("two endpoints have the same name or URL: give each a `name` of its own");
    for (const each of endpoints) ctx.stack.defer(() => each.close());

    /** The component is as well as its endpoints are. */
    function report(): void {
      const problems = endpoints.map((each) => each.problem).filter((each) => each !== undefined);
      if (problems.length === 0) ctx.flow.ok();
      else if (problems.length === endpoints.length) ctx.flow.failing(problems.join("; "));
      else ctx.flow.degraded(problems.join("; "));
    }

    return args.wal.enabled ? startWithWal(ctx, args.wal, endpoints, streams) : startInMemory(ctx, endpoints);
  },
});

type Context = ComponentContext<{ receiver: ReturnType<ComponentContext["receiver"]> }, typeof WRITE_METRICS>;

/** Accepts into the queues in memory; acknowledges once every endpoint has delivered or dropped. */
function startInMemory(ctx: Context, endpoints: readonly Endpoint[]) {
  ctx.flow.queue = () => {
    const oldest = endpoints.map((each) => each.oldest).filter((each) => each !== undefined);
    return {
      bytes: endpoints.reduce((sum, each) => sum + each.bytes, 0),
      oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
    };
  };
  for (const each of endpoints) ctx.run((signal) => each.run(signal));

  function consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    if (endpoints.length === 0) ctx.flow.drop("logs", "no_endpoint", batch.count);
    const waiting: Promise<void>[] = [];
    for (const each of endpoints) {
      const pending = each.consume(batch, signal);
      if (pending !== undefined) waiting.push(pending);
    }
    // The queues hold references of their own; this was the one that came with the batch.
    if (waiting.length === 0) return batch.acknowledgement.release();
    return settle(waiting).then(() => batch.acknowledgement.release());
  }
  ctx.export({ receiver: ctx.receiver("logs", consume, { mutates: false }) });
  return {
    async drain(deadline: AbortSignal) {
      await Promise.all(endpoints.map((each) => each.drain(deadline)));
    },
  };
}

/** Accepts and acknowledges once a batch is in the queue on disk, from which each endpoint reads at its own pace. */
function startWithWal(ctx: Context, args: Infer<typeof wal>, endpoints: readonly Endpoint[], streams: StreamTable) {
  const { promise: opened, resolve, reject } = Promise.withResolvers<DiskQueue>();
  opened.catch(() => {}); // reported by the task below
  ctx.run(async (signal) => {
    let queue: DiskQueue;
    try {
      queue = await DiskQueue.open(join(ctx.dataPath, "wal"), {
        readers: endpoints.map(({ options }) => options.name),
        maxAgeMs: args.max_segment_age,
        clock: ctx.clock,
        onDrop: (reader, reason, items) => {
          ctx.flow.drop("logs", reason, items);
          ctx.log.error("entries were dropped from the queue on disk", { endpoint: reader, reason, entries: items });
        },
        onStatus: ({ state, cause }) => (state === "ok" ? ctx.flow.ok() : ctx.flow.degraded(cause)),
        onNotice: (message) => ctx.log.info(message),
      });
    } catch (error) {
      reject(error);
      throw error;
    }
    ctx.stack.defer(() => queue.close());
    ctx.flow.queue = () => {
      const pending = endpoints.map(({ options }) => queue.reader(options.name).pending);
      const oldest = pending.map((each) => each.oldest).filter((each) => each !== undefined);
      return {
        bytes: Math.max(0, ...pending.map((each) => each.bytes)),
        oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
      };
    };
    resolve(queue);
    await Promise.all(endpoints.map((each) => sendFromWal(queue, each, ctx.clock, signal)));
  });

  async function consume(batch: LogBatch, signal: AbortSignal): Promise<void> {
    const queue = await opened;
    await queue.append(encodeWalRecords(batch, streams), signal);
    batch.acknowledgement.release();
  }
  ctx.export({ receiver: ctx.receiver("logs", consume, { mutates: false }) });
  return {
    async drain(deadline: AbortSignal) {
      const queue = await opened;
      const until = ctx.clock.monotonic() + args.drain_timeout;
      const pending = () => endpoints.some(({ options }) => queue.reader(options.name).pending.items > 0);
      while (pending() && ctx.clock.monotonic() < until) await ctx.clock.sleep(DRAIN_POLL_MS, deadline);
      await queue.flush();
    },
  };
}

const DRAIN_POLL_MS = 20;

function createEndpoint(
  ctx: Context,
  args: EndpointArguments,
  maxStreams: number,
  streams: StreamTable,
  report: () => void,
): Endpoint {
  const { host } = new URL(args.url);
  const { queue_config: queue } = args;
  const options: EndpointOptions = {
    name:
      args.name !== ""
        ? args.name
        : createHash("sha256").update(`${args.url}\n${args.tenant_id}`).digest("hex").slice(0, 6),
    host,
    tenant: args.tenant_id,
    headers: args.headers ?? new Map(),
    minBackoffMs: args.min_backoff_period,
    maxBackoffMs: args.max_backoff_period,
    maxRetries: args.max_backoff_retries,
    retryRateLimited: args.retry_on_http_429,
    batchBytes: args.batch_size,
    batchWaitMs: args.batch_wait,
    capacityBytes: queue.capacity,
    maxStreams,
    shards: queue.min_shards,
    drainTimeoutMs: queue.drain_timeout,
    blockOnOverflow: queue.block_on_overflow,
  };
  const transport = httpTransport(ctx, args);
  return new Endpoint(options, transport, streams, {
    clock: ctx.clock,
    log: ctx.log,
    metrics: ctx.metrics,
    dropped: (reason, entries) => ctx.flow.drop("logs", reason, entries),
    changed: report,
  });
}

/** Of an error answer this much is read, for its first line. */
const MAX_ANSWER_BYTES = 4 * 1024;

function httpTransport(ctx: Context, args: EndpointArguments): PushTransport {
  const client = HttpClient.create(args, { userAgent: `Invar/${ctx.services.version}` });
  return {
    async post(chunks, headers, signal) {
      const response = await client.request(
        {
          method: "POST",
          url: args.url,
          headers,
          body: chunks,
          timeoutMs: args.remote_timeout,
          maxBytes: MAX_ANSWER_BYTES,
          truncate: true,
        },
        signal,
      );
      return {
        status: response.status,
        retryAfter: response.headers.get("retry-after"),
        text: response.body.toString("utf8"),
      };
    },
    close: () => client.close(),
  };
}

/** Waits for all, then rejects with the first failure. */
async function settle(pending: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(pending)) if (outcome.status === "rejected") throw outcome.reason;
}
