import { type Filter, searchable } from "#base/filter";

export interface StoredSpan {
  readonly id: string;
  /** Empty for a root. */
  readonly parent: string;
  readonly name: string;
  readonly service: string;
  readonly kind: string;
  /** Epoch milliseconds, with a fraction. */
  readonly start: number;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly message: string;
  /** Flat, of the span; those of the resource are left out but for the service's name. */
  readonly attributes: readonly string[];
}

export interface StoredTrace {
  readonly id: string;
  readonly spans: StoredSpan[];
  bytes: number;
  /** Epoch milliseconds of the last arrival. */
  arrived: number;
}

export interface TraceSummary {
  readonly id: string;
  readonly name: string;
  readonly services: readonly string[];
  readonly start: number;
  readonly durationMs: number;
  readonly spans: number;
  readonly errors: number;
}

const SPAN_OVERHEAD = 300;
/** Further spans of one trace are counted, not kept. */
const MAX_SPANS = 2000;

/** The latest traces, bounded by age and by memory; those that were quiet for longest go first. */
export class TraceStore {
  readonly #maxBytes: number;
  /** In order of the last arrival. */
  readonly #traces = new Map<string, StoredTrace>();
  bytes = 0;
  received = 0;
  evicted = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#traces.size;
  }

  add(now: number, traceId: string, span: StoredSpan): void {
    this.received += 1;
    const trace = this.#traces.get(traceId) ?? { id: traceId, spans: [], bytes: 0, arrived: now };
    this.#traces.delete(traceId);
    this.#traces.set(traceId, trace);
    trace.arrived = now;
    if (trace.spans.length >= MAX_SPANS) {
      this.evicted += 1;
      return;
    }
    trace.spans.push(span);
    const bytes = SPAN_OVERHEAD + span.name.length + span.attributes.reduce((sum, text) => sum + text.length + 16, 0);
    trace.bytes += bytes;
    this.bytes += bytes;
    for (const oldest of this.#traces.values()) {
      if (this.bytes <= this.#maxBytes || oldest === trace) break;
      this.#forget(oldest);
      this.evicted += oldest.spans.length;
    }
  }

  expire(time: number): void {
    for (const trace of this.#traces.values()) {
      if (trace.arrived >= time) break;
      this.#forget(trace);
    }
  }

  get(id: string): StoredTrace | undefined {
    return this.#traces.get(id);
  }

  /** The newest traces with a span that matches, newest first, and how many there are in all. */
  find(filter: Filter, limit: number): { readonly traces: readonly TraceSummary[]; readonly matched: number } {
    const found: StoredTrace[] = [];
    for (const trace of this.#traces.values()) {
      if (filter.empty || trace.spans.some((span) => matches(filter, trace.id, span))) found.push(trace);
    }
    return { traces: found.slice(-limit).reverse().map(summarise), matched: found.length };
  }

  #forget(trace: StoredTrace): void {
    this.#traces.delete(trace.id);
    this.bytes -= trace.bytes;
  }
}

function matches(filter: Filter, traceId: string, { name, service, attributes }: StoredSpan): boolean {
  return filter.matches(searchable(["service", service, "trace_id", traceId, ...attributes], name));
}

function summarise({ id, spans }: StoredTrace): TraceSummary {
  const known = new Set(spans.map((span) => span.id));
  // Without its root (not here yet, or sampled away), the first span whose parent is unknown stands for the trace.
  const root = spans.find((span) => span.parent === "") ?? spans.find((span) => !known.has(span.parent)) ?? spans[0]!;
  const start = spans.reduce((least, span) => Math.min(least, span.start), Infinity);
  const end = spans.reduce((most, span) => Math.max(most, span.start + span.durationMs), -Infinity);
  return {
    id,
    name: root.name,
    services: [...new Set([root.service, ...spans.map((span) => span.service)])],
    start,
    durationMs: Math.round((end - start) * 1000) / 1000, // no finer than epoch times are in a double
    spans: spans.length,
    errors: spans.filter((span) => span.failed).length,
  };
}
