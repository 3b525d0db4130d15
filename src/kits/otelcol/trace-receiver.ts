/** What receivers of spans in other formats than OTLP share. */
import type { Counter } from "#base/metrics";
import { GRPC, GrpcError, httpStatusOfCode } from "#formats/grpc";
import { ProtobufError } from "#formats/protobuf";
import { ThriftError } from "#formats/thrift-reader";
import { ZipkinError } from "#formats/zipkin/span";
import type { OtlpClient } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Fanout } from "#pipeline/fanout";
import { describeDrops, RecentDrops } from "../recent-drops.ts";
import type { OtelHttpResponse } from "./http-server.ts";
import { type IntakeCounters, OtlpIntake } from "./intake.ts";
import { receiverMetrics } from "./metrics.ts";

export const traceReceiverMetrics = {
  acceptedTraces: receiverMetrics.acceptedTraces,
  refusedTraces: receiverMetrics.refusedTraces,
};

/** A message of a client that cannot be read. */
export class MalformedMessage extends Error {
  override readonly name = "MalformedMessage";
}

export interface TraceMessage extends Pick<OtlpClient, "clientMetadata" | "clientAttributes"> {
  /** For metrics: how it came. */
  readonly transport: string;
  /** Makes a request of OTLP of it. */
  readonly decode: () => Uint8Array;
  /** The client's IP address. */
  readonly from: string | undefined;
  /** The client cannot be told to send it again. */
  readonly isOneWay?: boolean;
  /** Aborted when the client goes; asked for only when the pipeline makes it wait. */
  readonly signal: () => AbortSignal;
}

type Context = Pick<
  ComponentContext<unknown, typeof traceReceiverMetrics>,
  "id" | "clock" | "flow" | "log" | "rule" | "metrics"
>;

/** Turns messages into requests of OTLP, hands them on, and keeps account of those that it cannot. */
export class TraceIntake {
  readonly #ctx: Context;
  readonly #receiver: string;
  readonly #intake: OtlpIntake;
  readonly #counters = new Map<string, IntakeCounters>();
  readonly #drops = new RecentDrops();

  /** `system` is the first part of the receiver's id in the Collector, such as `jaeger`. */
  constructor(ctx: Context, out: Fanout<"otlp">, system: string) {
    this.#ctx = ctx;
    this.#receiver = `${system}/${ctx.id}`;
    // Only traces come.
    this.#intake = new OtlpIntake({ traces: out, metrics: out, logs: out }, ctx.log);
    ctx.rule("messages_dropped", () => {
      const recent = this.#drops.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      const cause = `dropped ${describeDrops(recent, "messages")}: ${recent[0]!.text}`;
      return { state: ctx.flow.lastSuccess >= this.#drops.since ? "degraded" : "failing", cause };
    });
  }

  /** Whether anybody takes traces. */
  get taken(): boolean {
    return this.#intake.takes("traces");
  }

  /** Returns or resolves once the spans are accepted. Throws a MalformedMessage; throws or rejects with a GrpcError. */
  accept(message: TraceMessage): void | Promise<void> {
    const { transport, clientMetadata, clientAttributes, from, signal } = message;
    let bytes: Uint8Array;
    try {
      bytes = message.decode();
    } catch (error) {
      const known = error instanceof ThriftError || error instanceof ProtobufError || error instanceof ZipkinError;
      if (!known) throw error;
      this.drop("malformed", 1, from === undefined ? error.message : `${error.message} (from ${from})`);
      throw new MalformedMessage(error.message, { cause: error });
    }
    if (bytes.length === 0) return;
    const counters = this.#countersOf(transport);
    return this.#intake.accept({
      kind: "traces",
      bytes,
      clientMetadata,
      clientAddress: from,
      clientAttributes,
      cannotComeAgain: message.isOneWay ?? false,
      counters,
      signal,
    });
  }

  /** Counts messages that are lost; the status and the log tell why. */
  drop(reason: string, messages: number, why: string): void {
    const { flow, log, clock } = this.#ctx;
    flow.drop("otlp", reason, messages);
    flow.failed(why);
    const fresh = this.#drops.add(reason, messages, why, clock.now());
    if (fresh !== undefined) log.warn("dropped messages with spans", { reason, messages: fresh, cause: why });
  }

  #countersOf(transport: string): IntakeCounters {
    let counters = this.#counters.get(transport);
    if (counters === undefined) {
      const { acceptedTraces, refusedTraces } = this.#ctx.metrics;
      const all = (each: Counter) => ({ traces: each, metrics: each, logs: each });
      counters = {
        accepted: all(acceptedTraces.labels(this.#receiver, transport)),
        refused: all(refusedTraces.labels(this.#receiver, transport)),
      };
      this.#counters.set(transport, counters);
    }
    return counters;
  }
}

/** An answer in words, as Go's http.Error gives it. */
export function textAnswer(status: number, text: string): OtelHttpResponse {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body: `${text}\n` };
}

/** The answer to spans that were not accepted: 400 for what cannot be read, and what the pipeline says otherwise. */
export function refusal(error: unknown): OtelHttpResponse {
  if (error instanceof MalformedMessage) return textAnswer(400, error.message);
  if (!(error instanceof GrpcError)) throw error;
  const answer = textAnswer(httpStatusOfCode(error.code), `the spans were not accepted: ${error.message}`);
  if (error.retryDelayMs === undefined) return answer;
  const seconds = Math.max(1, Math.ceil(error.retryDelayMs / 1000));
  return { ...answer, headers: { ...answer.headers, "retry-after": String(seconds) } };
}

/** The status of a call that was not accepted; grpc-go has INTERNAL for messages that cannot be read. */
export function callError(error: unknown): unknown {
  if (!(error instanceof MalformedMessage)) return error;
  return new GrpcError(GRPC.INTERNAL, `the request cannot be read: ${error.message}`, { cause: error });
}
