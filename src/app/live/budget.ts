/**
 * What watching may cost. All streams together get a share of the process's time, so that a pipeline at full speed loses
 * next to nothing; what is beyond it passes without being looked at, and is counted. Each stream has its part of that
 * share, and within it each edge that it watches, lest a fast edge hide a slow one.
 */

/** Milliseconds a millisecond, measured around the work of listeners. Garbage and the writing to the client come on top. */
const TIME_SHARE = 0.03;
/** Time that may be saved up for a burst, by all streams together and by one edge. */
const TIME_BURST_MS = 30;
const EDGE_BURST_MS = 15;

export class LiveBudget {
  /** Streams that are open. */
  streams = 0;
  #timeMs = TIME_BURST_MS;
  #updated: number;

  /** `now` is in milliseconds, of `performance.now()` or the like. */
  constructor(now: number) {
    this.#updated = now;
  }

  /** Milliseconds that may be spent now; negative after a piece of work took longer than there was. */
  left(now: number): number {
    this.#timeMs = Math.min(TIME_BURST_MS, this.#timeMs + (now - this.#updated) * TIME_SHARE);
    this.#updated = now;
    return this.#timeMs;
  }
  spend(ms: number): void {
    this.#timeMs -= ms;
  }
}

/** One stream's share: items a second, and time, for each of the edges that data flows on. */
export class StreamBudget {
  readonly total: LiveBudget;
  readonly itemsPerSecond: number;
  /** Edges on which data flows. */
  edges = 0;
  #items: number;
  #updated: number;

  constructor(total: LiveBudget, itemsPerSecond: number, now: number) {
    this.total = total;
    this.itemsPerSecond = itemsPerSecond;
    this.#items = itemsPerSecond;
    this.#updated = now;
  }

  /** Items that all edges together may show now. */
  items(now: number): number {
    const gained = ((now - this.#updated) * this.itemsPerSecond) / 1000;
    this.#items = Math.min(this.itemsPerSecond, this.#items + gained);
    this.#updated = now;
    return this.#items;
  }
  take(items: number): void {
    this.#items -= items;
  }
}

/** The share of one edge. */
export class EdgeBudget {
  readonly #stream: StreamBudget;
  #items: number;
  #timeMs = EDGE_BURST_MS;
  #updated: number;

  constructor(stream: StreamBudget, now: number) {
    this.#stream = stream;
    this.#items = Math.max(1, stream.itemsPerSecond / Math.max(1, stream.edges));
    this.#updated = now;
  }

  /** Gains what the time since the last call gives. */
  update(now: number): void {
    const { total, itemsPerSecond } = this.#stream;
    const edges = Math.max(1, this.#stream.edges);
    const elapsed = now - this.#updated;
    this.#updated = now;
    const timeShare = TIME_SHARE / Math.max(1, total.streams) / edges;
    this.#timeMs = Math.min(EDGE_BURST_MS, this.#timeMs + elapsed * timeShare);
    const rate = itemsPerSecond / edges;
    this.#items = Math.min(Math.max(1, rate), this.#items + (elapsed * rate) / 1000);
  }

  /** Items that may be shown now, as of the last update. */
  items(now: number): number {
    return Math.floor(Math.min(this.#items, this.#stream.items(now)));
  }
  /** Milliseconds that may be spent now. */
  timeMs(now: number): number {
    return Math.min(this.#timeMs, this.#stream.total.left(now));
  }

  take(items: number): void {
    this.#items -= items;
    this.#stream.take(items);
  }
  spend(ms: number): void {
    this.#timeMs -= ms;
    this.#stream.total.spend(ms);
  }
}
