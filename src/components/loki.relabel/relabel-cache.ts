import type { Labels } from "#base/labels";
import type { RelabelRules } from "#kits/relabel";
import type { LogBatch } from "#pipeline/batch";

/** Relabels batches, and remembers the label sets it made most recently: null for those that the rules drop. */
export class RelabelCache {
  readonly #rules: RelabelRules;
  readonly #limit: number;
  /** By the text of the label set, which the set keeps; the longest unused first. */
  readonly #known = new Map<string, Labels | null>();

  constructor(rules: RelabelRules, limit: number) {
    this.#rules = rules;
    this.#limit = limit;
  }

  get size(): number {
    return this.#known.size;
  }

  /**
   * Gives the batch the new labels and takes out the entries that the rules drop. Returns how many label sets were not
   * known, and one of the streams that were dropped.
   */
  relabel(batch: LogBatch): { readonly misses: number; readonly dropped: number | undefined } {
    const { stream, streams, count } = batch;
    const relabelled: (Labels | null | undefined)[] = new Array(streams.length);
    let misses = 0;
    let dropped: number | undefined;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const id = stream[i]!;
      let labels = relabelled[id];
      if (labels === undefined) {
        labels = this.#recall(streams[id]!);
        if (labels === undefined) {
          misses += 1;
          labels = this.#learn(streams[id]!);
        }
        relabelled[id] = labels;
        if (labels === null) dropped = id;
      }
      if (labels === null) continue;
      if (kept < i) moveEntry(batch, i, kept);
      kept += 1;
    }
    batch.count = kept;
    batch.streams = streams.map((labels, id) => relabelled[id] ?? labels);
    return { misses, dropped };
  }

  #recall(labels: Labels): Labels | null | undefined {
    const key = labels.toString();
    const known = this.#known.get(key);
    if (known === undefined) return undefined;
    this.#known.delete(key);
    this.#known.set(key, known);
    return known;
  }

  #learn(labels: Labels): Labels | null {
    const result = this.#rules.apply(labels) ?? null;
    if (this.#known.size >= this.#limit) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(labels.toString(), result);
    return result;
  }
}

function moveEntry(batch: LogBatch, from: number, to: number): void {
  batch.start[to] = batch.start[from]!;
  batch.end[to] = batch.end[from]!;
  batch.ms[to] = batch.ms[from]!;
  batch.ns[to] = batch.ns[from]!;
  batch.stream[to] = batch.stream[from]!;
  if (batch.metadata !== undefined) batch.metadata[to] = batch.metadata[from];
}
