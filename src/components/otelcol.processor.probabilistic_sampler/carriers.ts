import { LOG, SPAN } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey } from "#formats/otlp/values";
import { parseRandomness, parseThreshold, SamplingTraceState, thresholdText } from "#kits/otlp/sampling";

/** Where an item carries its randomness and threshold. One is reused for all items of a signal. */
export interface Carrier {
  /** 14 digits; undefined where the item has none. */
  readonly randomness: string | undefined;
  readonly threshold: string | undefined;
  /** Points at an item. False if what it says of sampling cannot be read. */
  read(item: OtlpRecord): boolean;
  setRandomness(randomness: string): void;
  clearThreshold(): void;
  /** Raises the threshold; one that would fall stays. */
  raiseThreshold(threshold: string): void;
  /** Puts what was set into the item. */
  write(): void;
}

/** Spans carry it in their trace state. */
export class SpanCarrier implements Carrier {
  #span: OtlpRecord | undefined;
  readonly #state = new SamplingTraceState();
  randomness: string | undefined;
  threshold: string | undefined;

  read(span: OtlpRecord): boolean {
    this.#span = span;
    const isReadable = this.#state.parse(span.byteLength(SPAN.traceState) === 0 ? "" : span.text(SPAN.traceState));
    this.randomness = this.#state.rv === "" ? undefined : this.#state.rv.toLowerCase();
    this.threshold = this.#state.th === "" ? undefined : parseThreshold(this.#state.th);
    return isReadable;
  }
  setRandomness(randomness: string): void {
    this.randomness = randomness;
    this.#state.rv = randomness;
  }
  clearThreshold(): void {
    this.threshold = undefined;
    this.#state.th = "";
  }
  raiseThreshold(threshold: string): void {
    if (this.threshold !== undefined && this.threshold > threshold) return;
    this.threshold = threshold;
    this.#state.th = thresholdText(threshold);
  }
  write(): void {
    this.#span!.setText(SPAN.traceState, this.#state.toString());
  }
}

const THRESHOLD = new AttributeKey("sampling.threshold");
const RANDOMNESS = new AttributeKey("sampling.randomness");

/** Log records carry it in two attributes. */
export class LogCarrier implements Carrier {
  #log: OtlpRecord | undefined;
  randomness: string | undefined;
  threshold: string | undefined;

  read(log: OtlpRecord): boolean {
    this.#log = log;
    const threshold = this.#text(THRESHOLD);
    const randomness = this.#text(RANDOMNESS);
    this.threshold = parseThreshold(threshold);
    this.randomness = parseRandomness(randomness);
    return (threshold === "" || this.threshold !== undefined) && (randomness === "" || this.randomness !== undefined);
  }
  #text(key: AttributeKey): string {
    const value = this.#log!.map(LOG.attributes).get(key);
    return typeof value === "string" ? value : "";
  }

  setRandomness(randomness: string): void {
    this.randomness = randomness;
    this.#log!.map(LOG.attributes).set(RANDOMNESS, randomness);
  }
  clearThreshold(): void {
    this.threshold = undefined;
    this.#log!.map(LOG.attributes).remove(THRESHOLD);
  }
  raiseThreshold(threshold: string): void {
    if (this.threshold !== undefined && this.threshold > threshold) return;
    this.threshold = threshold;
    this.#log!.map(LOG.attributes).set(THRESHOLD, thresholdText(threshold));
  }
  /** Attributes were set at once. */
  write(): void {}
}
