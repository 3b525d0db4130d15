import type { Clock } from "#base/clock";
import { type EncodedStream, metadataSize, PushRequestEncoder } from "#formats/loki-push/encode";
import { compress } from "#formats/snappy";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { allocate, type SliceableBuffer } from "#pipeline/log-batch";
import type { Delivery } from "./delivery.ts";
import { byteLength, type PushBody } from "./push-body.ts";
import type { WriteStream } from "./streams.ts";

export interface ShardOptions {
  readonly batchBytes: number;
  readonly batchWaitMs: number;
  /** Bytes of finished requests beyond which the queue is full. */
  readonly capacityBytes: number;
  /** 0 for no limit. */
  readonly maxStreams: number;
}

/** A request that is being filled, one for each tenant. */
interface Pending {
  readonly tenant: string;
  readonly encoder: PushRequestEncoder;
  readonly streams: Map<string, EncodedStream>;
  /** Lines and metadata, as `batch_size` counts them. */
  size: number;
  /** Monotonic milliseconds by which it is to be sent. */
  due: number;
  sources: Sources;
}

/** Where a request's entries came from. */
interface Sources {
  readonly acknowledgements: Acknowledgement[];
  /** Entries whose source wants no word, so that nobody sends them again. */
  unreported: number;
  /** When entries came in (epoch ms) and how many then. */
  readonly arrivals: { readonly time: number; count: number }[];
}

interface Sealed extends PushBody, Sources {
  readonly bytes: number;
}

/** Larger requests are encoded into memory of their own. */
const LARGEST_SCRATCH = 8 * 1024 * 1024;

export type Appended = "added" | "full" | "too_many_streams";

/** A queue of requests and the one loop that sends them in order. */
export class Shard {
  #options: ShardOptions;
  readonly #delivery: Delivery;
  readonly #clock: Clock;
  readonly #onLatency: (tenant: string, seconds: number, entries: number) => void;
  readonly #mayComeMore: () => boolean;
  readonly #pending = new Map<string, Pending>();
  readonly #queue: Sealed[] = [];
  readonly #waitingForRoom = new Set<() => void>();
  #scratch = allocate(0);
  #queuedBytes = 0;
  #pendingBytes = 0;
  #sending: Sealed | undefined;
  #closing = false;
  #wake: () => void = () => {};

  /** `mayComeMore` says after `close` whether somebody still has entries to add. */
  constructor(
    options: ShardOptions,
    delivery: Delivery,
    clock: Clock,
    onLatency: (tenant: string, seconds: number, entries: number) => void,
    mayComeMore: () => boolean = () => false,
  ) {
    this.#options = options;
    this.#mayComeMore = mayComeMore;
    this.#delivery = delivery;
    this.#clock = clock;
    this.#onLatency = onLatency;
  }

