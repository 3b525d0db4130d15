import type { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import { Entry, LineStore, SlotTable } from "./entry.ts";
import { TextInterner } from "./interner.ts";
import { BatchSink, TimerSink } from "./sink.ts";
import { type Stage, type StageContext, type StageEnvironment, StageError, Tally } from "./stage.ts";
import { buildStage, type StageConfig } from "./stages.ts";

const NOTHING = new Uint8Array(0);
const REPORT_INTERVAL_MS = 60_000;

/**
 * The stages of one loki.process, with the semantics of Alloy's internal/component/loki/process/stages: every entry goes
 * through all stages in order, with a map of extracted values that begins with the entry's labels.
 *
 * A batch is changed in place: one entry object is filled from the columns, runs through the stages and is written back.
 * Nothing here waits; what a stage keeps for later it emits with a later batch or when `flush` is called.
 */
export class Pipeline {
  readonly #environment: StageEnvironment;
  readonly #slots = new SlotTable();
  readonly #store = new LineStore();
  readonly #entries: Entry[] = [];
  readonly #tallies: Tally[] = [];
  readonly #chain: Chain;
  readonly #entry: Entry;
  readonly #batchSink: BatchSink;
  readonly #seeder: LabelSeeder;
  readonly #interner = new TextInterner();
  #sink: { push(entry: Entry): void };
  #delayMs = 0;

  /** Throws StageError for what the schema could not judge. */
  constructor(configs: readonly StageConfig[], environment: StageEnvironment) {
    this.#environment = environment;
    this.#batchSink = new BatchSink(this.#store);
    this.#sink = this.#batchSink;
    this.#entry = this.#newEntry();
    this.#seeder = new LabelSeeder(this.#slots);
    this.#chain = this.#build(configs, "", (entry) => this.#sink.push(entry));
    for (const entry of this.#entries) entry.seal();
  }

  /** Whether some stage keeps entries, so that `flush` has to be called from time to time. */
  get keepsEntries(): boolean {
    return this.#chain.keepsEntries;
  }

  /**
   * Runs a batch through the stages. The batch's columns are changed; what is returned is a batch over them with its own
   * acknowledgement, which takes the place of the given one. `count` may be 0: then the caller releases.
   */
  apply(input: LogBatch): LogBatch {
    const batch: LogBatch = { ...input };
    const entry = this.#entry;
    const sink = this.#batchSink;
    this.#sink = sink;
    this.#store.reset(batch.data);
    sink.begin(batch);
    const { streams, metadata, acknowledgement } = batch;
    for (; sink.reading < sink.limit; sink.reading++) {
      const i = sink.reading;
      entry.begin(batch.start[i]!, batch.end[i]!);
      entry.labels = streams[batch.stream[i]!]!;
      entry.ms = batch.ms[i]!;
      entry.ns = batch.ns[i]!;
      entry.metadata = metadata === undefined ? undefined : batch.metadata![i];
      entry.acknowledgement = acknowledgement;
      this.#seeder.seed(entry);
      if (this.#chain.run(entry, 0)) sink.push(entry);
    }
    for (const tally of this.#tallies) tally.flush();
    const output = sink.finish();
    this.#store.reset(NOTHING); // the data are the batch's now
    return output;
  }

  /** Takes back the memory of a batch from `apply(input)` that all consumers are done with. */
  recycle(batch: LogBatch, input: LogBatch): void {
    if (batch.data !== input.data) this.#store.recycle(batch.data);
  }

  /** How long the batch that was applied last must wait before it is handed on (`stage.limit`), in milliseconds. */
  takeDelay(): number {
    const delay = this.#delayMs;
    this.#delayMs = 0;
    return delay;
  }

  /** What stages kept for long enough (or all that they can give), as a batch of its own. */
  flush(all: boolean): LogBatch | undefined {
    const sink = new TimerSink();
    this.#store.reset(NOTHING);
    this.#sink = sink;
    this.#chain.flush(all);
    for (const tally of this.#tallies) tally.flush();
    return sink.finish();
  }

  close(): void {
    this.#chain.close();
  }

  #newEntry(): Entry {
    const entry = new Entry(this.#slots, this.#store, this.#interner);
    this.#entries.push(entry);
    return entry;
  }

  #build(configs: readonly StageConfig[], prefix: string, end: (entry: Entry) => void): Chain {
    const chain = new Chain(end);
    for (const [index, config] of configs.entries()) {
      const path = `${prefix}${index}.${config.kind}`;
      const context: StageContext = {
        ...this.#environment,
        slots: this.#slots,
        path,
        drop: (reason) => this.#dropTally(reason),
        unmatched: (what) => this.#unmatchedTally(path, what),
        emit: (entry) => chain.continue(entry, index + 1),
        spare: () => this.#newEntry(),
        delay: (ms) => {
          this.#delayMs = Math.max(this.#delayMs, ms);
        },
      };
      const nested = (inner: readonly StageConfig[]): NestedStages => {
        const sub = this.#build(inner, `${path}.`, context.emit);
        return {
          keepsEntries: sub.keepsEntries,
          run: (entry) => {
            // As in Alloy, the labels as they are now become extracted values again.
            this.#seeder.seed(entry);
            return sub.run(entry, 0);
          },
          flush: (all) => sub.flush(all),
          close: () => sub.close(),
        };
      };
      try {
        chain.stages.push(buildStage(config, context, nested));
      } catch (cause) {
        if (cause instanceof StageError) throw new StageError(`stage ${path}: ${cause.message}`, { cause });
        throw cause;
      }
    }
    return chain;
  }

  #dropTally(reason: string): Tally {
    const { metrics, dropped } = this.#environment;
    const tally = new Tally(metrics.dropped.labels(reason), (count) => dropped(reason, count));
    this.#tallies.push(tally);
    return tally;
  }

  #unmatchedTally(path: string, what: string): Tally {
    const { metrics, log, clock } = this.#environment;
    let reported = Number.NEGATIVE_INFINITY;
    let since = 0;
    const tally = new Tally(metrics.unmatched.labels(path), (count) => {
      since += count;
      if (clock.monotonic() - reported < REPORT_INTERVAL_MS) return;
      reported = clock.monotonic();
      log.warn(`lines ${what} and were passed on unchanged`, { stage: path, lines: since });
      since = 0;
    });
    this.#tallies.push(tally);
    return tally;
  }
}

/** The stages inside a `stage.match`. */
export interface NestedStages {
  readonly keepsEntries: boolean;
  run(entry: Entry): boolean;
  flush(all: boolean): void;
  close(): void;
}

class Chain {
  readonly stages: Stage[] = [];
  readonly #end: (entry: Entry) => void;

  constructor(end: (entry: Entry) => void) {
    this.#end = end;
  }

  /** Runs the stages from `from` on; true if the entry got through. */
  run(entry: Entry, from: number): boolean {
    const { stages } = this;
    for (let i = from; i < stages.length; i++) if (!stages[i]!.process(entry)) return false;
    return true;
  }

  continue(entry: Entry, from: number): void {
    if (this.run(entry, from)) this.#end(entry);
  }

  get keepsEntries(): boolean {
    return this.stages.some((stage) => stage.flush !== undefined);
  }
  flush(all: boolean): void {
    for (const stage of this.stages) stage.flush?.(all);
  }
  close(): void {
    for (const stage of this.stages) stage.close?.();
  }
}

/** Makes an entry's labels extracted values, of those names that some stage looks at. */
class LabelSeeder {
  readonly #slots: SlotTable;
  #labels: Labels | undefined;
  #seeded: number[] = [];
  #values: string[] = [];

  constructor(slots: SlotTable) {
    this.#slots = slots;
  }

  seed(entry: Entry): void {
    if (this.#slots.names.length === 0 && !this.#slots.keepsAll) return;
    const { labels } = entry;
    if (labels !== this.#labels) this.#learn(labels);
    for (let i = 0; i < this.#seeded.length; i++) entry.setText(this.#seeded[i]!, this.#values[i]!);
    if (entry.extra !== undefined) {
      for (const [name, value] of labels) if (this.#slots.find(name) === undefined) entry.extra.set(name, value);
    }
  }

  #learn(labels: Labels): void {
    this.#labels = labels;
    this.#seeded = [];
    this.#values = [];
    const { flat } = labels;
    for (let i = 0; i < flat.length; i += 2) {
      const slot = this.#slots.find(flat[i]!);
      if (slot === undefined) continue;
      this.#seeded.push(slot);
      this.#values.push(flat[i + 1]!);
    }
  }
}
