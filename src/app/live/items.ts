import type { Filter, Searchable } from "#base/filter";
import type { Labels } from "#base/labels";
import { type Batch, batchItems, type LogBatch, type MetricBatch, type OtlpBatch, SAMPLE_STALE } from "#pipeline/batch";
import { sliceable } from "#pipeline/log-batch";
import type { LiveItem } from "../api/json.ts";
import { ItemText, levelOf } from "./item-text.ts";
import type { LogSearch } from "./log-search.ts";
import { OtlpCursor } from "./otlp-items.ts";
import { isoTime, numberText, pairsOf, shownBytes } from "./shown.ts";

/** How much of a batch may be looked at, and what becomes of what is found. */
export interface Look {
  /** Items to show at most, 1 or more. */
  readonly most: number;
  /** The share of items to show, of those that match the filter if there is one. */
  readonly sample: number;
  readonly filter: Filter | undefined;
  readonly search: LogSearch | undefined;
  readonly random: () => number;
  /** Whether there is time left. Asked every few items. */
  goOn(): boolean;
  show(item: LiveItem): void;
}

/** With a filter, time is asked for after this many items. */
const ITEMS_PER_CHECK = 16;

/**
 * Looks at a batch within the limits and shows copies of what is wanted, since batches are lent. Without a filter the
 * items are taken from all over the batch. Returns how many items were looked at.
 */
export function lookAt(batch: Batch, look: Look): number {
  const count = batchItems(batch);
  if (look.filter === undefined) {
    const wanted = count * look.sample;
    const sampled = Math.floor(wanted) + (look.random() < wanted % 1 ? 1 : 0);
    const picks = Math.min(count, sampled, look.most);
    if (picks === 0) return 0;
    return batch.signal === "otlp" ? pickOtlp(batch, count, picks, look) : pick(batch, count, picks, look);
  }
  if (batch.signal === "otlp") return filterOtlp(batch, look, look.filter);
  if (batch.signal === "logs" && look.search?.suits(batch) === true) return searchLogs(batch, look, look.search);
  return filterAll(batch, count, look, look.filter);
}

/** An item out of part `n` of `picks` parts of about equal size. */
function pickIn(n: number, picks: number, count: number, random: () => number): number {
  const first = Math.floor((n * count) / picks);
  const after = Math.floor(((n + 1) * count) / picks);
  return first + Math.floor(random() * (after - first));
}

function pick(batch: Exclude<Batch, OtlpBatch>, count: number, picks: number, look: Look): number {
  for (let n = 0; n < picks; n++) {
    look.show(itemAt(batch, pickIn(n, picks, count, look.random)));
    if (!look.goOn()) return n + 1;
  }
  return picks;
}

function pickOtlp(batch: OtlpBatch, count: number, picks: number, look: Look): number {
  let shown = 0;
  let at = pickIn(0, picks, count, look.random);
  const cursor = new OtlpCursor(batch);
  cursor.walk(() => {
    while (shown < picks && at < cursor.ordinal + cursor.items) {
      look.show(cursor.item(at - cursor.ordinal));
      shown += 1;
      at = pickIn(shown, picks, count, look.random);
      if (!look.goOn()) return false;
    }
    return shown < picks;
  });
  return shown;
}

/** From anywhere to the end and from the start to there, so that what time does not suffice for is not always the same. */
function filterAll(batch: Exclude<Batch, OtlpBatch>, count: number, look: Look, filter: Filter): number {
  const first = batch.signal === "logs" ? 0 : Math.floor(look.random() * count);
  let shown = 0;
  for (let n = 0; n < count; n++) {
    const at = (first + n) % count;
    if (filter.matches(searchableAt(batch, at)) && (look.sample >= 1 || look.random() < look.sample)) {
      look.show(itemAt(batch, at));
      shown += 1;
      if (shown >= look.most) return n + 1;
    }
    if (n % ITEMS_PER_CHECK === 0 && !look.goOn()) return n + 1;
  }
  return count;
}

function searchLogs(batch: LogBatch, look: Look, search: LogSearch): number {
  let shown = 0;
  const found = (entry: number) => {
    const matches = look.filter!.matches(new LogText(batch, entry));
    if (matches && (look.sample >= 1 || look.random() < look.sample)) {
      look.show(logItem(batch, entry));
      shown += 1;
    }
    return shown < look.most && look.goOn();
  };
  return search.run(batch, found, () => look.goOn());
}