  /** Takes changed limits, from the next entry on. */
  configure(options: ShardOptions): void {
    this.#options = options;
    for (const resolve of [...this.#waitingForRoom]) resolve();
  }

  /** Bytes in memory: finished requests and those being filled. */
  get bytes(): number {
    return this.#queuedBytes + this.#pendingBytes;
  }
  /** Entries that are not delivered yet. */
  get entries(): number {
    let count = this.#sending?.entries ?? 0;
    for (const sealed of this.#queue) count += sealed.entries;
    for (const { encoder } of this.#pending.values()) count += encoder.entries;
    return count;
  }
  /** Of `entries`, those that no source sends again. */
  get unreported(): number {
    let count = 0;
    for (const { unreported } of this.#undelivered()) count += unreported;
    return count;
  }
  /** When the oldest entry that is not delivered yet came (epoch ms). */
  get oldest(): number | undefined {
    let oldest = (this.#sending ?? this.#queue[0])?.arrivals[0]?.time;
    for (const { sources } of this.#pending.values()) {
      const time = sources.arrivals[0]?.time;
      if (time !== undefined && (oldest === undefined || time < oldest)) oldest = time;
    }
    return oldest;
  }

  /**
   * Adds an entry, copying it. `full`: nothing was added, wait for `room`. The acknowledgement is retained once for each
   * request that has entries of it. `arrival` is in epoch milliseconds.
   */
  append(
    tenant: string,
    stream: WriteStream,
    ms: number,
    ns: number,
    data: SliceableBuffer,
    start: number,
    end: number,
    metadata: readonly string[] | undefined,
    acknowledgement: Acknowledgement,
    arrival: number,
  ): Appended {
    const size = end - start + (metadata === undefined ? 0 : metadataSize(metadata));
    if (!this.#hasRoomToFill()) return "full";
    let pending = this.#pending.get(tenant);
    if (pending === undefined) this.#pending.set(tenant, (pending = this.#begin(tenant)));
    let known = pending.streams.get(stream.key);
    if (known === undefined) {
      const { maxStreams } = this.#options;
      if (maxStreams > 0 && pending.streams.size >= maxStreams) return "too_many_streams";
    }
    if (pending.encoder.entries > 0 && pending.size + size > this.#options.batchBytes) {
      if (this.#queuedBytes >= this.#options.capacityBytes) return "full";
      this.#seal(pending);
      known = undefined;
    }
    if (known === undefined) {
      known = pending.encoder.stream(stream.encoded);
      pending.streams.set(stream.key, known);
    }
    if (pending.encoder.entries === 0) {
      pending.due = this.#clock.monotonic() + this.#options.batchWaitMs;
      this.#wake();
    }
    const before = pending.encoder.bytes;
    pending.encoder.add(known, ms, ns, data, start, end, metadata);
    this.#pendingBytes += pending.encoder.bytes - before;
    pending.size += size;
    const { acknowledgements, arrivals } = pending.sources;
    if (acknowledgement === Acknowledgement.none) pending.sources.unreported += 1;
    else if (acknowledgements.at(-1) !== acknowledgement) {
      acknowledgement.retain();
      acknowledgements.push(acknowledgement);
    }
    const last = arrivals.at(-1);
    if (last !== undefined && last.time === arrival) last.count += 1;
    else arrivals.push({ time: arrival, count: 1 });
    return "added";
  }

  /** Resolves when something was sent or dropped, so that there may be room. */
  room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = () => {
        signal.removeEventListener("abort", abort);
        this.#waitingForRoom.delete(done);
        resolve();
      };
      const abort = () => {
        this.#waitingForRoom.delete(done);
        reject(signal.reason);
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      this.#waitingForRoom.add(done);
    });
  }

  /** Sends until `signal` is aborted (then it rejects), or until all is sent after `close`. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#sealDue(this.#closing);
      const next = this.#queue.shift();
      if (next === undefined) {
        if (this.#closing && !this.#mayComeMore()) return;
        await this.#waitForWork(signal);
        continue;
      }
      this.#sending = next;
      await this.#delivery.send(next, signal);
      this.#sending = undefined;
      this.#queuedBytes -= next.bytes;
      const now = this.#clock.now();
      for (const { time, count } of next.arrivals) {
        if (time <= now) this.#onLatency(next.tenant, (now - time) / 1000, count);
      }
      for (const acknowledgement of next.acknowledgements) acknowledgement.release();
      for (const resolve of [...this.#waitingForRoom]) resolve();
    }
  }

  /** Sends what is pending without waiting for more; `run` ends after that. */
  close(): void {
    this.#closing = true;
    this.#wake();
  }

  /** Lets go of everything, when `run` has ended: nobody will deliver it, and its sources are not to wait for it. */
  abandon(): void {
    for (const { acknowledgements } of this.#undelivered()) {
      for (const acknowledgement of acknowledgements.splice(0)) acknowledgement.release();
    }
    this.#sending = undefined;
    this.#queue.length = 0;
    this.#pending.clear();
    this.#queuedBytes = this.#pendingBytes = 0;
  }

  #undelivered(): Sources[] {
    const sources: Sources[] = this.#sending === undefined ? [] : [this.#sending];
    sources.push(...this.#queue);
    for (const pending of this.#pending.values()) sources.push(pending.sources);
    return sources;
  }

  #begin(tenant: string): Pending {
    return {
      tenant,
      encoder: new PushRequestEncoder(),
      streams: new Map(),
      size: 0,
      due: 0,
      sources: noSources(),
    };
  }

  /** Many tenants with unfinished requests must not take more memory than the queue may. */
  #hasRoomToFill(): boolean {
    const { capacityBytes, batchBytes } = this.#options;
    if (this.#pendingBytes < Math.max(capacityBytes, 2 * batchBytes)) return true;
    if (this.#queuedBytes >= capacityBytes) return false;
    for (const pending of [...this.#pending.values()]) if (pending.encoder.entries > 0) this.#seal(pending);
    return true;
  }

  #sealDue(all: boolean): void {
    const now = this.#clock.monotonic();
    for (const pending of [...this.#pending.values()]) {
      if (pending.encoder.entries > 0) {
        if (all || pending.due <= now) this.#seal(pending);
      } else this.#pending.delete(pending.tenant); // a tenant that fell silent
    }
  }

  #seal(pending: Pending): void {
    const { encoder, sources } = pending;
    const { entries } = encoder;
    this.#pendingBytes -= encoder.bytes;
    const content = encoder.finish(this.#scratch);
    const larger = content.length + (content.length >> 2);
    if (content.buffer !== this.#scratch.buffer && larger < LARGEST_SCRATCH) this.#scratch = allocate(larger);
    const chunks = [compress(content)];
    const bytes = byteLength(chunks);
    this.#queue.push({ tenant: pending.tenant, chunks, entries, bytes, ...sources });
    this.#queuedBytes += bytes;
    pending.streams.clear();
    pending.size = 0;
    pending.sources = noSources();
    this.#wake();
  }

  /** Until something is to do: a request is finished, or one that is being filled is due. */
  async #waitForWork(signal: AbortSignal): Promise<void> {
    let due = Infinity;
    for (const pending of this.#pending.values()) if (pending.encoder.entries > 0) due = Math.min(due, pending.due);
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const abort = () => resolve();
    signal.addEventListener("abort", abort, { once: true });
    this.#wake = resolve;
    if (due !== Infinity) {
      const ms = Math.max(0, due - this.#clock.monotonic());
      this.#clock.sleep(ms, controller.signal).then(resolve, () => {});
    }
    await promise;
    this.#wake = () => {};
    controller.abort();
    signal.removeEventListener("abort", abort);
    if (signal.aborted) throw signal.reason;
  }
}

function noSources(): Sources {
  return { acknowledgements: [], unreported: 0, arrivals: [] };
}
