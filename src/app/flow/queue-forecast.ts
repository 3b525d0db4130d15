import { roughByteSize } from "#base/bytesize";
import { roughDuration } from "#base/duration";
import type { FlowQueue, Judgement } from "#pipeline/flow";

/** Samples that the pace is worked out from: with one every five seconds, those of the last two minutes. */
const SAMPLES = 25;
/** Less than this, in samples, says nothing of a pace. */
const LEAST_SAMPLES = 7;
/** Growth below this share of the bound, and below this many bytes, is none. */
const LEAST_GROWTH = 0.001;
const LEAST_GROWTH_BYTES = 64 * 1024;
/** Growth must exceed the queue's ups and downs by this factor: queues are filled and emptied all the time. */
const CLEARLY = 3;
/** From this share of its bound on a queue is full, since it is emptied in pieces … */
const FULL = 0.95;
/** … and from this one on it is worth a word that it fills. */
const NOTABLE = 0.1;
/** A queue that will be full sooner than this is a trouble. */
const SOON_SECONDS = 15 * 60;
/** Data that waits no longer than this in a full queue shows back-pressure, no trouble. */
const PATIENCE_MS = 60_000;

/** Foresees when a bounded queue will be full, from how it grew in the last minutes. */
export class QueueForecast {
  readonly #times = new Float64Array(SAMPLES);
  readonly #bytes = new Float64Array(SAMPLES);
  #taken = 0;
  #limit = 0;
  /** Seconds until the queue is full; undefined unless it clearly grows. */
  fullInSeconds: number | undefined;
  judgement: Judgement;

  /** `now` is monotonic, `epochMs` the time in which the queue's oldest data is known. */
  take(queue: FlowQueue & { readonly limitBytes: number }, now: number, epochMs: number): void {
    const { bytes, limitBytes } = queue;
    if (limitBytes !== this.#limit) this.#taken = 0;
    this.#limit = limitBytes;
    this.#times[this.#taken % SAMPLES] = now;
    this.#bytes[this.#taken % SAMPLES] = bytes;
    this.#taken += 1;
    this.fullInSeconds = bytes >= limitBytes * FULL ? 0 : this.#forecast(bytes);
    this.judgement = this.#judge(queue, epochMs);
  }

  /** The line through the samples that is nearest to them, followed up to the bound. */
  #forecast(bytes: number): number | undefined {
    const count = Math.min(this.#taken, SAMPLES);
    if (count < LEAST_SAMPLES) return undefined;
    const origin = this.#times[this.#taken < SAMPLES ? 0 : this.#taken % SAMPLES]!;
    let [time, level] = [0, 0];
    for (let i = 0; i < count; i++) {
      time += (this.#times[i]! - origin) / count;
      level += this.#bytes[i]! / count;
    }
    let [spread, together] = [0, 0];
    for (let i = 0; i < count; i++) {
      const t = this.#times[i]! - origin - time;
      spread += t * t;
      together += t * (this.#bytes[i]! - level);
    }
    const slope = together / spread;
    let error = 0;
    for (let i = 0; i < count; i++) {
      error += (this.#bytes[i]! - level - slope * (this.#times[i]! - origin - time)) ** 2 / count;
    }
    const span = this.#times[(this.#taken - 1) % SAMPLES]! - origin;
    const least = Math.max(LEAST_GROWTH * this.#limit, LEAST_GROWTH_BYTES, CLEARLY * Math.sqrt(error));
    return slope * span >= least ? (this.#limit - bytes) / slope / 1000 : undefined;
  }

  #judge({ bytes, oldest, whenFull }: FlowQueue, epochMs: number): Judgement {
    const seconds = this.fullInSeconds;
    const size = `${roughByteSize(bytes)} of ${roughByteSize(this.#limit)}`;
    if (seconds === 0) {
      const waits = oldest === undefined ? 0 : epochMs - oldest;
      if (whenFull !== "drop" && waits < PATIENCE_MS) return undefined;
      const then = whenFull === "drop" ? "data is dropped" : "whoever sends has to wait";
      return {
        state: "degraded",
        cause: `the queue is full (${size}), its oldest data came ${roughDuration(waits)} ago; ${then}`,
      };
    }
    if (seconds === undefined || seconds >= SOON_SECONDS || bytes < NOTABLE * this.#limit) return undefined;
    const then = whenFull === "drop" ? "data is dropped" : "whoever sends has to wait";
    return {
      state: "degraded",
      cause: `the queue will be full in about ${roughDuration(seconds * 1000)} (${size}); then ${then}`,
    };
  }
}
