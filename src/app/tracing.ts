import { randomBytes } from "node:crypto";
import { errorText } from "#base/log";
import { ProtoWriter } from "#formats/protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import type { BlockHandler } from "#runtime/environment";
import type { Tracer, TraceSpan } from "#runtime/tracer";
import { withoutUrlSecrets } from "./api/redact.ts";

interface TracingArguments {
  readonly sampling_fraction: number;
  readonly write_to: readonly Consumer<"otlp">[];
}

/** Spans are sent together once in this time. */
const SEND_AFTER_MS = 1_000;
/** Spans that wait; more are not kept, since tracing must never grow memory. */
const WAITING_SPANS = 2_048;
const SPAN_KIND_INTERNAL = 1;
const STATUS_ERROR = 2;

interface FinishedSpan {
  readonly span: Span;
  readonly endMs: number;
  readonly error: string | undefined;
}

/** Records spans of the agent's own work and hands them to the `write_to` of the `tracing` block, which it carries out. */
export class SelfTracing implements Tracer, BlockHandler {
  readonly #version: string;
  #arguments: TracingArguments = { sampling_fraction: 0, write_to: [] };
  #waiting: FinishedSpan[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(version: string) {
    this.#version = version;
  }

  apply(args: unknown): void {
    this.#arguments = (args as TracingArguments | undefined) ?? { sampling_fraction: 0, write_to: [] };
  }

  start(name: string, attributes: Readonly<Record<string, string>> = {}, parent?: TraceSpan): TraceSpan {
    const above = parent instanceof Span ? parent : undefined;
    // A trace is kept or not as a whole: its first span decides.
    const sampled = above?.sampled ?? Math.random() < this.#arguments.sampling_fraction;
    return new Span(name, attributes, above, sampled, (finished) => this.#finished(finished));
  }

  /** Sends what waits and stops. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    await this.#send();
  }

  #finished(span: FinishedSpan): void {
    if (!span.span.sampled || this.#arguments.write_to.length === 0 || this.#waiting.length >= WAITING_SPANS) return;
    this.#waiting.push(span);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#send();
    }, SEND_AFTER_MS).unref();
  }

  async #send(): Promise<void> {
    const spans = this.#waiting;
    this.#waiting = [];
    if (spans.length === 0) return;
    const body = encodeSpans(spans, this.#version);
    const batch: OtlpBatch = {
      signal: "otlp",
      kind: "traces",
      parts: [body],
      items: spans.length,
      bytes: body.length,
      clientMetadata: undefined,
      acknowledgement: Acknowledgement.none,
    };
    const sending = this.#arguments.write_to.map(async (each) => each.consume(batch, AbortSignal.timeout(10_000)));
    await Promise.allSettled(sending);
  }
}

class Span implements TraceSpan {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly traceId: Uint8Array;
  readonly spanId = randomBytes(8);
  readonly parentId: Uint8Array | undefined;
  readonly sampled: boolean;
  readonly startMs = performance.timeOrigin + performance.now();
  readonly #onEnd: (finished: FinishedSpan) => void;
  #ended = false;

  constructor(
    name: string,
    attributes: Readonly<Record<string, string>>,
    parent: Span | undefined,
    sampled: boolean,
    onEnd: (finished: FinishedSpan) => void,
  ) {
    this.name = name;
    this.attributes = attributes;
    this.traceId = parent?.traceId ?? randomBytes(16);
    this.parentId = parent?.spanId;
    this.sampled = sampled;
    this.#onEnd = onEnd;
  }

  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const endMs = performance.timeOrigin + performance.now();
    this.#onEnd({ span: this, endMs, error: error === undefined ? undefined : withoutUrlSecrets(errorText(error)) });
  }
}

/** An ExportTraceServiceRequest of `opentelemetry/proto/trace/v1/trace.proto`. */
function encodeSpans(spans: readonly FinishedSpan[], version: string): Uint8Array {
  const out = new ProtoWriter(spans.length * 256);
  const attribute = (field: number, key: string, value: string) => {
    const mark = out.begin(field);
    out.string(1, key);
    const any = out.begin(2);
    out.string(1, value);
    out.end(any);
    out.end(mark);
  };
  const resourceSpans = out.begin(1);
  const resource = out.begin(1);
  attribute(1, "service.name", "alloy");
  attribute(1, "service.version", version);
  out.end(resource);
  const scopeSpans = out.begin(2);
  const scope = out.begin(1);
  out.string(1, "invar");
  out.end(scope);
  for (const { span, endMs, error } of spans) {
    const mark = out.begin(2);
    out.bytes(1, span.traceId);
    out.bytes(2, span.spanId);
    if (span.parentId !== undefined) out.bytes(4, span.parentId);
    out.string(5, span.name);
    out.int32(6, SPAN_KIND_INTERNAL);
    out.fixed64Big(7, nanoseconds(span.startMs));
    out.fixed64Big(8, nanoseconds(endMs));
    for (const [key, value] of Object.entries(span.attributes)) attribute(9, key, value);
    if (error !== undefined) {
      const status = out.begin(15);
      out.string(2, error);
      out.int32(3, STATUS_ERROR);
      out.end(status);
    }
    out.end(mark);
  }
  out.end(scopeSpans);
  out.end(resourceSpans);
  return out.finish();
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}
