import type { EdgeCounts, Flow } from "#pipeline/flow";
import type { HistoryJson, RatesJson } from "../api/json.ts";

/** Samples kept for the present rates: with one every five seconds, those of the last half minute. */
const SAMPLES = 7;
/** Points of the history, and the time between two of them. */
export const HISTORY_POINTS = 90;
const HISTORY_STEP_MS = 10_000;
/** Rates over less than this would be noise. */
const LEAST_WINDOW_MS = 1_000;

const COLUMNS = ["received", "sent", "dropped", "sentBytes"] as const;
type Column = (typeof COLUMNS)[number];

/** What one edge has counted, for rates and for sums that survive it. */
interface EdgeWindow {
  readonly counts: EdgeCounts;
  /** Values at the samples; an edge that is younger than a sample had counted nothing then. */
  readonly items: Float64Array;
  readonly bytes: Float64Array;
  /** How much of its counts is in the component's sums. */
  items0: number;
  bytes0: number;
}

/** Present rates and the last quarter of an hour of one component's flow. Times are monotonic milliseconds. */
export class FlowHistory {
  readonly #flow: Flow;
  /** Sums since the component is watched. */
  readonly #totals: Record<Column, number> = { received: 0, sent: 0, dropped: 0, sentBytes: 0 };
  readonly #edges = new Map<string, EdgeWindow>();
  readonly #times = new Float64Array(SAMPLES);
  readonly #samples = columns(() => new Float64Array(SAMPLES));
  #sampled = 0;
  readonly #points = columns(() => new Float32Array(HISTORY_POINTS));
  readonly #queueBytes = new Float32Array(HISTORY_POINTS);
  #pointed = 0;
  #pointTime: number;
  #pointEpochMs = 0;
  #pointTotals: Record<Column, number>;

  constructor(flow: Flow, now: number) {
    this.#flow = flow;
    this.#advance();
    this.#pointTime = now;
    this.#pointTotals = { ...this.#totals };
    this.#sample(now);
  }

  /** Takes a sample, and a point of the history when it is time for one. `queueBytes` is what waits now. */
  take(now: number, epochMs: number, queueBytes: number): void {
    this.#advance();
    this.#sample(now);
    const steps = Math.floor((now - this.#pointTime) / HISTORY_STEP_MS + 0.25); // samples come a little early at times
    if (steps === 0) return;
    const seconds = (now - this.#pointTime) / 1000;
    // Steps that nobody took, because the machine slept for example, share what flowed meanwhile.
    for (let i = 0; i < Math.min(steps, HISTORY_POINTS); i++) {
      const at = this.#pointed % HISTORY_POINTS;
      for (const name of COLUMNS) this.#points[name][at] = (this.#totals[name] - this.#pointTotals[name]) / seconds;
      this.#queueBytes[at] = queueBytes;
      this.#pointed += 1;
    }
    this.#pointTime = now;
    this.#pointEpochMs = epochMs;
    this.#pointTotals = { ...this.#totals };
  }

  /** Per second over the last half minute, or over what there is of it. */
  rates(now: number): RatesJson {
    this.#advance();
    const at = this.#oldestSample();
    const seconds = this.#window(now) / 1000;
    const rate = (name: Column) => (this.#totals[name] - this.#samples[name][at]!) / seconds;
    return { received: rate("received"), sent: rate("sent"), sentBytes: rate("sentBytes"), dropped: rate("dropped") };
  }

  /** The rates of one edge, by the id of the consumer's component. */
  edgeRates(to: string, now: number): { readonly items: number; readonly bytes: number } {
    this.#advance();
    const edge = this.#edges.get(to);
    if (edge === undefined) return { items: 0, bytes: 0 };
    const at = this.#oldestSample();
    const seconds = this.#window(now) / 1000;
    return { items: (edge.items0 - edge.items[at]!) / seconds, bytes: (edge.bytes0 - edge.bytes[at]!) / seconds };
  }

  /** Before the first step is over, it has one point: the present. */
  history(now: number, epochMs: number, queueBytes: number): HistoryJson {
    const stepSeconds = HISTORY_STEP_MS / 1000;
    if (this.#pointed === 0) {
      const { received, sent, dropped, sentBytes } = this.rates(now);
      const point = { received: [received], sent: [sent], dropped: [dropped], sentBytes: [sentBytes] };
      return { stepSeconds, endMs: epochMs, ...point, queueBytes: [queueBytes] };
    }
    const count = Math.min(this.#pointed, HISTORY_POINTS);
    const first = this.#pointed - count;
    const read = (column: Float32Array) =>
      Array.from({ length: count }, (_, i) => column[(first + i) % HISTORY_POINTS]!);
    return {
      stepSeconds,
      endMs: this.#pointEpochMs,
      received: read(this.#points.received),
      sent: read(this.#points.sent),
      dropped: read(this.#points.dropped),
      sentBytes: read(this.#points.sentBytes),
      queueBytes: read(this.#queueBytes),
    };
  }

  /** Adds what was counted since the last call to the sums. */
  #advance(): void {
    const { sent, received, droppedItems } = this.#flow;
    this.#totals.received = received.items;
    this.#totals.dropped = droppedItems;
    for (const [to, counts] of sent) {
      let edge = this.#edges.get(to);
      if (edge?.counts !== counts) {
        const column = () => new Float64Array(SAMPLES);
        this.#edges.set(to, (edge = { counts, items: column(), bytes: column(), items0: 0, bytes0: 0 }));
      }
      this.#totals.sent += counts.items - edge.items0;
      this.#totals.sentBytes += counts.bytes - edge.bytes0;
      edge.items0 = counts.items;
      edge.bytes0 = counts.bytes;
    }
    if (this.#edges.size > sent.size) for (const to of this.#edges.keys()) if (!sent.has(to)) this.#edges.delete(to);
  }

  #sample(now: number): void {
    const at = this.#sampled % SAMPLES;
    this.#times[at] = now;
    for (const name of COLUMNS) this.#samples[name][at] = this.#totals[name];
    for (const edge of this.#edges.values()) {
      edge.items[at] = edge.items0;
      edge.bytes[at] = edge.bytes0;
    }
    this.#sampled += 1;
  }

  #oldestSample(): number {
    return this.#sampled < SAMPLES ? 0 : this.#sampled % SAMPLES;
  }

  #window(now: number): number {
    return Math.max(LEAST_WINDOW_MS, now - this.#times[this.#oldestSample()]!);
  }
}

function columns<T>(create: () => T): Record<Column, T> {
  return { received: create(), sent: create(), dropped: create(), sentBytes: create() };
}
