import type { LogBatch } from "#pipeline/batch";
import { type FlowQueue, fullestQueue } from "#pipeline/flow";
import type { WriteArguments } from "./arguments.ts";
import { allEndpointOptions, createEndpoint, httpTransport, type WriteContext } from "./create-endpoint.ts";
import type { Endpoint } from "./endpoint.ts";
import type { WriteMode, WriteStatus } from "./status.ts";

/** Accepts into the queues in memory; acknowledges once every endpoint has delivered or dropped. */
export class MemoryMode implements WriteMode {
  readonly #ctx: WriteContext;
  readonly #status: WriteStatus;
  #endpoints: readonly Endpoint[];
  /** Taken out of the configuration, and still sending what they hold. */
  readonly #retired = new Set<Promise<void>>();

  constructor(ctx: WriteContext, args: WriteArguments, status: WriteStatus) {
    this.#ctx = ctx;
    this.#status = status;
    const options = allEndpointOptions(args);
    const streams = status.streams(args.external_labels);
    this.#endpoints = args.endpoint.map((each, i) => createEndpoint(ctx, each, options[i]!, streams, this.#status));
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }
  readonly diskProblem = undefined;

  start(): void {
    for (const each of this.#endpoints) this.#ctx.run((signal) => each.run(signal));
  }

  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    if (this.#endpoints.length === 0) this.#status.dropped("no_endpoint", batch.count);
    const waiting: Promise<void>[] = [];
    for (const each of this.#endpoints) {
      const pending = each.consume(batch, signal);
      if (pending !== undefined) waiting.push(pending);
    }
    // The queues hold references of their own; this was the one that came with the batch.
    if (waiting.length === 0) return batch.acknowledgement.release();
    return settle(waiting).then(() => batch.acknowledgement.release());
  }

  /**
   * Takes changed arguments without losing what waits: an endpoint keeps its queue when it keeps its name or, if that was
   * made of a URL that changed, its place. Endpoints that are gone go on sending for their drain timeout. Returns false
   * when the arguments ask for the queue on disk.
   */
  update(args: WriteArguments): boolean {
    if (args.wal.enabled) return false;
    const options = allEndpointOptions(args);
    const streams = this.#status.streams(args.external_labels);
    const names = new Set(options.map(({ name }) => name));
    const old = [...this.#endpoints];
    const take = (matches: (each: Endpoint, place: number) => boolean) => {
      const place = this.#endpoints.findIndex((each, i) => old[i] === each && matches(each, i));
      const found = old[place];
      if (found !== undefined) delete old[place];
      return found;
    };
    this.#endpoints = options.map((each, i) => {
      const block = args.endpoint[i]!;
      const same = (one: Endpoint) => Math.max(1, one.options.shards) === Math.max(1, each.shards);
      const known =
        take((one) => one.options.name === each.name && same(one)) ??
        take((one, place) => place === i && !names.has(one.options.name) && same(one));
      if (known !== undefined) {
        this.#closeLater(known.configure(each, httpTransport(this.#ctx, block), streams), known);
        return known;
      }
      const fresh = createEndpoint(this.#ctx, block, each, streams, this.#status);
      this.#ctx.run((signal) => fresh.run(signal));
      return fresh;
    });
    for (const each of old) if (each !== undefined) this.#retire(each);
    return true;
  }

  queue(): FlowQueue {
    return fullestQueue(
      this.#endpoints.map(({ bytes, oldest, options }) => ({
        bytes,
        oldest,
        limitBytes: options.capacityBytes * Math.max(1, options.shards),
        whenFull: options.blockOnOverflow ? "block" : "drop",
      })),
    );
  }

  async drain(deadline: AbortSignal): Promise<void> {
    await Promise.all([...this.#endpoints.map((each) => each.drain(deadline)), ...this.#retired]);
  }

  /** Lets another mode take over; what waits is still sent. */
  async retire(): Promise<void> {
    for (const each of this.#endpoints) this.#retire(each);
    this.#endpoints = [];
  }

  async close(): Promise<void> {
    await Promise.all([...this.#endpoints.map((each) => each.close()), ...this.#retired]);
  }

  #retire(endpoint: Endpoint): void {
    const retired: Promise<void> = endpoint.retire(this.#ctx.signal).finally(() => this.#retired.delete(retired));
    this.#retired.add(retired);
  }

  /** A request under way may still end by the old settings. */
  #closeLater(transport: { close(): Promise<void> }, { options }: Endpoint): void {
    this.#ctx.run(async (signal) => {
      await this.#ctx.clock.sleep(options.remoteTimeoutMs, signal).catch(() => {});
      await transport.close();
    });
  }
}

/** Waits for all, then rejects with the first failure. */
async function settle(pending: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(pending)) if (outcome.status === "rejected") throw outcome.reason;
}
