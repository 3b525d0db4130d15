import type { Counter, Histogram } from "#base/metrics";
import { MetricRegistry } from "#base/metrics";
import { OtlpGrpcBackend } from "#kits/otelcol/grpc-exporter";
import { exporterInstruments, exporterMetrics, type rpcRecorder } from "#kits/otelcol/metrics";
import { OtlpSender, type SenderOptions } from "#kits/otelcol/sender";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { FlowQueue, Judgement } from "#pipeline/flow";
import { fullestQueue } from "#pipeline/flow";
import type { LoadBalancingArguments } from "./arguments.ts";
import { HashRing } from "./hash-ring.ts";

const DEFAULT_PORT = "4317";
/** How often one that is going is looked at. */
const GOING_POLL_MS = 50;

export interface BackendInstruments {
  readonly latency: Histogram;
  readonly outcome: Counter;
}

/** Finds other places for what a backend that is gone did not take. Rejects with a SendError. */
export type Reroute = (batch: OtlpBatch, signal: AbortSignal) => Promise<void>;

type Context = Pick<ComponentContext, "id" | "clock" | "log" | "flow" | "services" | "run" | "signal">;

/** One place that data is sent to, with a queue of its own. */
class Backend {
  readonly endpoint: string;
  readonly rules = new Map<string, () => Judgement>();
  readonly #ctx: Context;
  readonly #stopping = new AbortController();
  readonly #sender: OtlpSender;
  readonly #instruments: BackendInstruments;
  readonly #reroute: Reroute;
  readonly #record: ReturnType<typeof rpcRecorder>;
  #grpc: OtlpGrpcBackend<{ readonly timeout: number; readonly client: ClientArguments }>;
  #args: LoadBalancingArguments;
  #readQueue: () => FlowQueue = () => ({ bytes: 0, oldest: undefined });
  #isGone = false;

