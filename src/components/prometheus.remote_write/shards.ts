/** Part of the backlog that the calculation wants sent each second. */
const CATCH_UP = 0.1;
/** A smaller change than this is not worth it. */
const TOLERANCE = 0.3;
/** Weight of the newest interval in the averages. */
const WEIGHT = 0.2;

/**
 * Chooses how many requests run side by side, from how fast samples come, how long a request takes per sample, and what
 * is pending: the calculation of Prometheus's queue manager (storage/remote/queue_manager.go).
 */
export class ShardCalculation {
  #samplesIn = 0;
  #samplesOut = 0;
  #sendSeconds = 0;
  #rateIn: number | undefined;
  #rateOut: number | undefined;
  #timeRate: number | undefined;
  current: number;
  desired: number;
  minimum: number;
  maximum: number;

  constructor(minimum: number, maximum: number) {
    this.minimum = minimum;
    this.maximum = maximum;
    this.current = minimum;
    this.desired = minimum;
  }

  received(samples: number): void {
    this.#samplesIn += samples;
  }
  sent(samples: number, seconds: number): void {
    this.#samplesOut += samples;
    this.#sendSeconds += seconds;
  }

  /** Ends an interval of `seconds`; `pending` samples wait. While requests fail nothing changes: more of them would not help. */
  adapt(seconds: number, pending: number, failing: boolean): void {
    this.#rateIn = average(this.#rateIn, this.#samplesIn / seconds);
    if (this.#samplesOut > 0) {
      this.#rateOut = average(this.#rateOut, this.#samplesOut / seconds);
      this.#timeRate = average(this.#timeRate, this.#sendSeconds / seconds);
    }
    this.#samplesIn = 0;
    this.#samplesOut = 0;
    this.#sendSeconds = 0;
    if (this.#rateOut === undefined || this.#timeRate === undefined || failing) {
      this.current = Math.min(this.maximum, Math.max(this.minimum, this.current));
      return;
    }
    const secondsPerSample = this.#timeRate / this.#rateOut;
    this.desired = secondsPerSample * (this.#rateIn + pending * CATCH_UP);
    const within = Math.abs(this.desired - this.current) <= this.current * TOLERANCE;
    const wanted = within ? this.current : Math.ceil(this.desired);
    this.current = Math.min(this.maximum, Math.max(this.minimum, wanted));
  }
}

function average(old: number | undefined, fresh: number): number {
  return old === undefined ? fresh : old + WEIGHT * (fresh - old);
}
