import type { Batch, Signal } from "./batch.ts";
import { batchBytes, batchItems } from "./batch.ts";

/**
 * The truth about what flows through a component, beside its lifecycle health: counts in and out per edge, drops by
 * reason, and a status with its cause. The runtime reads it for /metrics, the API, the page and the command line.
 */

export type FlowState = "ok" | "idle" | "degraded" | "failing";

export interface FlowStatus {
  readonly state: FlowState;
  /** What is wrong and what to do, for every state but `ok`. */
  readonly cause: string;
  /** Epoch milliseconds since when the state has held. */
  readonly since: number;
}

/** Counts of one edge or of all entries that a component took in. */
export class FlowCounts {
  /** What flows here; undefined before the first batch. */
  signal: Signal | undefined;
  batches = 0;
  items = 0;
  bytes = 0;
  /** Epoch milliseconds of the last batch; 0 for none yet. */
  last = 0;

  add(batch: Batch, now: number): void {
    this.signal = batch.signal;
    this.batches += 1;
    this.items += batchItems(batch);
    this.bytes += batchBytes(batch);
    this.last = now;
  }
}

export class Flow {
  readonly #now: () => number;
  readonly received = new FlowCounts();
  /** What was handed to each consumer, by its component's id. */
  readonly sent = new Map<string, FlowCounts>();
  /** Items dropped, by signal and reason. */
  readonly dropped = new Map<Signal, Map<string, number>>();
  lastSuccess = 0;
  lastError: { readonly time: number; readonly message: string } | undefined;
  /** Bytes waiting in the component's queue and when the oldest of them came (epoch ms), for writers. */
  queue: (() => { readonly bytes: number; readonly oldest: number | undefined }) | undefined;
  /** A problem of the component's own that data flowing past does not end, such as targets that do not answer. */
  hold: (() => { readonly state: "degraded" | "failing"; readonly cause: string } | undefined) | undefined;
  #status: FlowStatus;
  readonly #onChange: (status: FlowStatus, previous: FlowStatus) => void;

  constructor(now: () => number, onChange: (status: FlowStatus, previous: FlowStatus) => void = () => {}) {
    this.#now = now;
    this.#onChange = onChange;
    this.#status = { state: "idle", cause: "nothing has flowed yet", since: now() };
  }

  get status(): FlowStatus {
    return this.#status;
  }

  edge(componentId: string): FlowCounts {
    let counts = this.sent.get(componentId);
    if (counts === undefined) this.sent.set(componentId, (counts = new FlowCounts()));
    return counts;
  }

  /** Data flowed: ends `idle`, `degraded` and `failing`. */
  ok(): void {
    this.lastSuccess = this.#now();
    const held = this.hold?.();
    if (held !== undefined) this.#fail(held.state, held.cause);
    else if (this.#status.state !== "ok") this.#set("ok", "");
  }
  idle(cause: string): void {
    this.#set("idle", cause);
  }
  /** Some of the work fails. */
  degraded(cause: string): void {
    this.#fail("degraded", cause);
  }
  /** All of the work fails. */
  failing(cause: string): void {
    this.#fail("failing", cause);
  }

  /** Counts items that will never be delivered. `reason` is snake_case and from a small set. */
  drop(signal: Signal, reason: string, items: number): void {
    let reasons = this.dropped.get(signal);
    if (reasons === undefined) this.dropped.set(signal, (reasons = new Map()));
    reasons.set(reason, (reasons.get(reason) ?? 0) + items);
  }

  #fail(state: FlowState, cause: string): void {
    this.lastError = { time: this.#now(), message: cause };
    this.#set(state, cause);
  }

  #set(state: FlowState, cause: string): void {
    const previous = this.#status;
    if (previous.state === state && previous.cause === cause) return;
    this.#status = { state, cause, since: previous.state === state ? previous.since : this.#now() };
    if (previous.state !== state) this.#onChange(this.#status, previous);
  }
}
