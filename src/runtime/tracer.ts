/** Traces of the agent's own work. The app gives a real one; without it nothing is traced. */
export interface Tracer {
  /** Begins a span. `parent` is the span it belongs to. */
  start(name: string, attributes?: Readonly<Record<string, string>>, parent?: TraceSpan): TraceSpan;
}

export interface TraceSpan {
  /** Ends the span, as failed if `error` is given. */
  end(error?: unknown): void;
}

const noSpan: TraceSpan = { end: () => {} };
export const noTracer: Tracer = { start: () => noSpan };
