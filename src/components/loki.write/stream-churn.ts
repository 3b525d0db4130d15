import type { Labels } from "#base/labels";
import type { Counter, Gauge } from "#base/metrics";
import { DistinctSketch } from "#kits/distinct-sketch";
import type { Judgement } from "#pipeline/flow";
import { hashText } from "./streams.ts";

const WINDOW_MS = 5 * 60_000;
/** New streams in a window of which Loki's owner will want to know. */
const MANY_STREAMS = 5_000;
/** In the first window every stream is new, and a large fleet has many. */
const MANY_AT_FIRST = 20_000;
/** So many are too many whatever they come from. */
const TOO_MANY_STREAMS = 50_000;
/** A label that has another value in so many of the new streams is what makes them. */
const CULPRIT_SHARE = 0.8;
const SHOWN_LABELS = 10;
const METRIC_INTERVAL_MS = 10_000;
/** Label names beyond these are not looked at. */
const MAX_LABELS = 64;
/** The filter of known streams: 64 KiB, with one bit for a stream. */
const FILTER_BITS = 19;

const NOTHING = new DistinctSketch();

/** What a window of time brought. */
interface Window {
  streams: number;
  readonly labels: Map<string, DistinctSketch>;
}

/**
 * Counts new streams and the values of their labels: a label with a request's id makes a stream of every line. Works only
 * for streams that the table of streams does not know, in bounded memory.
 */
export class StreamChurn {
  readonly #metrics: { readonly newStreams: Counter; readonly labelValues: Gauge };
  /** Streams of this window and of the one before; made with the first stream. */
  #filter: Uint32Array | undefined;
  #before: Uint32Array | undefined;
  #current: Window = { streams: 0, labels: new Map() };
  #last: Window = { streams: 0, labels: new Map() };
  #begin: number;
  #limit = MANY_AT_FIRST;
  #lastLimit = MANY_AT_FIRST;
  #counted = 0;
  #shown: readonly string[] = [];
  #shownAt = -Infinity;

  constructor(metrics: { readonly newStreams: Counter; readonly labelValues: Gauge }, now: number) {
    this.#metrics = metrics;
    this.#begin = now;
  }

  /** Takes a stream that may be new. `hash` is of its labels. */
  add(labels: Labels, hash: number): void {
    this.#filter ??= new Uint32Array(1 << (FILTER_BITS - 5));
    const bit = spread(hash) >>> (32 - FILTER_BITS);
    const word = bit >>> 5;
    const mask = 1 << (bit & 31);
    if ((this.#filter[word]! & mask) !== 0) return;
    this.#filter[word]! |= mask;
    if (this.#before !== undefined && (this.#before[word]! & mask) !== 0) return;
    const window = this.#current;
    window.streams += 1;
    for (const [name, value] of labels) {
      let values = window.labels.get(name);
      if (values === undefined) {
        if (window.labels.size >= MAX_LABELS) continue;
        window.labels.set(name, (values = new DistinctSketch()));
      }
      values.add(spread(hashText(value)));
    }
  }

  /** All streams will come as new ones: their table begins anew. */
  expectAll(): void {
    this.#limit = MANY_AT_FIRST;
  }

  /** What the present window shows, or else the one before it. */
  judge(now: number): Judgement {
    if (now - this.#begin >= WINDOW_MS) this.#turn(now);
    this.#count(now);
    return judgeWindow(this.#current, this.#limit) ?? judgeWindow(this.#last, this.#lastLimit);
  }

  #turn(now: number): void {
    const before = this.#before ?? (this.#filter && new Uint32Array(this.#filter.length));
    this.#before = this.#filter;
    this.#filter = before?.fill(0);
    // After a longer time without a look the window before is long ago.
    this.#last = now - this.#begin < 2 * WINDOW_MS ? this.#current : { streams: 0, labels: new Map() };
    this.#lastLimit = this.#limit;
    this.#limit = MANY_STREAMS;
    this.#current = { streams: 0, labels: new Map() };
    this.#counted = 0;
    this.#begin = now;
  }

  #count(now: number): void {
    this.#metrics.newStreams.inc(this.#current.streams - this.#counted);
    this.#counted = this.#current.streams;
    if (now - this.#shownAt < METRIC_INTERVAL_MS) return;
    this.#shownAt = now;
    const { labelValues } = this.#metrics;
    const window = this.#current.streams >= this.#last.streams ? this.#current : this.#last;
    const top = topLabels(window).slice(0, SHOWN_LABELS);
    for (const name of this.#shown) if (!top.some((each) => each.name === name)) labelValues.remove(name);
    for (const { name, values } of top) labelValues.labels(name).set(values);
    this.#shown = top.map(({ name }) => name);
  }
}

/** Labels with their number of values, the largest first. */
function topLabels({ labels }: Window): readonly { readonly name: string; readonly values: number }[] {
  return [...labels]
    .map(([name, values]) => ({ name, values: values.countWith(NOTHING) }))
    .sort((a, b) => b.values - a.values || (a.name < b.name ? -1 : 1));
}

function judgeWindow(window: Window, limit: number): Judgement {
  const { streams } = window;
  if (streams <= limit) return undefined;
  const top = topLabels(window);
  const culprits = top.filter(({ values }) => values > streams * CULPRIT_SHARE);
  if (culprits.length === 0 && streams <= TOO_MANY_STREAMS) return undefined;
  const named = (culprits.length > 0 ? culprits : top).slice(0, 3).map(({ name, values }) => {
    const share = Math.min(100, Math.round((values / streams) * 100));
    return `label ${JSON.stringify(name)} has ~${thousands(values)} values in 5 min (${share} % of new streams)`;
  });
  const cause =
    `${named.join(", ")}: each value makes a stream of its own, and Loki limits those and is slow with many. Keep such ` +
    "values in the line or in structured metadata (stage.structured_metadata), not in labels";
  return { state: "degraded", cause };
}

function thousands(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)} k`;
}

/** Spreads what a hash knows over all of its bits (the last step of MurmurHash3). */
function spread(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
