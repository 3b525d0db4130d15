import type { Labels } from "#base/labels";
import { LabelBytes } from "./labels.ts";
import { SeriesTextParser } from "./series.ts";

/** An exemplar of a page; `timestamp` is NaN where the page gives none. */
export interface PageExemplar {
  readonly sample: number;
  /** Undefined if they break a rule of OpenMetrics: a name that is there twice, or more characters than allowed. */
  readonly labels: Labels | undefined;
  readonly value: number;
  readonly timestamp: number;
}

export interface SampleColumns {
  entry: Int32Array;
  value: Float64Array;
  timestamp: Float64Array;
}

/** The samples of one page, and what is needed while it is read. */
export class ExpositionColumns implements SampleColumns {
  readonly labels = new LabelBytes();
  readonly textParser = new SeriesTextParser(false);
  readonly openMetricsParser = new SeriesTextParser(true);
  /** The entry in the parser's cache. */
  entry: Int32Array = new Int32Array(64);
  value: Float64Array = new Float64Array(64);
  /** Epoch milliseconds; NaN where the page gives none. */
  timestamp: Float64Array = new Float64Array(64);
  #spare: SampleColumns | undefined;

  /** Other columns with room for `capacity` samples, which `swap` puts in the place of the present ones. */
  spare(capacity: number): SampleColumns {
    if (this.#spare === undefined || this.#spare.entry.length < capacity) {
      const length = Math.max(64, capacity);
      this.#spare = {
        entry: new Int32Array(length),
        value: new Float64Array(length),
        timestamp: new Float64Array(length),
      };
    }
    return this.#spare;
  }

  swap(): void {
    const { entry, value, timestamp } = this;
    if (this.#spare !== undefined) ({ entry: this.entry, value: this.value, timestamp: this.timestamp } = this.#spare);
    this.#spare = { entry, value, timestamp };
  }

  grow(): void {
    const capacity = this.entry.length * 2;
    const { entry, value, timestamp } = this;
    this.entry = new Int32Array(capacity);
    this.entry.set(entry);
    this.value = new Float64Array(capacity);
    this.value.set(value);
    this.timestamp = new Float64Array(capacity);
    this.timestamp.set(timestamp);
  }
}
