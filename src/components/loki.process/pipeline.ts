import type { Labels } from "#base/labels";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import type { Judgement } from "#pipeline/flow";
import { Entry, LineStore, SlotTable } from "./entry.ts";
import { TextInterner } from "./interner.ts";
import { type CountedChain, MatchRatios } from "./match-ratio.ts";
import type { EntryTracker } from "./remote-held.ts";
import { BatchSink, TimerSink } from "./sink.ts";
import { type Stage, type StageContext, type StageEnvironment, StageError, Tally } from "./stage.ts";
import { buildStage, type StageConfig } from "./stages.ts";
import type { StageDetails, TracedChain, Tracer } from "./trace.ts";

const NOTHING = new Uint8Array(0);
/** That some lines cannot be read is said this often; that hardly any can is the flow status's business. */
const REPORT_INTERVAL_MS = 10 * 60_000;
/** Under this reason lines are dropped that a stage cannot read. */
const MALFORMED = "json_malformed";

/** How a pipeline differs from one that does all of a component's work. */
export interface PipelineOptions {
  /** Finds out which entries are held back. */
  readonly tracker?: EntryTracker | undefined;
  /** Whether what is counted is left for `takeCounts`: another pipeline of the same stages reports it. */
  readonly countsForAnother?: boolean;
}

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
  readonly #ratios: MatchRatios;
  readonly #chain: Chain;
  readonly #entry: Entry;
  readonly #batchSink: BatchSink;
  readonly #seeder: LabelSeeder;
  readonly #interner = new TextInterner();
  #sink: { push(entry: Entry): void };
  /** References that dropped entries held. */
  readonly #ended: Acknowledgement[] = [];
  #tracer: Tracer | undefined;
  #delayMs = 0;
  readonly #tracker: EntryTracker | undefined;
  /** What was counted since the last `takeCounts`: all tallies, then how many lines came to each stage that is judged. */
  readonly #counts: number[] | undefined;

  /** Throws StageError for what the schema could not judge. */
  constructor(configs: readonly StageConfig[], environment: StageEnvironment, options: PipelineOptions = {}) {
    this.#environment = environment;
    this.#tracker = options.tracker;
    this.#ratios = new MatchRatios(environment.clock, environment.metrics.stageLines);
    this.#batchSink = new BatchSink(this.#store);
    this.#sink = this.#batchSink;
    this.#entry = this.#newEntry();
    this.#seeder = new LabelSeeder(this.#slots);
    this.#chain = this.#build(configs, "", (entry) => this.#sink.push(entry));
    for (const entry of this.#entries) entry.seal();
    if (options.countsForAnother) this.#counts = new Array(this.#tallies.length + this.#ratios.size).fill(0);
  }

  /** Whether some stage keeps entries, so that `flush` has to be called from time to time. */
  get keepsEntries(): boolean {
    return this.#chain.keepsEntries;
  }

  /**
   * Runs a batch through the stages. The batch's columns are changed; what is returned is a batch over them with its own
   * acknowledgement, which takes the place of the given one. `count` may be 0: then the caller releases.
   * With a tracer the same comes out, and the tracer shows how. What `data` has behind `dataLength` may be written to.
   */
  apply(input: LogBatch, tracer?: Tracer, dataLength = input.data.length): LogBatch {
    const batch: LogBatch = { ...input };
    this.#trace(tracer);
    const entry = this.#entry;
    const sink = this.#batchSink;
    const tracker = this.#tracker;
    this.#sink = sink;
    this.#store.reset(batch.data, dataLength);
    sink.begin(batch);
    const { streams, metadata, acknowledgement } = batch;
    for (; sink.reading < sink.limit; sink.reading++) {
      const i = sink.reading;
      entry.begin(batch.start[i]!, batch.end[i]!);
      entry.labels = streams[batch.stream[i]!]!;
      entry.ms = batch.ms[i]!;
      entry.ns = batch.ns[i]!;
      entry.metadata = metadata === undefined ? undefined : batch.metadata![i];
      entry.acknowledgement = tracker === undefined ? acknowledgement : tracker.of(i, entry);
      this.#seeder.seed(entry);
      if (tracer === undefined ? this.#chain.run(entry, 0) : tracer.enter(entry, this.#chain)) sink.push(entry);
    }
    this.#count();
    tracker?.carried(sink.held);
    const output = sink.finish();
    this.#release();
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
  flush(all: boolean, tracer?: Tracer): LogBatch | undefined {
    const sink = new TimerSink();
    this.#trace(tracer);
    this.#store.reset(NOTHING);
    this.#sink = sink;
    this.#chain.flush(all);
    this.#count();
    this.#tracker?.carried(sink.held);
    this.#release();
    return sink.finish();
  }

  /** What was counted since the last time, for `addCounts` of a pipeline of the same stages; undefined for nothing. */
  takeCounts(): readonly number[] | undefined {
    const counts = this.#counts!;
    if (counts.every((count) => count === 0)) return undefined;
    const taken = [...counts];
    counts.fill(0);
    return taken;
  }

  /** Reports what another pipeline of the same stages has counted, as if it had been counted here. */
  addCounts(counts: readonly number[]): void {
    for (const [i, tally] of this.#tallies.entries()) tally.add(counts[i]!);
    this.#ratios.give(counts, this.#tallies.length);
    for (const tally of this.#tallies) tally.flush();
  }

  /** The stages that can hardly read a line, of which `judge` wants to see one, by their numbers. */
  get samplesWanted(): readonly number[] {
    return this.#ratios.samplesWanted;
  }
  /** Looks for a line that stage `number` cannot read, for another pipeline. */
  sample(number: number): void {
    this.#ratios.sample(number);
  }
  /** The lines that were found since the last time. */
  takeSamples(): readonly (readonly [number: number, line: string])[] {
    return this.#ratios.takeSamples();
  }
  giveSample(number: number, line: string): void {
    this.#ratios.giveSample(number, line);
  }

  /** What the status has to say of stages that can hardly read a line. */
  judge(): Judgement {
    return this.#ratios.judge();
  }

  close(): void {
    this.#chain.close();
  }

  #count(): void {
    const counts = this.#counts;
    if (counts !== undefined) {
      this.#ratios.takeInto(counts, this.#tallies.length);
      for (const [i, tally] of this.#tallies.entries()) counts[i]! += tally.take();
      return;
    }
    this.#ratios.take();
    for (const tally of this.#tallies) tally.flush();
  }

  /** Traces from now on, or not. A trace shows all extracted values, also those that no stage looks at. */
  #trace(tracer: Tracer | undefined): void {
    if ((this.#tracer === undefined) !== (tracer === undefined) && !this.#slots.keepsAll) {
      for (const entry of this.#entries) entry.keepAll(tracer !== undefined);
    }
    this.#tracer = tracer;
  }

  /** Dropped entries that hold references of earlier batches let go of them. */
  #release(): void {
    for (const each of this.#ended.splice(0)) each.release();
  }

  #newEntry(): Entry {
    const entry = new Entry(this.#slots, this.#store, this.#interner);
    this.#entries.push(entry);
    return entry;
  }

  #build(configs: readonly StageConfig[], prefix: string, end: (entry: Entry) => void): Chain {
    const chain = new Chain(end, this.#ended);
    for (const [index, config] of configs.entries()) {
      const path = `${prefix}${index}.${config.kind}`;
      const drops: Tally[] = [];
      const notes: Tally[] = [];
      const context: StageContext = {
        ...this.#environment,
        slots: this.#slots,
        path,
        drop: (reason, because) => {
          const tally = added(drops, this.#dropTally(reason, because));
          if (reason === MALFORMED)
            this.#ratios.watch(chain, index, path, "are not JSON objects and are dropped", tally);
          return tally;
        },
        unmatched: (what, because) => {
          const tally = added(notes, this.#unmatchedTally(path, what, because));
          this.#ratios.watch(chain, index, path, what, tally);
          return tally;
        },
        note: (text) => added(notes, new Tally(text)),
        emit: (entry) => {
          if (this.#tracer === undefined) chain.continue(entry, index + 1);
          else this.#tracer.emit(entry, chain, index);
        },
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
            return this.#tracer === undefined ? sub.run(entry, 0) : this.#tracer.inside(entry, sub, path);
          },
          flush: (all) => sub.flush(all),
          close: () => sub.close(),
        };
      };
      try {
        chain.add(buildStage(config, context, nested), { path, drops, notes });
      } catch (cause) {
        if (cause instanceof StageError) throw new StageError(`stage ${path}: ${cause.message}`, { cause });
        throw cause;
      }
    }
    return chain;
  }

  #dropTally(reason: string, because: string): Tally {
    const { metrics, dropped } = this.#environment;
    const text = `${reason}: ${because}`;
    return added(this.#tallies, new Tally(text, metrics.dropped.labels(reason), (count) => dropped(reason, count)));
  }

  #unmatchedTally(path: string, what: string, because: string): Tally {
    const { metrics, log, clock } = this.#environment;
    let reported = Number.NEGATIVE_INFINITY;
    let since = 0;
    const tally = new Tally(`no match: ${because}`, metrics.unmatched.labels(path), (count) => {
      since += count;
      if (clock.monotonic() - reported < REPORT_INTERVAL_MS) return;
      reported = clock.monotonic();
      log.info(`lines ${what} and were passed on unchanged`, { stage: path, lines: since });
      since = 0;
    });
    return added(this.#tallies, tally);
  }
}

function added(tallies: Tally[], tally: Tally): Tally {
  tallies.push(tally);
  return tally;
}

/** The stages inside a `stage.match`. */
export interface NestedStages {
  readonly keepsEntries: boolean;
  run(entry: Entry): boolean;
  flush(all: boolean): void;
  close(): void;
}

class Chain implements TracedChain, CountedChain {
  readonly stages: Stage[] = [];
  readonly details: StageDetails[] = [];
  runs = 0;
  /** One more than there are stages: the last stage may emit entries too. */
  readonly resumed: number[] = [0];
  readonly ended: number[] = [];
  readonly end: (entry: Entry) => void;
  readonly #ended: Acknowledgement[];

  constructor(end: (entry: Entry) => void, ended: Acknowledgement[]) {
    this.end = end;
    this.#ended = ended;
  }

  add(stage: Stage, details: StageDetails): void {
    this.stages.push(stage);
    this.details.push(details);
    this.resumed.push(0);
    this.ended.push(0);
  }

  /** Runs the stages from `from` on; true if the entry got through. */
  run(entry: Entry, from: number): boolean {
    const { stages } = this;
    this.entered(from);
    for (let i = from; i < stages.length; i++) {
      if (stages[i]!.process(entry)) continue;
      this.left(entry, i);
      return false;
    }
    return true;
  }

  entered(from: number): void {
    if (from === 0) this.runs += 1;
    else this.resumed[from]! += 1;
  }

  /** What still has references when it ends is dropped, not kept. */
  left(entry: Entry, index: number): void {
    this.ended[index]! += 1;
    if (entry.held === undefined) return;
    this.#ended.push(...entry.held);
    entry.held = undefined;
  }

  continue(entry: Entry, from: number): void {
    if (this.run(entry, from)) this.end(entry);
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
    if (this.#slots.names.length === 0 && entry.extra === undefined) return;
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
