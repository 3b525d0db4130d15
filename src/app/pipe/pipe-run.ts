import type { Batch, MetricBatch } from "#pipeline/batch";
import { logBatch } from "#pipeline/log-batch";
import type { EntryStateJson, PipedSampleJson, PipeEntryJson, PipeSampleJson } from "../api/json.ts";
import type { InputEntry } from "./input.ts";
import { entriesIn, entryJson, type PipeResult, samplesIn, tracedEntry } from "./results.ts";
import { Sandbox } from "./sandbox.ts";
import type { PipedSignal, PipeSubject } from "./subject.ts";

export interface PipeOptions {
  /** Whether to show what becomes of each item, rather than just what comes out. */
  readonly trace: boolean;
  /** Called again and again while the component works; throws to give up. */
  check(): void;
  /** Takes the results in the order in which they come. */
  show(result: PipeResult): void;
}

/** Items that are fed at once; with traces that is some milliseconds of work, and others wait no longer. */
const BATCH = 64;

/**
 * Feeds items to a copy of a component and shows what becomes of them. Components that know stages show the way of each
 * entry themselves; to all others items are fed one by one, so that it is known what became of which.
 */
export class PipeRun {
  readonly #subject: PipeSubject;
  readonly #options: PipeOptions;
  readonly #sandbox: Sandbox;
  /** Whether the component shows the way of its entries; not known before the first one. */
  #hasTraces: boolean | undefined;
  #entries: EntryStateJson[] = [];
  #samples: PipedSampleJson[] = [];
  #feeding = false;
  #finished = false;
  /** What `show` threw in the midst of the component's work, which must not be disturbed. */
  #problem: { readonly error: unknown } | undefined;
  received = 0;
  sent = 0;

  /** Throws what the component throws when it starts. */
  constructor(subject: PipeSubject, options: PipeOptions) {
    this.#subject = subject;
    this.#options = options;
    const { trace } = options;
    this.#sandbox = new Sandbox(subject, {
      batch: (batch) => this.#take(batch),
      trace: trace
        ? (way) => {
            this.#hasTraces = true;
            this.#show({ kind: "entry", entry: tracedEntry(way) });
          }
        : undefined,
    });
  }

  get signal(): PipeSubject["signal"] {
    return this.#subject.signal;
  }
  get clock(): Sandbox["clock"] {
    return this.#sandbox.clock;
  }
  get series(): Sandbox["series"] {
    return this.#sandbox.series;
  }
  /** Items dropped so far, by reason. */
  get dropped(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#sandbox.flow.dropped.get(this.#subject.signal) ?? []);
  }

  /** Feeds log entries. */
  async feed(entries: readonly InputEntry[]): Promise<void> {
    const { trace } = this.#options;
    for (let at = 0; at < entries.length; ) {
      const part = entries.slice(at, at + (trace && this.#hasTraces !== true ? 1 : BATCH));
      at += part.length;
      const before = this.dropped;
      await this.#feed(logBatch(part));
      if (!trace || this.#hasTraces === true) continue;
      this.#hasTraces = false;
      const line = Buffer.from(part[0]!.line).toString("utf8");
      this.#showStep(entryJson({ ...part[0]!, line }), before);
    }
  }

  /** Feeds samples. */
  async feedSamples(batch: MetricBatch): Promise<void> {
    const { trace } = this.#options;
    const size = trace ? 1 : BATCH;
    for (let at = 0; at < batch.count; at += size) {
      const part = partOf(batch, at, Math.min(at + size, batch.count));
      const [first] = samplesIn(part);
      const before = this.dropped;
      await this.#feed(part);
      if (!trace) continue;
      const [after = null, ...more] = this.#samples.splice(0);
      this.#show({ kind: "sample", sample: { before: first!, ...this.#outcome(after, before), after } });
      for (const each of more) this.#showSample(each);
    }
  }

  /** Has the component give what it keeps, and ends it. Safe to call again. */
  async finish(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    await this.#sandbox.finish();
    this.#throwProblem();
  }

  async #feed(batch: Batch<PipedSignal>): Promise<void> {
    const { check } = this.#options;
    check();
    this.received += batch.count;
    this.#feeding = true;
    try {
      await this.#sandbox.feed(batch, check);
    } finally {
      this.#feeding = false;
    }
    this.#throwProblem();
    // Others have their turn between batches, however many there are.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** What came out: shown at once, unless it has to be matched with what was fed. */
  #take(batch: Batch<PipedSignal>): void {
    this.sent += batch.count;
    const waits = this.#options.trace && this.#feeding;
    if (batch.signal === "metrics") {
      if (waits) this.#samples.push(...samplesIn(batch));
      else for (const sample of samplesIn(batch)) this.#showSample(sample);
    } else if (this.#hasTraces !== true) {
      if (waits) this.#entries.push(...entriesIn(batch));
      else for (const entry of entriesIn(batch)) this.#showEntry(entry);
    }
  }

  #showEntry(after: EntryStateJson): void {
    this.#show({ kind: "entry", entry: { before: null, steps: [], outcome: "passed", after } });
  }
  #showSample(after: PipedSampleJson): void {
    this.#show({ kind: "sample", sample: { before: null, outcome: "passed", reason: "", after } });
  }

  #show(result: PipeResult): void {
    if (this.#problem !== undefined) return;
    try {
      this.#options.show(result);
    } catch (error) {
      this.#problem = { error };
    }
  }
  #throwProblem(): void {
    if (this.#problem !== undefined) throw this.#problem.error;
  }

  /** The component as a single stage. */
  #showStep(before: EntryStateJson, dropped: Readonly<Record<string, number>>): void {
    const [after = null, ...more] = this.#entries.splice(0);
    const result = this.#outcome(after, dropped);
    const steps: PipeEntryJson["steps"] = [{ stage: this.#subject.definition.name, ...result, after }];
    this.#show({ kind: "entry", entry: { before, steps, outcome: result.outcome, after } });
    for (const each of more) this.#showEntry(each);
  }

  #outcome(after: unknown, dropped: Readonly<Record<string, number>>): Pick<PipeSampleJson, "outcome" | "reason"> {
    if (after !== null) return { outcome: "passed", reason: "" };
    const reasons = Object.entries(this.dropped).filter(([reason, count]) => count > (dropped[reason] ?? 0));
    return { outcome: reasons.length > 0 ? "dropped" : "kept", reason: reasons.map(([reason]) => reason).join(", ") };
  }
}

function partOf(batch: MetricBatch, from: number, to: number): MetricBatch {
  return {
    ...batch,
    count: to - from,
    ref: batch.ref.slice(from, to),
    timestamp: batch.timestamp.slice(from, to),
    value: batch.value.slice(from, to),
    flags: batch.flags.slice(from, to),
  };
}
