import type { Filter } from "#base/filter";
import { wordPattern } from "#base/filter";
import type { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import { sliceable } from "#pipeline/log-batch";

/**
 * Finds the few entries of a fast stream that may hold a filter's longest word, without decoding lines: pieces of the
 * batch's bytes are searched as Latin-1, many lines at once, at more than 1 GB/s.
 */

/** Pieces of this size stay in the young generation; larger ones would cost the garbage collector more than the search. */
const PIECE_BYTES = 32 * 1024;
/** A larger hole between two lines (entries that were dropped) is not searched. */
const HOLE_BYTES = 1024;

/** Tells of entries in ascending order as long as `found` returns true; `goOn` is asked between pieces. */
export class LogSearch {
  readonly #pattern: RegExp;
  readonly #labelHits = new WeakMap<Labels, boolean>();
  readonly #word: RegExp;
  readonly #length: number;

  constructor(word: string, ascii: string) {
    this.#word = wordPattern(word);
    this.#pattern = new RegExp(wordPattern(ascii).source, "ig");
    this.#length = ascii.length;
  }

  /** The search that serves a filter: undefined if it has no word, or none with characters of ASCII. */
  static for(filter: Filter): LogSearch | undefined {
    let best: { word: string; ascii: string } | undefined;
    for (const term of filter.terms) {
      if (term.kind !== "word" || term.negated) continue;
      for (const [ascii] of term.word.matchAll(/[\0-\x7f]+/g)) {
        if (best === undefined || ascii.length > best.ascii.length) best = { word: term.word, ascii };
      }
    }
    return best === undefined ? undefined : new LogSearch(best.word, best.ascii);
  }

  /** Whether the lines alone decide: neither labels nor metadata could hold the word. */
  suits(batch: LogBatch): boolean {
    return batch.metadata === undefined && !batch.streams.some((labels) => this.#isIn(labels));
  }

  /** Calls `found` for each entry whose line may hold the word. Returns how many entries were searched. */
  run(batch: LogBatch, found: (entry: number) => boolean, goOn: () => boolean): number {
    const { start, end, count } = batch;
    const data = sliceable(batch.data);
    const pattern = this.#pattern;
    for (let first = 0; first < count; ) {
      if (!goOn()) return first;
      const from = start[first]!;
      let last = first;
      while (
        last + 1 < count &&
        start[last + 1]! >= end[last]! &&
        start[last + 1]! - end[last]! <= HOLE_BYTES &&
        end[last + 1]! - from <= PIECE_BYTES
      )
        last += 1;
      const piece = data.latin1Slice(from, end[last]!);
      let entry = first;
      pattern.lastIndex = 0;
      for (let hit = pattern.exec(piece); hit !== null; hit = pattern.exec(piece)) {
        const at = from + hit.index;
        while (entry <= last && end[entry]! < at + this.#length) entry += 1;
        if (entry > last) break;
        if (at < start[entry]!) {
          pattern.lastIndex = hit.index + 1; // in a hole, or across the border of two lines
          continue;
        }
        if (!found(entry)) return entry + 1;
        pattern.lastIndex = end[entry]! - from;
        entry += 1;
      }
      first = last + 1;
    }
    return count;
  }

  #isIn(labels: Labels): boolean {
    let hit = this.#labelHits.get(labels);
    if (hit === undefined) {
      hit = labels.flat.some((text, i) => i % 2 === 1 && this.#word.test(text));
      this.#labelHits.set(labels, hit);
    }
    return hit;
  }
}
