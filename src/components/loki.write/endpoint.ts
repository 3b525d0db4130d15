import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { LogBatch } from "#pipeline/batch";
import { RetryableError } from "#pipeline/errors";
import { sliceable } from "#pipeline/log-batch";
import type { ProblemKind } from "./answers.ts";
import { Delivery, type DeliveryOptions, type PushTransport, type Rejected } from "./delivery.ts";
import { Shard, type ShardOptions } from "./shard.ts";
import type { StreamTable, WriteStream } from "./streams.ts";
import { type AlloyReason, type DropReason, initialise, type WriteMetrics } from "./write-metrics.ts";

export interface EndpointOptions extends DeliveryOptions, ShardOptions {
  readonly name: string;
  readonly tenant: string;
  readonly shards: number;
  readonly drainTimeoutMs: number;
  readonly remoteTimeoutMs: number;
  readonly blockOnOverflow: boolean;
}

export interface EndpointEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: WriteMetrics;
  readonly status: EndpointListener;
}

/** Who keeps the flow status. */
export interface EndpointListener {
  delivered(): void;
  /** An attempt failed; the endpoint's `problem` is up to date. */
  failed(problem: EndpointProblem): void;
  /** `text` says what the endpoint answered, if that was why. */
  dropped(reason: DropReason, entries: number, rejected?: Rejected, text?: string): void;
}

/** What keeps an endpoint from taking entries. */
export interface EndpointProblem {
  readonly kind: ProblemKind;
  readonly text: string;
}

/** One Loki server: its queues in memory and the loops that send to it. */
export class Endpoint {
  options: EndpointOptions;
  /** What is wrong at the moment. */
  problem: EndpointProblem | undefined;
  /** What the problem says of the time to come is over. */
  #isProblemOld = false;
  readonly delivery: Delivery;
  readonly #environment: EndpointEnvironment;
  #transport: PushTransport;
  #streams: StreamTable;
  readonly #shards: Shard[];
  readonly #tenants = new Set<string>();
  readonly #stopping = new AbortController();
  #runs: Promise<unknown> = Promise.resolve();
  /** Batches of which a part waits for room. */
  #blocked = 0;
  #draining = false;
  #removed = false;

  constructor(
    options: EndpointOptions,
    transport: PushTransport,
    streams: StreamTable,
    environment: EndpointEnvironment,
  ) {
    this.options = options;
    this.#transport = transport;
    this.#streams = streams;
    this.#environment = environment;
    this.delivery = new Delivery(options, transport, environment, {
      delivered: () => this.#answered(true),
      problem: (kind, text) => this.#failed({ kind, text }),
      dropped: (reason, entries, rejected, text) => {
        if (rejected === "all") this.#answered(false);
        this.#isProblemOld = true;
        environment.status.dropped(reason, entries, rejected, text);
      },
    });
    const observe = (tenant: string, seconds: number, entries: number) => this.observeLatency(tenant, seconds, entries);
    this.#shards = Array.from(
      { length: Math.max(1, options.shards) },
      () => new Shard(options, this.delivery, environment.clock, observe, () => this.#blocked > 0),
    );
  }

