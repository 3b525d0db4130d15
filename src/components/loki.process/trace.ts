import type { EntryState, EntryStep, Tap } from "#pipeline/tap";
import type { Entry } from "./entry.ts";
import type { Stage, Tally } from "./stage.ts";

/** What is known of a stage beside what it does. */
export interface StageDetails {
  /** Its place and kind, such as `3.match.0.regex`. */
  readonly path: string;
  /** What it has dropped, for each of its reasons, … */
  readonly drops: readonly Tally[];
  /** … and what else it has counted, such as lines that it could not read. */
  readonly notes: readonly Tally[];
}

/** Stages one after the other, and what follows them. */
export interface TracedChain {
  readonly stages: readonly Stage[];
  /** One for each stage. */
  readonly details: readonly StageDetails[];
  run(entry: Entry, from: number): boolean;
  /** To be called for an entry that begins at a stage without `run`, … */
  entered(from: number): void;
  /** … and for one that ends in a stage. */
  left(entry: Entry, index: number): void;
  /** To be called for an entry that a stage emitted and that got through. */
  end(entry: Entry): void;
}

/** The way of one entry. */
interface Way {
  readonly entry: Entry;
  /** Undefined if nobody wants to see it. */
  readonly record: Recording | undefined;
}
interface Recording {
  readonly before: EntryState;
  readonly steps: EntryStep[];
  /** Paths of the `stage.match` whose inner stages it was given to. */
  readonly entered: Set<string>;
}

/**
 * Takes entries through stages one step at a time, for those who watch (`ctx.tap.watchTraces`), and shows what each stage
 * did. Entries that nobody wants to see take the fast way.
 *
 * An entry that a stage emits (`multiline`, `split_json`, parts of `cri`) has a trace of its own: it begins as it was
 * emitted, its first step names the stage that sent it, and the others are the stages behind that one.
 */
export class Tracer {
  readonly #tap: Pick<Tap, "wantsTrace" | "showTrace">;
  /** The entries on their way, the innermost last: a stage may emit entries while it has another one in hand. */
  readonly #ways: Way[] = [];

  constructor(tap: Pick<Tap, "wantsTrace" | "showTrace">) {
    this.#tap = tap;
  }

  /** Takes an entry that came in through all stages; true if it got through. */
  enter(entry: Entry, chain: TracedChain): boolean {
    if (!this.#tap.wantsTrace()) return chain.run(entry, 0);
    return this.#follow(entry, recording(entry), () => this.#run(entry, chain, 0));
  }

  /** Takes on an entry that the stage at `index` emits, or one that comes out of the stages inside of it. */
  emit(entry: Entry, chain: TracedChain, index: number): void {
    const goOn = () => {
      const passed = this.#run(entry, chain, index + 1);
      if (passed) chain.end(entry);
      return passed;
    };
    if (this.#ways.at(-1)?.entry === entry) {
      goOn();
      return;
    }
    const record = this.#tap.wantsTrace() ? recording(entry) : undefined;
    const reason = chain.stages[index]!.sent ?? "sent by this stage";
    record?.steps.push({ stage: chain.details[index]!.path, outcome: "passed", reason, after: record.before });
    this.#follow(entry, record, goOn);
  }

  /** Takes an entry through the stages inside of the `stage.match` at `path`; true if it got through. */
  inside(entry: Entry, chain: TracedChain, path: string): boolean {
    const record = this.#ways.at(-1)?.record;
    if (record !== undefined) {
      record.entered.add(path);
      record.steps.push({ stage: path, outcome: "passed", reason: "the selector matches", after: stateOf(entry) });
    }
    return this.#run(entry, chain, 0);
  }

  #follow(entry: Entry, record: Recording | undefined, go: () => boolean): boolean {
    this.#ways.push({ entry, record });
    try {
      return go();
    } finally {
      this.#ways.pop();
      if (record !== undefined) {
        const { before, steps } = record;
        this.#tap.showTrace({ before, steps, outcome: steps.at(-1)?.outcome ?? "passed" });
      }
    }
  }

  #run(entry: Entry, chain: TracedChain, from: number): boolean {
    const record = this.#ways.at(-1)?.record;
    if (record === undefined) return chain.run(entry, from);
    chain.entered(from);
    for (let i = from; i < chain.stages.length; i++) {
      const stage = chain.stages[i]!;
      const details = chain.details[i]!;
      const changed = changes(details);
      const passed = stage.process(entry);
      const { dropped, noted } = changed();
      if (!passed) chain.left(entry, i);
      // What happened inside of a match stands in the steps of its stages.
      if (record.entered.has(details.path)) {
        if (!passed) return false;
        continue;
      }
      if (passed) {
        const reason = [...noted, stage.explain?.(entry)].filter((each) => each !== undefined).join("; ");
        record.steps.push({
          stage: details.path,
          outcome: "passed",
          ...(reason !== "" && { reason }),
          after: stateOf(entry),
        });
        continue;
      }
      const reason = dropped ?? stage.kept ?? "kept by this stage";
      record.steps.push({ stage: details.path, outcome: dropped === undefined ? "kept" : "dropped", reason });
      return false;
    }
    return true;
  }
}

function recording(entry: Entry): Recording {
  return { before: stateOf(entry), steps: [], entered: new Set() };
}

/** Notes how the stage's tallies stand; what is returned tells which ones have changed since. */
function changes({
  drops,
  notes,
}: StageDetails): () => { readonly dropped: string | undefined; readonly noted: string[] } {
  const before = new Map([...drops, ...notes].map((tally) => [tally, tally.count]));
  const added = (tally: Tally) => tally.count > before.get(tally)!;
  return () => ({ dropped: drops.find(added)?.text, noted: notes.filter(added).map((tally) => tally.text) });
}

function stateOf(entry: Entry): EntryState {
  return {
    line: entry.line,
    labels: entry.labels.flat,
    metadata: entry.metadata ?? [],
    ms: entry.ms,
    ns: entry.ns,
    extracted: [...entry.peek()],
  };
}
