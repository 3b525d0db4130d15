import { abortable } from "#base/abortable";
import { errorText } from "#base/log";
import { joinParts, type OtlpKind } from "#formats/otlp/otlp";
import type { PartialSuccess } from "#formats/otlp/response";
import { ProtobufError } from "#formats/protobuf";
import { RequestPartition } from "#kits/otelcol/partition";
import { SendError } from "#kits/otelcol/retry";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import type { Judgement } from "#pipeline/flow";
import type { Backends } from "./backends.ts";
import { type Route, type RoutingKey, routeFor } from "./routing.ts";

const DELIVERED: PartialSuccess = { rejected: 0, message: "" };

type Context = Pick<ComponentContext, "clock" | "log" | "flow">;

/** A part of a request on its way to one backend. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly items: number;
  readonly outcome: Promise<void>;
}

/** Cuts requests by their routes and hands the pieces to the backends. */
export class Balancer {
  readonly #ctx: Context;
  readonly #backends: Backends;
  readonly #partition = new RequestPartition();
  readonly #first = Promise.withResolvers<void>();
  readonly #dropped = new RecentDrops();
  /** What backends did not take of requests that are tried again. */
  readonly #left = new WeakMap<OtlpBatch, readonly Uint8Array[]>();
  #routes: Readonly<Record<OtlpKind, Route>>;

  constructor(ctx: Context, backends: Backends, key: RoutingKey) {
    this.#ctx = ctx;
    this.#backends = backends;
    this.#routes = routesOf(key);
  }

  configure(key: RoutingKey): void {
    this.#routes = routesOf(key);
  }

  /** Backends were looked for: what waited for that goes on, whether some were found or not. */
  begin(): void {
    this.#first.resolve();
  }

  /** The flow rule about data that has no route, or that a backend will never take. */
  judge(): Judgement {
    const recent = this.#dropped.recent(this.#ctx.clock.now());
    if (recent.length === 0) return undefined;
    return { state: "degraded", cause: `dropped ${describeDrops(recent, "items")}: ${recent[0]!.text}` };
  }

  /**
   * One attempt: resolves when all backends have taken their pieces. Rejects with a SendError; another attempt with the
   * same request is about what was not taken.
   */
  async send(request: OtlpBatch, signal: AbortSignal): Promise<PartialSuccess> {
    await abortable(this.#first.promise, signal);
    const pieces = this.#cut(request, this.#left.get(request) ?? request.parts, signal);
    const outcomes = await Promise.allSettled(pieces.map(({ outcome }) => outcome));
    const left: Uint8Array[] = [];
    let retryable: RetryableError | undefined;
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") continue;
      request.acknowledgement.release();
      const { bytes, items } = pieces[i]!;
      const { reason: error } = outcome;
      if (error instanceof PermanentError) this.#drop(error.reason, items, error.message);
      else {
        left.push(bytes);
        if (error instanceof RetryableError) retryable = error;
      }
    }
    if (left.length === 0) return DELIVERED;
    this.#left.set(request, left);
    if (signal.aborted) throw signal.reason;
    throw new SendError("no_answer", retryable?.message ?? "the backends did not take all in time", {
      retryable: true,
      retryAfterMs: retryable?.retryAfterMs,
    });
  }

  /** Cuts, and begins to hand on. Each piece has a reference of the request's acknowledgement. */
  #cut(request: OtlpBatch, parts: readonly Uint8Array[], signal: AbortSignal): Piece[] {
    const { ring } = this.#backends;
    if (ring.size === 0) {
      throw new SendError("no_backends", "there are no backends: see what the resolver finds", { retryable: true });
    }
    const partition = this.#partition;
    try {
      partition.read(request.kind, joinParts(parts));
      const homeless = this.#routes[request.kind](partition, ring);
      if (homeless > 0) {
        const why = "metrics are routed by the service.name of their resource, which some have not";
        this.#drop("no_service_name", homeless, why);
      }
      const chunks = partition.write(ring.endpoints.length);
      const pieces: Piece[] = [];
      for (const [endpoint, chunk] of chunks.entries()) {
        if (chunk === undefined) continue;
        const { bytes, items } = chunk;
        const backend = this.#backends.of(endpoint);
        request.acknowledgement.retain();
        const piece: OtlpBatch = { ...request, parts: [bytes], items, bytes: bytes.length };
        const outcome =
          backend === undefined
            ? Promise.reject(new RetryableError(`${ring.endpoints[endpoint]} cannot be used: see the log`))
            : backend.consume(piece, signal);
        pieces.push({ bytes, items, outcome });
      }
      return pieces;
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      throw new SendError("malformed", errorText(error), { retryable: false, cause: error });
    } finally {
      partition.clear();
    }
  }

  #drop(reason: string, items: number, why: string): void {
    const { flow, log, clock } = this.#ctx;
    flow.drop("otlp", reason, items);
    const shown = this.#dropped.add(reason, items, why, clock.now());
    flow.judge();
    if (shown !== undefined) log.error("data was dropped", { reason, items: shown, error: why });
  }
}

function routesOf(key: RoutingKey): Readonly<Record<OtlpKind, Route>> {
  return { traces: routeFor("traces", key), metrics: routeFor("metrics", key), logs: routeFor("logs", key) };
}