function filterOtlp(batch: OtlpBatch, look: Look, filter: Filter): number {
  const first = Math.floor(look.random() * batch.items);
  let looked = 0;
  let shown = 0;
  const cursor = new OtlpCursor(batch);
  /** Items from `from` to before `to`; false when there is no time left or enough was shown. */
  const visit = (from: number, to: number) => {
    let goesOn = true;
    cursor.walk(() => {
      for (let i = Math.max(0, from - cursor.ordinal); i < cursor.items && cursor.ordinal + i < to; i++) {
        const item = cursor.item(i);
        looked += 1;
        if (filter.matches(new ItemText(item)) && (look.sample >= 1 || look.random() < look.sample)) {
          look.show(item);
          shown += 1;
        }
        goesOn = shown < look.most && look.goOn();
        if (!goesOn) return false;
      }
      return cursor.ordinal + cursor.items < to;
    });
    return goesOn;
  };
  if (visit(first, Number.POSITIVE_INFINITY)) visit(0, first);
  return looked;
}

function itemAt(batch: Exclude<Batch, OtlpBatch>, at: number): LiveItem {
  switch (batch.signal) {
    case "logs":
      return logItem(batch, at);
    case "metrics":
      return sampleItem(batch, at, batch.registry.labels(batch.ref[at]!));
    case "profiles": {
      const { labels, pprof } = batch.profiles[at]!;
      return { type: "profile", labels: pairsOf(labels.flat), bytes: pprof.length };
    }
  }
}

function searchableAt(batch: Exclude<Batch, OtlpBatch>, at: number): Searchable {
  return batch.signal === "logs" ? new LogText(batch, at) : new ItemText(itemAt(batch, at));
}

function logItem(batch: LogBatch, at: number): LiveItem {
  return {
    type: "log",
    timestamp: isoTime(batch.ms[at]!, batch.ns[at]!),
    line: shownBytes(batch.data, batch.start[at]!, batch.end[at]!),
    labels: pairsOf(batch.streams[batch.stream[at]!]!.flat),
    metadata: pairsOf(batch.metadata?.[at] ?? []),
  };
}

function sampleItem(batch: MetricBatch, at: number, labels: Labels): LiveItem {
  return {
    type: "sample",
    timestamp: isoTime(batch.timestamp[at]!),
    labels: pairsOf(labels.flat),
    value: sampleValue(batch, at),
  };
}

function sampleValue(batch: MetricBatch, at: number): string {
  if (batch.flags[at]! & SAMPLE_STALE) return "stale";
  const histogram = batch.histograms?.find((each) => each.sample === at);
  if (histogram === undefined) return numberText(batch.value[at]!);
  return `count=${numberText(histogram.count)} sum=${numberText(histogram.sum)}`;
}

/** A log entry to look at, whose line is decoded only if somebody asks for it. */
class LogText implements Searchable {
  readonly #batch: LogBatch;
  readonly #at: number;
  readonly #labels: Labels;
  #line: string | undefined;

  constructor(batch: LogBatch, at: number) {
    this.#batch = batch;
    this.#at = at;
    this.#labels = batch.streams[batch.stream[at]!]!;
  }

  field(name: string): string | undefined {
    const given = this.#given(name);
    if (given !== undefined) return given;
    if (name === "line") return this.#text();
    if (name === "type") return "log";
    return name === "level" ? levelOf((other) => this.#given(other), this.#text()) : undefined;
  }

  contains(pattern: RegExp): boolean {
    return (
      pattern.test(this.#text()) ||
      hasValue(this.#labels.flat, pattern) ||
      hasValue(this.#batch.metadata?.[this.#at], pattern)
    );
  }

  #given(name: string): string | undefined {
    return this.#labels.get(name) ?? valueIn(this.#batch.metadata?.[this.#at], name);
  }

  #text(): string {
    const { data, start, end } = this.#batch;
    this.#line ??= sliceable(data).utf8Slice(start[this.#at]!, end[this.#at]!);
    return this.#line;
  }
}

function valueIn(flat: readonly string[] | undefined, name: string): string | undefined {
  if (flat === undefined) return undefined;
  for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return flat[i + 1];
  return undefined;
}

function hasValue(flat: readonly string[] | undefined, pattern: RegExp): boolean {
  if (flat === undefined) return false;
  for (let i = 1; i < flat.length; i += 2) if (pattern.test(flat[i]!)) return true;
  return false;
}
