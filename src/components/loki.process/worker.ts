import { systemClock } from "#base/clock";
import { createLogger, errorText } from "#base/log";
import { Counter, type InstrumentsOf } from "#base/metrics";
import { compileRegex } from "#base/regex";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import type { EntryTrace } from "#pipeline/tap";
import type { ChannelServer, OpenChannel } from "#pipeline/worker-pool";
import { Pipeline } from "./pipeline.ts";
import { EntryTracker, type HeldChanges } from "./remote-held.ts";
import { unpackStages } from "./remote-plan.ts";
import {
  type BatchTask,
  type FlushTask,
  type LogMessage,
  type MetricChange,
  type PipelineSetup,
  StreamNumbers,
  StreamTable,
  type Task,
  type TaskResult,
} from "./remote-protocol.ts";
import { LocalBatch, packBatch, writeOutput } from "./remote-slab.ts";
import { PROCESS_METRICS } from "./stage.ts";
import { Tracer } from "./trace.ts";

const NO_CHANGES: HeldChanges = { held: [], freed: [] };
const NO_STREAMS = { streams: [], fresh: [], reset: false };

/** The pipeline of one component in a worker thread: works on the batches that come, one after the other. */
class PipelineServer implements ChannelServer {
  readonly #post: (result: TaskResult, transfer?: readonly ArrayBuffer[]) => void;
  readonly #pipeline: Pipeline;
  readonly #tracker: EntryTracker | undefined;
  readonly #slabs = new Map<number, SharedArrayBuffer>();
  readonly #local = new LocalBatch();
  readonly #in = new StreamTable();
  readonly #out = new StreamNumbers();
  readonly #metrics = new MetricChanges();
  #logs: LogMessage[] = [];
  #traces: EntryTrace[] = [];
  #tracesLeft = 0;
  readonly #tracer = new Tracer({
    wantsTrace: () => this.#tracesLeft-- > 0,
    showTrace: (trace) => void this.#traces.push(trace),
  });

  constructor(
    { stages, keepsEntries }: PipelineSetup,
    post: (result: TaskResult, transfer?: readonly ArrayBuffer[]) => void,
  ) {
    this.#post = post;
    this.#tracker = keepsEntries ? new EntryTracker(false) : undefined;
    const log = createLogger({
      enabled: () => true,
      write: ({ level, message, fields }) =>
        void this.#logs.push([level, message, Object.fromEntries(fields.map(([key, value]) => [key, String(value)]))]),
    });
    this.#pipeline = new Pipeline(
      unpackStages(stages, compileRegex),
      {
        clock: systemClock,
        log,
        metrics: this.#metrics.instruments,
        registry: { registerCollector: () => () => {} }, // of stages that stay in the main thread
        metricLabels: [],
        dropped: () => {},
        random: Math.random,
      },
      { tracker: this.#tracker, countsForAnother: true },
    );
  }

  received(body: unknown): void {
    const task = body as Task;
    this.#tracesLeft = task.traces ?? 0;
    if ("flush" in task) this.#flush(task);
    else this.#batch(task);
  }

  close(): void {
    this.#pipeline.close();
  }

  #batch(task: BatchTask): void {
    for (const id of task.forget) this.#slabs.delete(id);
    if (task.memory !== undefined) this.#slabs.set(task.slab, task.memory);
    for (const number of task.samples) this.#pipeline.sample(number);
    const memory = this.#slabs.get(task.slab)!;
    const batch: LogBatch = {
      signal: "logs",
      count: task.count,
      ...this.#local.load(memory, task),
      streams: this.#in.of(task),
      metadata: task.metadata?.slice(),
      acknowledgement: Acknowledgement.none,
    };
    this.#tracker?.begin(task.task, Acknowledgement.none);
    let output: LogBatch;
    try {
      output = this.#pipeline.apply(batch, this.#tracerFor(task), task.bytes);
    } catch (error) {
      this.#answer(task, undefined, { bytes: 0, failed: errorText(error) });
      return;
    }
    const bytes = writeOutput(memory, task, output);
    this.#answer(task, output, bytes === undefined ? { bytes: 0, packed: packBatch(output) } : { bytes });
    this.#pipeline.recycle(output, batch);
  }

  #flush(task: FlushTask): void {
    this.#tracker?.begin(task.task, Acknowledgement.none);
    try {
      const output = this.#pipeline.flush(task.flush === "all", this.#tracerFor(task));
      this.#answer(task, output, { bytes: 0, packed: output === undefined ? undefined : packBatch(output) });
    } catch (error) {
      this.#answer(task, undefined, { bytes: 0, failed: errorText(error) });
    }
  }

  #tracerFor(task: Task): Tracer | undefined {
    return task.traces === undefined ? undefined : this.#tracer;
  }

  #answer(
    { task }: Task,
    output: LogBatch | undefined,
    { bytes, packed, failed }: { bytes: number; packed?: ArrayBuffer | undefined; failed?: string },
  ): void {
    // Entries that left are the main thread's from here on.
    output?.acknowledgement.release();
    const { held, freed } = this.#tracker?.settle(NOTHING) ?? NO_CHANGES;
    const count = output?.count ?? 0;
    const result: TaskResult = {
      task,
      count,
      bytes,
      packed,
      ...(output === undefined ? NO_STREAMS : this.#out.of(output.streams)),
      metadata: output?.metadata?.slice(0, count),
      held,
      freed,
      counts: this.#pipeline.takeCounts(),
      metrics: this.#metrics.take(),
      logs: this.#logs,
      traces: this.#traces,
      samples: this.#pipeline.takeSamples(),
      failed,
    };
    this.#logs = [];
    this.#traces = [];
    this.#post(result, packed === undefined ? undefined : [packed]);
  }
}

const NOTHING = new Uint8Array(0);

/** Counters that remember what they grew by. */
class ChangedCounter extends Counter {
  readonly #key: string;
  readonly #values: readonly string[];
  readonly #changed: ChangedCounter[];
  readonly #children = new Map<string, ChangedCounter>();

  constructor(key: string, values: readonly string[], changed: ChangedCounter[]) {
    super();
    this.#key = key;
    this.#values = values;
    this.#changed = changed;
  }

  override inc(by = 1): void {
    if (this.value === 0 && by > 0) this.#changed.push(this);
    this.value += by;
  }

  override labels(...values: string[]): ChangedCounter {
    const key = values.join("\xff");
    let child = this.#children.get(key);
    if (child === undefined) this.#children.set(key, (child = new ChangedCounter(this.#key, values, this.#changed)));
    return child;
  }

  take(): MetricChange {
    const by = this.value;
    this.value = 0;
    return [this.#key, this.#values, by];
  }
}

class MetricChanges {
  readonly instruments: InstrumentsOf<typeof PROCESS_METRICS>;
  readonly #changed: ChangedCounter[] = [];

  constructor() {
    const counters = Object.keys(PROCESS_METRICS).map((key) => [key, new ChangedCounter(key, [], this.#changed)]);
    this.instruments = Object.fromEntries(counters) as InstrumentsOf<typeof PROCESS_METRICS>;
  }

  take(): MetricChange[] {
    return this.#changed.splice(0).map((counter) => counter.take());
  }
}

/** Opens a pipeline in this thread. */
export const openPipeline: OpenChannel = (body, post) => new PipelineServer(body as PipelineSetup, post);
