import type { Logger } from "#base/log";
import type { Counter } from "#base/metrics";
import { GRPC, GrpcError } from "#formats/grpc";
import { OtlpIndex, type OtlpKind } from "#formats/otlp/otlp";
import { ProtobufError } from "#formats/protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch, OtlpClient, Refusals, WaitingClient } from "#pipeline/batch";
import { RetryableError } from "#pipeline/errors";
import type { Fanout } from "#pipeline/fanout";

/** How long a client is kept waiting for a full pipeline before it is told to come again. */
const PATIENCE_MS = 5_000;
/** What the client is asked to wait. */
const RETRY_DELAY_MS = 1_000;
/** Requests that wait for a full pipeline may hold this much; beyond it, clients are sent away at once. */
const MAX_WAITING_BYTES = 64 << 20;

/** The path of each signal's Export method in gRPC. */
export const EXPORT_PATHS: Readonly<Record<OtlpKind, string>> = {
  traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
  metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
  logs: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
};

export interface IntakeCounters {
  readonly accepted: Readonly<Record<OtlpKind, Counter>>;
  readonly refused: Readonly<Record<OtlpKind, Counter>>;
}

export interface IntakeRequest extends OtlpClient {
  readonly kind: OtlpKind;
  /** An Export…ServiceRequest. */
  readonly bytes: Uint8Array;
  readonly counters: IntakeCounters;
  /** Where it is noted what consumers refuse for good, for protocols that can tell the client. */
  readonly refusals?: Refusals;
  /** The client cannot send the data again: it waits also where others are sent away at once. */
  readonly cannotComeAgain?: boolean;
  /** Aborted when the client goes; asked for only when the pipeline makes it wait. */
  readonly signal: () => AbortSignal;
}

/**
 * Hands requests of clients to the pipeline: checks them, makes them wait while the pipeline is full, and sends them away
 * with UNAVAILABLE and a delay when that lasts, or at once where a component wants no data to wait. Success means that
 * every consumer accepted.
 */
export class OtlpIntake {
  readonly #outputs: Readonly<Record<OtlpKind, Fanout<"otlp">>>;
  readonly #log: Logger;
  readonly #index = new OtlpIndex();
  readonly #patienceMs: number;
  #waitingBytes = 0;
  #lastWarning = -Infinity;

  constructor(outputs: Readonly<Record<OtlpKind, Fanout<"otlp">>>, log: Logger, patienceMs = PATIENCE_MS) {
    this.#outputs = outputs;
    this.#log = log;
    this.#patienceMs = patienceMs;
  }

  /** Whether anybody takes this signal. */
  takes(kind: OtlpKind): boolean {
    return this.#outputs[kind].consumers.length > 0;
  }

  /** Returns or resolves once the request is accepted; throws or rejects with a GrpcError. */
  accept(request: IntakeRequest): void | Promise<void> {
    const { kind, bytes, clientMetadata, clientAttributes, counters } = request;
    const items = this.#count(kind, bytes);
    if (items === 0) return;
    if (this.#waitingBytes + bytes.length > MAX_WAITING_BYTES) {
      counters.refused[kind].inc(items);
      throw this.#unavailable(new RetryableError("too much waits for the pipeline already"));
    }
    const patience = new Patience();
    const batch: OtlpBatch = {
      signal: "otlp",
      kind,
      parts: [bytes],
      items,
      bytes: bytes.length,
      clientMetadata,
      clientAddress: plainAddress(request.clientAddress),
      clientAttributes,
      waiting: request.cannotComeAgain ? undefined : patience,
      refusals: request.refusals,
      acknowledgement: Acknowledgement.none,
    };
    const result = this.#outputs[kind].consume(batch, patience.signal);
    if (result === undefined) {
      counters.accepted[kind].inc(items);
      return;
    }
    return this.#wait(result, patience, request, items);
  }

  #count(kind: OtlpKind, bytes: Uint8Array): number {
    try {
      this.#index.read(kind, bytes);
      return this.#index.items;
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      throw new GrpcError(GRPC.INVALID_ARGUMENT, `the request is no valid OTLP: ${error.message}`, { cause: error });
    } finally {
      this.#index.clear();
    }
  }

  async #wait(result: Promise<void>, patience: Patience, request: IntakeRequest, items: number): Promise<void> {
    const { kind, bytes, counters } = request;
    this.#waitingBytes += bytes.length;
    patience.start(this.#patienceMs, request.signal());
    try {
      await result;
      const refused = Math.min(request.refusals?.items ?? 0, items);
      counters.accepted[kind].inc(items - refused);
      if (refused > 0) counters.refused[kind].inc(refused);
    } catch (error) {
      counters.refused[kind].inc(items);
      if (error instanceof GrpcError) throw error;
      throw this.#unavailable(error as Error);
    } finally {
      this.#waitingBytes -= bytes.length;
      patience.end();
    }
  }

  #unavailable(why: Error): GrpcError {
    const now = performance.now();
    if (now - this.#lastWarning > 30_000) {
      this.#lastWarning = now;
      this.#log.warn("clients are sent away because the pipeline takes nothing", { reason: why.message });
    }
    const asked = why instanceof RetryableError ? why.retryAfterMs : undefined;
    return new GrpcError(GRPC.UNAVAILABLE, why.message, { retryDelayMs: asked ?? RETRY_DELAY_MS });
  }
}

/** Clients of IPv4 have an address of IPv6 where a listener takes both. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** A signal that costs nothing to speak of until somebody has to wait. */
class Patience implements WaitingClient {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #client: AbortSignal | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  start(ms: number, client: AbortSignal): void {
    const full = () => this.#controller.abort(new RetryableError("the pipeline is full, come again later"));
    this.#timer = setTimeout(full, ms);
    this.#client = client;
    if (client.aborted) this.#gone();
    else client.addEventListener("abort", this.#gone, { once: true });
  }

  sendAway(why: RetryableError): void {
    this.#controller.abort(why);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#client?.removeEventListener("abort", this.#gone);
  }

  readonly #gone = () => this.#controller.abort(new GrpcError(GRPC.CANCELLED, "the client is gone"));
}
