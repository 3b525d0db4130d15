import type { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { Entry } from "./entry.ts";

/** An entry as it came in that a stage still holds: with it the stage's state can be made again. */
export interface HeldLine {
  readonly labels: Labels;
  readonly ms: number;
  readonly ns: number;
  readonly metadata: readonly string[] | undefined;
  readonly line: Uint8Array;
  /** One reference of it is held. */
  readonly acknowledgement: Acknowledgement;
}

/** The acknowledgement of one entry: what stages retain shows which entries they hold back. */
class EntryReference extends Acknowledgement {
  readonly batch: number;
  readonly #tracker: EntryTracker;
  readonly source: Acknowledgement;
  index = 0;
  labels!: Labels;
  ms = 0;
  ns = 0;
  start = 0;
  end = 0;
  metadata: readonly string[] | undefined;
  line: Uint8Array | undefined;
  #references = 0;
  /** Of these references, those that belong to entries which left the pipeline. */
  #carried = 0;

  constructor(batch: number, source: Acknowledgement, tracker: EntryTracker) {
    super(() => {});
    this.batch = batch;
    this.source = source;
    this.#tracker = tracker;
  }

  get isHeld(): boolean {
    return this.#references > this.#carried;
  }

  override retain(count = 1): void {
    if (this.#references === 0) {
      this.source.retain();
      this.#tracker.retained(this);
    }
    this.#references += count;
  }

  override release(): void {
    this.#references -= 1;
    if (this.#carried > 0) this.#carried -= 1;
    this.#tracker.changed(this);
    if (this.#references === 0) this.source.release();
  }

  carry(): void {
    this.#carried += 1;
    this.#tracker.changed(this);
  }
}

/** What changed between two batches. */
export interface HeldChanges {
  /** Indices of the last batch's entries that stages hold now. */
  readonly held: number[];
  /** Entries of earlier batches that they no longer hold: batch, index, batch, index … */
  readonly freed: number[];
}

/**
 * Knows which of the entries that came into a pipeline its stages hold back (`multiline`, `cri`). Where `keepsLines`, it
 * has copies of their lines; otherwise whoever has the batches copies them.
 */
export class EntryTracker {
  readonly #keepsLines: boolean;
  readonly #live = new Set<EntryReference>();
  #batch = 0;
  #source = Acknowledgement.none;
  #next: EntryReference | undefined;
  #fresh: EntryReference[] = [];
  readonly #changed = new Set<EntryReference>();

  constructor(keepsLines: boolean) {
    this.#keepsLines = keepsLines;
  }

  /** Begins a batch under a number. */
  begin(batch: number, source: Acknowledgement): void {
    this.#batch = batch;
    this.#source = source;
    this.#next = undefined;
    this.#fresh = [];
  }

  /** The acknowledgement for the entry that begins now. */
  of(index: number, entry: Entry): Acknowledgement {
    const reference = (this.#next ??= new EntryReference(this.#batch, this.#source, this));
    reference.index = index;
    reference.labels = entry.labels;
    reference.ms = entry.ms;
    reference.ns = entry.ns;
    reference.start = entry.start;
    reference.end = entry.end;
    reference.metadata = entry.metadata;
    return reference;
  }

  retained(reference: EntryReference): void {
    if (reference !== this.#next) return;
    this.#next = undefined;
    this.#fresh.push(reference);
  }
  changed(reference: EntryReference): void {
    if (this.#live.has(reference)) this.#changed.add(reference);
  }

  /** Told of the references that entries take with them as they leave. */
  carried(references: readonly Acknowledgement[]): void {
    for (const each of references) if (each instanceof EntryReference) each.carry();
  }

  /** To be called when a batch, whose lines are in `data`, or a flush is done. */
  settle(data: Uint8Array): HeldChanges {
    const held: number[] = [];
    const freed: number[] = [];
    for (const each of this.#changed) {
      if (each.isHeld) continue;
      this.#live.delete(each);
      freed.push(each.batch, each.index);
    }
    this.#changed.clear();
    for (const each of this.#fresh) {
      if (!each.isHeld) continue;
      if (this.#keepsLines) each.line = new Uint8Array(data.subarray(each.start, each.end));
      this.#live.add(each);
      held.push(each.index);
    }
    this.#fresh = [];
    return { held, freed };
  }

  /** What is held, in the order in which it came, with a reference of each. The pipeline must not be used any more. */
  take(): HeldLine[] {
    const lines: HeldLine[] = [];
    for (const { labels, ms, ns, metadata, line, source } of this.#live) {
      lines.push({ labels, ms, ns, metadata, line: line!, acknowledgement: source });
    }
    this.#live.clear();
    return lines;
  }
}
