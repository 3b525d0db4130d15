import type { Batch, Signal } from "./batch.ts";

/** The receiving end of an edge: what `forward_to = [loki.write.x.receiver]` refers to. */
export interface Consumer<S extends Signal = Signal> {
  readonly signal: S;
  /** The component that exports it, for the accounting of edges. */
  readonly componentId: string;
  /** Whether it changes the columns of what it is handed. */
  readonly mutates: boolean;
  /**
   * Takes over the batch and one reference of its acknowledgement, or rejects (RetryableError, PermanentError, or the
   * signal's reason) and takes neither. Returning without a promise means accepted; awaiting the promise is the
   * back-pressure. See acknowledgement.ts for what happens to the references, batch.ts for how long the bytes live.
   */
  consume(batch: Batch<S>, signal: AbortSignal): void | Promise<void>;
}

/** The names under which the configuration language knows consumers of each signal. */
export const CONSUMER_CAPSULES: Readonly<Record<Signal, string>> = {
  logs: "loki.LogsReceiver",
  metrics: "storage.Appendable",
  otlp: "otelcol.Consumer",
  profiles: "pyroscope.Appendable",
};

/** Types `s.consumer(signal)`, which belongs to a layer below. */
declare module "#lang/schema" {
  interface ConsumerTypes {
    logs: Consumer<"logs">;
    metrics: Consumer<"metrics">;
    otlp: Consumer<"otlp">;
    profiles: Consumer<"profiles">;
  }
}