  constructor(ctx: Context, endpoint: string, args: LoadBalancingArguments, shared: Shared) {
    this.#ctx = ctx;
    this.endpoint = endpoint;
    this.#args = args;
    this.#instruments = shared.instruments;
    this.#reroute = shared.reroute;
    this.#record = shared.record;
    this.#grpc = this.#connect();
    // As in the Collector, what each backend sent and lost is counted for all of them together.
    const own = new MetricRegistry().register(exporterMetrics).instruments;
    const signal = AbortSignal.any([ctx.signal, this.#stopping.signal]);
    this.#sender = new OtlpSender(
      {
        id: `${ctx.id}/${endpoint}`,
        clock: ctx.clock,
        log: ctx.log.with({ endpoint }),
        flow: ctx.flow,
        queue: (read) => {
          this.#readQueue = read;
        },
        rule: (name, judge) => void this.rules.set(name, judge),
        run: (task) => ctx.run(() => task(signal)),
        signal,
      },
      exporterInstruments(own, endpoint),
      this.#options(),
    );
  }

  get queue(): FlowQueue {
    return this.#readQueue();
  }

  async consume(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
    const began = performance.now();
    let success = "false";
    try {
      await this.#sender.consume(batch, signal);
      success = "true";
    } finally {
      this.#instruments.latency.labels(this.endpoint).observe(performance.now() - began);
      this.#instruments.outcome.labels(this.endpoint, success).inc();
    }
  }

  configure(args: LoadBalancingArguments): void {
    this.#args = args;
    const old = this.#grpc;
    this.#grpc = this.#connect();
    this.#sender.configure(this.#options());
    old.retire();
  }

  /** It is no backend any more: what waits for it goes elsewhere. Resolves when nothing is left. */
  async leave(): Promise<void> {
    this.#isGone = true;
    this.#sender.configure(this.#options()); // what waits for another attempt is tried at once
    const { clock } = this.#ctx;
    while (this.queue.bytes > 0 && !this.#ctx.signal.aborted) {
      await clock.sleep(GOING_POLL_MS, this.#ctx.signal).catch(() => {});
    }
    if (!this.#ctx.signal.aborted) await this.close();
  }

  drain(deadline: AbortSignal): Promise<void> {
    return this.#sender.drain(deadline);
  }

  async close(): Promise<void> {
    this.#stopping.abort(new Error(`${this.endpoint} is no backend any more`));
    await this.#sender.close();
    this.#grpc.close();
  }

  #connect() {
    const { timeout, client } = this.#args.protocol.otlp;
    return new OtlpGrpcBackend(this.#ctx, { timeout, client: { ...client, endpoint: this.endpoint } }, this.#record);
  }

  #options(): SenderOptions {
    const { queue, retry } = this.#args.protocol.otlp;
    const { sending_queue: outer, retry_on_failure: outerRetry } = this.#args;
    return {
      queue,
      retry: this.#isGone ? { ...retry, enabled: true, max_elapsed_time: 0 } : retry,
      destination: this.endpoint,
      handsOn: true,
      // Who can try again gets the data back.
      whenFull: outer.enabled || outerRetry.enabled ? "refuse" : "drop",
      send: async (batch, signal) => {
        if (!this.#isGone) return this.#grpc.send(batch, signal);
        await this.#reroute(batch, signal);
        return { rejected: 0, message: "" };
      },
    };
  }
}

type ClientArguments = ConstructorParameters<typeof OtlpGrpcBackend>[1]["client"];

export interface Shared {
  readonly instruments: BackendInstruments;
  readonly record: ReturnType<typeof rpcRecorder>;
  readonly reroute: Reroute;
}

/** The backends that are known, and the ring that says which of them is responsible for what. */
export class Backends {
  readonly #ctx: Context;
  readonly #shared: Shared;
  #args: LoadBalancingArguments;
  #ring = new HashRing([]);
  /** The backend of each endpoint of the ring. */
  #ofRing: (Backend | undefined)[] = [];
  readonly #known = new Map<string, Backend>();
  readonly #leaving = new Set<Backend>();

  constructor(ctx: Context, args: LoadBalancingArguments, shared: Shared) {
    this.#ctx = ctx;
    this.#args = args;
    this.#shared = shared;
  }

  get ring(): HashRing {
    return this.#ring;
  }
  get count(): number {
    return this.#known.size;
  }

  /** The backend of an endpoint's number in the ring. */
  of(endpoint: number): Backend | undefined {
    return this.#ofRing[endpoint];
  }

  /** Goes over to other endpoints. Those that cannot be used are told to the log. */
  change(endpoints: readonly string[]): void {
    const wanted = new Set(endpoints.map(withPort));
    for (const endpoint of wanted) {
      if (this.#known.has(endpoint)) continue;
      try {
        this.#known.set(endpoint, new Backend(this.#ctx, endpoint, this.#args, this.#shared));
      } catch (error) {
        this.#ctx.log.error("a backend cannot be used", { endpoint, error });
      }
    }
    this.#ring = new HashRing(endpoints);
    this.#ofRing = endpoints.map((endpoint) => this.#known.get(withPort(endpoint)));
    for (const [endpoint, backend] of this.#known) {
      if (wanted.has(endpoint)) continue;
      this.#known.delete(endpoint);
      this.#leaving.add(backend);
      this.#ctx.run(() => backend.leave().finally(() => this.#leaving.delete(backend)));
    }
  }

  configure(args: LoadBalancingArguments): void {
    this.#args = args;
    for (const backend of this.#all()) backend.configure(args);
  }

  /** The worst of what the backends' rules of this name find; that of one of several is a part of the work. */
  judge(rule: string): Judgement {
    const all = [...this.#known.values()];
    const found = all.map((each) => each.rules.get(rule)!()).filter((each) => each !== undefined);
    const [first] = found;
    if (first === undefined || found.length === all.length) return first;
    return { state: "degraded", cause: `${found.length} of ${all.length} backends: ${first.cause}` };
  }

  get queue(): FlowQueue {
    return fullestQueue(this.#all().map((each) => each.queue));
  }

  async drain(deadline: AbortSignal): Promise<void> {
    await Promise.all(this.#all().map((each) => each.drain(deadline)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#all().map((each) => each.close()));
  }

  #all(): Backend[] {
    return [...this.#known.values(), ...this.#leaving];
  }
}

function withPort(endpoint: string): string {
  return endpoint.includes(":") ? endpoint : `${endpoint}:${DEFAULT_PORT}`;
}