  get bytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.bytes, 0);
  }
  get entries(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.entries, 0);
  }
  get oldest(): number | undefined {
    const times = this.#shards.map((shard) => shard.oldest).filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  observeLatency(tenant: string, seconds: number, entries: number): void {
    this.#environment.metrics.entryLatency.labels(this.options.host, tenant).observe(seconds, entries);
  }

  /** Counts records that came from the queue on disk. */
  countRead(records: number): void {
    this.#environment.metrics.walRecordsRead.labels(this.options.name).inc(records);
  }

  /** Takes changed options (the number of shards must be the same); what waits is sent by them. Returns the old transport. */
  configure(options: EndpointOptions, transport: PushTransport, streams: StreamTable): PushTransport {
    const old = this.#transport;
    this.options = options;
    this.#transport = transport;
    this.#streams = streams;
    this.delivery.configure(options, transport);
    for (const shard of this.#shards) shard.configure(options);
    return old;
  }

  /** Sends until `signal` is aborted or the endpoint is drained or retired. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#stopping.abort(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    const runs = Promise.all(this.#shards.map((shard) => shard.run(this.#stopping.signal)));
    this.#runs = runs.catch(() => {});
    try {
      await runs;
    } catch (error) {
      if (!this.#stopping.signal.aborted) throw error;
      if (signal.aborted) this.#stopped();
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Takes all entries of a batch into the queues; waits where they are full and may block. */
  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    const blocked = this.#append(batch, 0, this.#environment.clock.now());
    if (blocked !== undefined) return this.#consumeSlowly(batch, blocked, signal);
  }

  async #consumeSlowly(batch: LogBatch, blocked: Blocked, signal: AbortSignal): Promise<void> {
    let at: Blocked | undefined = blocked;
    const controller = new AbortController();
    const cancel = () => controller.abort(signal.reason);
    // The sender tries again, with the component's successor; nothing more is sent from here.
    const refuse = () => controller.abort(new RetryableError(`endpoint ${this.options.name} is stopping`));
    signal.addEventListener("abort", cancel, { once: true });
    this.#stopping.signal.addEventListener("abort", refuse, { once: true });
    if (signal.aborted) cancel();
    if (this.#stopping.signal.aborted) refuse();
    this.#blocked += 1;
    try {
      while (at !== undefined) {
        await at.shard.room(controller.signal);
        at = this.#append(batch, at.entry, this.#environment.clock.now());
      }
    } catch (error) {
      if (!this.#removed || signal.aborted) throw error;
      // Others have accepted the batch; nobody is to send it to them again because of an endpoint that is gone.
      this.#environment.status.dropped("endpoint_removed", batch.count - at!.entry);
    } finally {
      signal.removeEventListener("abort", cancel);
      this.#stopping.signal.removeEventListener("abort", refuse);
      this.#blocked -= 1;
      if (this.#draining) for (const shard of this.#shards) shard.close();
    }
  }

  #append(batch: LogBatch, from: number, now: number): Blocked | undefined {
    const { streams, stream, start, end, ms, ns, metadata, acknowledgement } = batch;
    const data = sliceable(batch.data);
    let lastId = -1;
    let target: WriteStream | undefined;
    let tenant = "";
    let shard = this.#shards[0]!;
    for (let i = from; i < batch.count; i++) {
      const id = stream[i]!;
      if (id !== lastId || target === undefined) {
        lastId = id;
        target = this.#streams.of(streams[id]!);
        tenant = this.#tenantOf(target);
        if (this.#shards.length > 1) shard = this.#shards[target.hash % this.#shards.length]!;
      }
      const size = end[i]! - start[i]!;
      const result = shard.append(
        tenant,
        target,
        ms[i]!,
        ns[i]!,
        data,
        start[i]!,
        end[i]!,
        metadata?.[i],
        acknowledgement,
        now,
      );
      if (result === "added") continue;
      if (result === "too_many_streams") this.dropStream(tenant, 1, size);
      else if (this.options.blockOnOverflow) return { shard, entry: i };
      else this.#drop("queue_full", "queue_is_full", tenant, 1, size);
    }
    return undefined;
  }

  /** Sends what is queued, as long as `deadline` and the endpoint's own drain timeout allow. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    for (const shard of this.#shards) shard.close();
    const { clock } = this.#environment;
    const controller = new AbortController();
    const giveUp = () => controller.abort(deadline.reason);
    if (deadline.aborted) giveUp();
    deadline.addEventListener("abort", giveUp, { once: true });
    const timeout = clock.sleep(this.options.drainTimeoutMs, controller.signal).catch(() => {});
    await Promise.race([this.#runs, timeout]);
    controller.abort();
    deadline.removeEventListener("abort", giveUp);
  }

  /** Takes an endpoint out of the configuration: sends what it can in the drain timeout, and drops the rest, counted. */
  async retire(deadline: AbortSignal): Promise<void> {
    await this.drain(deadline);
    this.#removed = !deadline.aborted;
    this.#stopping.abort(new Error("the endpoint was removed"));
    await this.#runs;
    const left = this.entries;
    // On an aborted deadline the component stops, and `run` has said what is left.
    if (left > 0 && !deadline.aborted) {
      this.#environment.status.dropped("endpoint_removed", left);
      this.#environment.log.warn("dropped the entries that a removed endpoint did not take in time", {
        endpoint: this.options.name,
        entries: left,
      });
      for (const shard of this.#shards) shard.abandon();
    }
    await this.close();
  }

  /** Says what the stop of the component left. Entries without a source that reads them again are lost. */
  #stopped(): void {
    const left = this.entries;
    if (left === 0) return;
    const lost = this.#shards.reduce((sum, shard) => sum + shard.unreported, 0);
    if (lost > 0) this.#environment.status.dropped("shutdown", lost);
    this.#environment.log.warn("stopped with entries that were not delivered; their sources read again what they can", {
      endpoint: this.options.name,
      entries: left,
      lost,
      bytes: this.bytes,
    });
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #tenantOf(stream: WriteStream): string {
    const tenant = stream.tenant ?? this.options.tenant;
    this.meet(tenant);
    return tenant;
  }

  /** Has the counters of a tenant at hand. */
  meet(tenant: string): void {
    if (this.#tenants.has(tenant)) return;
    // Bounded: after so many tenants it is enough that counters appear when they count.
    if (this.#tenants.size < 10_000) this.#tenants.add(tenant);
    initialise(this.#environment.metrics, this.options.host, tenant);
  }

  /** Counts entries of a stream beyond `max_streams`. */
  dropStream(tenant: string, entries: number, bytes: number): void {
    this.#drop("stream_limit", "stream_limited", tenant, entries, bytes);
  }

  #drop(reason: DropReason, alloyReason: AlloyReason, tenant: string, entries: number, bytes: number): void {
    const { metrics } = this.#environment;
    metrics.droppedEntries.labels(this.options.host, tenant, alloyReason).inc(entries);
    metrics.droppedBytes.labels(this.options.host, tenant, alloyReason).inc(bytes);
    this.#environment.status.dropped(reason, entries);
  }

  /** The endpoint takes entries, or at least says which it does not want. */
  #answered(delivered: boolean): void {
    if (this.problem !== undefined) {
      this.#environment.log.debug("the endpoint takes entries again", { endpoint: this.options.name });
    }
    this.problem = undefined;
    if (delivered) this.#environment.status.delivered();
  }

  /** Several requests may fail at a time; the status keeps to the first that said so, as long as it is not over. */
  #failed(problem: EndpointProblem): void {
    if (this.problem?.kind !== problem.kind || this.#isProblemOld) this.problem = problem;
    this.#isProblemOld = false;
    this.#environment.status.failed(problem);
  }
}

interface Blocked {
  readonly shard: Shard;
  readonly entry: number;
}
