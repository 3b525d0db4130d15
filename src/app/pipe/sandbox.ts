import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, errorText } from "#base/log";
import { MetricRegistry, type MetricSpecs } from "#base/metrics";
import type { Batch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { Flow } from "#pipeline/flow";
import { ComponentHost } from "#pipeline/host";
import { SeriesRegistry } from "#pipeline/series";
import { type EntryTrace, Tap } from "#pipeline/tap";
import { VERSION } from "../version.ts";
import { SkippingClock } from "./skipping-clock.ts";
import { type PipedSignal, type PipeSubject, redirected } from "./subject.ts";

/** What becomes of what is fed. Batches are lent: copy what is to be kept. */
export interface SandboxOutput {
  batch(batch: Batch<PipedSignal>): void;
  /** The way of an entry, of components that show it; undefined if nobody wants to see it. */
  readonly trace: ((trace: EntryTrace) => void) | undefined;
}

/** How long the component may take to stop. */
const STOP_DEADLINE_MS = 1_000;

/**
 * A second instance of a component that touches nothing of the agent: metrics, flow, series and clock of its own, and
 * whatever it hands on is recorded. Its background tasks run, so that stages which wait for time give back what they keep.
 */
export class Sandbox {
  readonly clock = new SkippingClock();
  readonly series = new SeriesRegistry();
  readonly flow = new Flow(() => this.clock.now());
  readonly #host: ComponentHost<unknown, unknown, MetricSpecs>;
  readonly #receiver: Consumer;
  readonly #dataPath = join(tmpdir(), `invar-pipe-${randomUUID()}`);
  #failure: { readonly error: unknown } | undefined;

  /** Throws what the component's `start` throws. */
  constructor({ id, label, definition, args, signal, receiver }: PipeSubject, output: SandboxOutput) {
    const tap = new Tap();
    if (output.trace !== undefined) tap.watchTraces({ wants: () => true, show: output.trace });
    const recorder: Consumer<PipedSignal> = {
      signal,
      componentId: "pipe",
      mutates: false,
      consume(batch) {
        output.batch(batch);
        batch.acknowledgement.release();
      },
    };
    let exports: Readonly<Record<string, unknown>> = {};
    this.#host = new ComponentHost(definition, redirected(definition.args, args, recorder), {
      id,
      label,
      clock: this.clock,
      log: createLogger({ enabled: () => false, write: () => {} }),
      flow: this.flow,
      tap,
      dataPath: this.#dataPath,
      services: {
        metrics: new MetricRegistry(),
        series: this.series,
        httpAddress: "127.0.0.1:12345",
        memoryAddress: "alloy.internal:12345",
        fetchLocal: async () => ({ status: 503, body: "nothing answers inside of invar pipe" }),
        minimumStability: "experimental",
        version: VERSION,
      },
      metricLabels: [],
      events: {
        exported: (values) => {
          exports = values as Readonly<Record<string, unknown>>;
        },
        failed: (error) => {
          this.#failure ??= { error };
        },
        health: () => {},
      },
    });
    this.#receiver = exports[receiver] as Consumer;
    this.#host.activate();
  }

  /** Feeds a batch and waits until all has come out that comes out at once. `check` may throw to give up. */
  async feed(batch: Batch<PipedSignal>, check: () => void): Promise<void> {
    const accepted = this.#receiver.consume(batch, new AbortController().signal);
    if (accepted !== undefined) await this.clock.skipWhile(accepted, check);
    this.#throwFailure();
  }

  /** Has the component give what it keeps, and ends it. */
  async finish(): Promise<void> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(new Error("the component did not stop")), STOP_DEADLINE_MS);
    try {
      await this.#host.stop(controller.signal);
    } finally {
      clearTimeout(timer);
      await this.#host.dispose();
      await rm(this.#dataPath, { recursive: true, force: true });
    }
    this.#throwFailure();
  }

  #throwFailure(): void {
    if (this.#failure === undefined) return;
    throw new Error(`the component failed: ${errorText(this.#failure.error)}`, { cause: this.#failure.error });
  }
}
