import type { PageExemplar } from "#formats/exposition/columns";
import type { Exemplar } from "#pipeline/batch";
import type { SeriesRef } from "#pipeline/series";

/** The exemplar of a series that was handed on last. */
interface Last {
  readonly exemplar: Exemplar;
  /** Whether the page gave its time. */
  readonly isTimed: boolean;
}

/**
 * Hands on each exemplar of a target once: pages show the same ones until there are others. Matches the order of
 * Prometheus's scrape loop and what Alloy's write-ahead log (internal/static/metrics/wal/wal.go, AppendExemplar) drops:
 * what equals the last one of its series, and what is older.
 */
export class ScrapeExemplars {
  readonly #last = new Map<SeriesRef, Last>();
  /** Since `begin`: exemplars whose labels break the rules, and those of series all of whose exemplars were too old. */
  invalid = 0;
  outOfOrder = 0;

  /** A page begins. */
  begin(): void {
    this.invalid = 0;
    this.outOfOrder = 0;
  }

  /** Adds to `kept` what is new among the exemplars of one sample, which is at `time` and at the index `sample` of its batch. */
  add(kept: Exemplar[], candidates: readonly PageExemplar[], ref: SeriesRef, sample: number, time: number): void {
    const timed: Last[] = [];
    for (const { labels, value, timestamp } of candidates) {
      if (labels === undefined) this.invalid += 1;
      else {
        const isTimed = !Number.isNaN(timestamp);
        timed.push({ exemplar: { sample, labels, value, timestamp: isTimed ? timestamp : time }, isTimed });
      }
    }
    if (timed.length > 1) timed.sort((a, b) => compare(a.exemplar, b.exemplar));
    let last = this.#last.get(ref);
    let older = 0;
    for (const each of timed) {
      if (last !== undefined) {
        if (equals(each, last)) continue;
        if (each.exemplar.timestamp < last.exemplar.timestamp) {
          older += 1;
          continue;
        }
      }
      kept.push(each.exemplar);
      last = each;
    }
    if (older > 0 && older === timed.length) this.outOfOrder += older;
    if (last !== undefined) this.#last.set(ref, last);
  }

  forget(ref: SeriesRef): void {
    this.#last.delete(ref);
  }
}

/** Of exemplars without times of their own, the times do not count. */
function equals(a: Last, b: Last): boolean {
  if (a.exemplar.value !== b.exemplar.value) return false;
  if ((a.isTimed || b.isTimed) && a.exemplar.timestamp !== b.exemplar.timestamp) return false;
  return a.exemplar.labels.equals(b.exemplar.labels);
}

function compare(a: Exemplar, b: Exemplar): number {
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp;
  if (a.value !== b.value) return a.value - b.value;
  const [first, second] = [a.labels.toString(), b.labels.toString()];
  return first < second ? -1 : first > second ? 1 : 0;
}
