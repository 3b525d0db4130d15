import { roughDuration } from "#base/duration";
import { type Gauge, gauge, type MetricSpec } from "#base/metrics";
import type { Judgement } from "#pipeline/flow";
import { hashBytes } from "#pipeline/series-hash";
import { DistinctSketch } from "./distinct-sketch.ts";

/** What is told covers the current window and the one before. */
const WINDOW_MS = 5 * 60_000;
/** Labels that are looked at; a page with more names than that has another fault. */
const MAX_LABELS = 64;
/** New series a second that are looked at, so that a million at once costs no time to speak of. */
const LOOKS_PER_SECOND = 20_000;
/** A label with so many values, in so large a share of the new series, is no name of anything that is counted. */
const TOO_MANY_VALUES = 10_000;
const LEAST_SHARE = 0.5;
/** Labels shown as a metric, and the values from which on they are. */
const SHOWN_LABELS = 10;
const SHOWN_VALUES = 100;

/** For components that look at new series; `NewSeries.show` fills it. */
export const newLabelValues: MetricSpec<Gauge> = gauge(
  "alloy_component_new_label_values",
  "Estimated number of values that a label took in series of the last ten minutes; the labels with the most.",
  ["label"],
);

/** One label's values in two windows. */
class LabelValues {
  readonly name: string;
  current = new DistinctSketch();
  previous = new DistinctSketch();
  currentSeries = 0;
  previousSeries = 0;
  /** Where most of the series with it come from, by majority vote. */
  source = "";
  #votes = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(hash: number, source: string): void {
    this.current.add(hash);
    this.currentSeries += 1;
    if (this.source === source) this.#votes += 1;
    else if (this.#votes > 0) this.#votes -= 1;
    else {
      this.source = source;
      this.#votes = 1;
    }
  }

  rotate(): void {
    [this.current, this.previous] = [this.previous, this.current];
    this.current.clear();
    this.previousSeries = this.currentSeries;
    this.currentSeries = 0;
  }

  get values(): number {
    return this.current.countWith(this.previous);
  }
  get series(): number {
    return this.currentSeries + this.previousSeries;
  }
}

/**
 * Looks at the labels of new series, and at nothing else, to find the label that takes ever more values. Costs about a
 * microsecond a new series and at most 130 kB.
 */
export class NewSeries {
  readonly #now: () => number;
  readonly #began: number;
  readonly #labels = new Map<number, LabelValues>();
  readonly #shown = new Set<string>();
  #windowSince: number;
  #currentSeries = 0;
  #previousSeries = 0;
  #looksSince = 0;
  #looks = 0;
  /** Where the series come from that are looked at next. */
  source = "";

  /** `now` is monotonic. Series of the first `quietMs` are not looked at: at a start all are new. */
  constructor(now: () => number, quietMs = 0) {
    this.#now = now;
    this.#began = now() + quietMs;
    this.#windowSince = this.#began;
  }

  /** Begins a series; whether its labels are to be given to `label`. */
  begin(): boolean {
    const now = this.#now();
    if (now < this.#began) return false;
    this.#rotate(now);
    this.#currentSeries += 1;
    if (now - this.#looksSince >= 1_000) {
      this.#looksSince = now;
      this.#looks = 0;
    }
    this.#looks += 1;
    return this.#looks <= LOOKS_PER_SECOND;
  }

  /** One label of the series, as ranges of bytes. */
  label(text: Buffer, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const key = hashBytes(text, nameStart, nameEnd);
    let values = this.#labels.get(key);
    if (values === undefined) {
      if (this.#labels.size >= MAX_LABELS) return;
      this.#labels.set(key, (values = new LabelValues(text.toString("utf8", nameStart, nameEnd))));
    }
    values.add(hashBytes(text, valueStart, valueEnd), this.source);
  }

  judge(): Judgement {
    this.#rotate(this.#now());
    const all = this.#currentSeries + this.#previousSeries;
    if (all < TOO_MANY_VALUES) return undefined;
    let worst: { readonly label: LabelValues; readonly values: number } | undefined;
    for (const label of this.#labels.values()) {
      // Series that were not looked at are not in any label's share.
      const share = label.series / Math.min(all, this.#lookedAt());
      if (label.series < TOO_MANY_VALUES || share < LEAST_SHARE) continue;
      const { values } = label;
      if (values >= TOO_MANY_VALUES && values > (worst?.values ?? 0)) worst = { label, values };
    }
    if (worst === undefined) return undefined;
    const { label, values } = worst;
    const time = roughDuration(Math.min(this.#now() - this.#began, this.#now() - this.#windowSince + WINDOW_MS));
    const share = Math.min(100, Math.round((label.series * 100) / this.#lookedAt()));
    const what = label.name === "__name__" ? "the names of metrics have" : `the label "${label.name}" has`;
    return {
      state: "degraded",
      cause:
        `${what} about ${inThousands(values)} values in ${inThousands(all)} new series within ${time} (it is in ${share} % of ` +
        `them), most from ${label.source}: such series cost memory here and in the backend; take the label off where it ` +
        'is exposed, or with a rule with action = "labeldrop" in a prometheus.relabel',
    };
  }

  /** Sets a child of `shown` for each of the labels with the most values, and removes those that are no longer among them. */
  show(shown: Gauge): void {
    this.#rotate(this.#now());
    const top = [...this.#labels.values()]
      .map(({ name, values }) => ({ name, values }))
      .filter(({ values }) => values >= SHOWN_VALUES)
      .sort((a, b) => b.values - a.values)
      .slice(0, SHOWN_LABELS);
    const names = new Set(top.map(({ name }) => name));
    for (const name of this.#shown) if (!names.has(name)) shown.remove(name);
    this.#shown.clear();
    for (const { name, values } of top) {
      shown.labels(name).set(values);
      this.#shown.add(name);
    }
  }

  /** The series of the label that the most have: every series has a name. */
  #lookedAt(): number {
    let most = 1;
    for (const { series } of this.#labels.values()) most = Math.max(most, series);
    return most;
  }

  #rotate(now: number): void {
    for (let turns = 0; now - this.#windowSince >= WINDOW_MS; turns++) {
      if (turns === 2) {
        this.#windowSince = now - ((now - this.#windowSince) % WINDOW_MS);
        return;
      }
      this.#windowSince += WINDOW_MS;
      this.#previousSeries = this.#currentSeries;
      this.#currentSeries = 0;
      for (const [key, label] of this.#labels) {
        label.rotate();
        if (label.series === 0) this.#labels.delete(key);
      }
    }
  }
}

/** `48 k` for 48123. */
function inThousands(count: number): string {
  return count < 10_000 ? String(count) : `${Math.round(count / 1_000)} k`;
}
