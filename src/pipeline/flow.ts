import { Acknowledgement } from "./acknowledgement.ts";
import type { Batch, Signal } from "./batch.ts";
import { batchBytes, batchItems } from "./batch.ts";

/**
 * The truth about what flows through a component, beside its lifecycle health: counts in and out per edge, drops by
 * reason, and a status with its cause. The runtime reads it for /metrics, the API, the page and the command line.
 */

/** From best to worst. */
export const FLOW_STATES = ["ok", "idle", "degraded", "failing"] as const;
export type FlowState = (typeof FLOW_STATES)[number];

export interface FlowStatus {
  readonly state: FlowState;
  /** What is wrong and what to do, for every state but `ok`. */
  readonly cause: string;
  /** The name of the rule that says so; empty for what an event (a delivery, an error) said. */
  readonly rule: string;
  /** Epoch milliseconds since when the state has held. */
  readonly since: number;
}

/** What a rule finds: nothing, or a state with its cause. */
export type Judgement = { readonly state: Exclude<FlowState, "ok">; readonly cause: string } | undefined;

/** A problem of the component's own that data flowing past does not end, such as targets that do not answer. */
export interface FlowRule {
  /** Snake case, unique in its component: what alerts and tests go by. */
  readonly name: string;
  judge(): Judgement;
}

/** What waits in a writer's queue. */
export interface FlowQueue {
  readonly bytes: number;
  /** When the oldest of it came (epoch ms). */
  readonly oldest: number | undefined;
  /** Beyond this the queue blocks or drops; undefined for no bound of its own. */
  readonly limitBytes?: number | undefined;
  /** What happens when the queue is full. */
  readonly whenFull?: "block" | "drop";
}

/** Counts of all entries that a component took in. */
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

/** Counts of what was handed to one consumer. */
export class EdgeCounts extends FlowCounts {
  /** Items that the consumer refused for good. */
  dropped = 0;
  /** Items handed over that the consumer has not accepted yet, … */
  waiting = 0;
  /** … and since when (epoch ms) some have been waiting; 0 for none. */
  waitingSince = 0;
  lastError: { readonly time: number; readonly message: string } | undefined;

  wait(items: number, now: number): void {
    if (this.waiting === 0) this.waitingSince = now;
    this.waiting += items;
  }
  accepted(items: number, now: number): void {
    this.waiting -= items;
    // With several batches on their way the oldest is not known any more: the time since one was accepted is what is.
    this.waitingSince = this.waiting > 0 ? now : 0;
  }
}

/** Rules are judged with the data no more often than this; the agent's monitor judges them when nothing flows. */
const JUDGE_INTERVAL_MS = 1_000;

export class Flow {
  readonly #now: () => number;
  readonly received = new FlowCounts();
  /** What was handed to each consumer, by its component's id. */
  readonly sent = new Map<string, EdgeCounts>();
  /** Items dropped, by signal and reason. */
  readonly dropped = new Map<Signal, Map<string, number>>();
  lastSuccess = 0;
  lastError: { readonly time: number; readonly message: string } | undefined;
  /** How often something failed since the state was last `ok`. */
  failures = 0;
  readonly #unacknowledged = new Set<{ readonly time: number; readonly items: number; readonly bytes: number }>();
  readonly #rules = new Set<FlowRule>();
  readonly #queues: (() => FlowQueue)[] = [];
  #event: { state: FlowState; cause: string } = { state: "idle", cause: "nothing has flowed yet" };
  #judged = 0;
  #status: FlowStatus;
  readonly #onChange: (status: FlowStatus, previous: FlowStatus) => void;

  constructor(now: () => number, onChange: (status: FlowStatus, previous: FlowStatus) => void = () => {}) {
    this.#now = now;
    this.#onChange = onChange;
    this.#status = { ...this.#event, rule: "", since: now() };
  }

  get status(): FlowStatus {
    return this.#status;
  }

  edge(componentId: string): EdgeCounts {
    let counts = this.sent.get(componentId);
    if (counts === undefined) this.sent.set(componentId, (counts = new EdgeCounts()));
    return counts;
  }

  /** Data flowed: ends what earlier events said. Rules may still hold. */
  ok(): void {
    const now = this.#now();
    this.lastSuccess = now;
    if (this.#event.state === "ok" && now - this.#judged < JUDGE_INTERVAL_MS) return;
    this.#event = { state: "ok", cause: "" };
    this.judge();
  }
  idle(cause: string): void {
    this.#event = { state: "idle", cause };
    this.judge();
  }
  /** Some of the work fails. */
  degraded(cause: string): void {
    this.#fail("degraded", cause);
  }
  /** All of the work fails. */
  failing(cause: string): void {
    this.#fail("failing", cause);
  }

  /** Adds a rule until the returned function is called. Components use `ctx.rule`, which does that for them. */
  rule(rule: FlowRule): () => void {
    this.#rules.add(rule);
    return () => {
      this.#rules.delete(rule);
      this.judge();
    };
  }

  /** What waits in the component's queue, for writers. */
  get queue(): FlowQueue | undefined {
    return this.#queues.at(-1)?.();
  }
  /** Tells of a queue until the returned function is called. Components use `ctx.queue`, which does that for them. */
  addQueue(queue: () => FlowQueue): () => void {
    this.#queues.push(queue);
    return () => void this.#queues.splice(this.#queues.indexOf(queue), 1);
  }

  /** Brings the status up to date: the worst of what the last event said and what the rules find. */
  judge(): void {
    this.#judged = this.#now();
    let worst: { state: FlowState; cause: string; rule: string } = { ...this.#event, rule: "" };
    for (const rule of this.#rules) {
      const found = rule.judge();
      if (found === undefined) continue;
      const worse = FLOW_STATES.indexOf(found.state) - FLOW_STATES.indexOf(worst.state);
      // A rule knows more than "nothing has flowed yet".
      if (worse > 0 || (worse === 0 && worst.rule === "")) worst = { ...found, rule: rule.name };
    }
    if (worst.rule !== "" && isBad(worst.state) && worst.cause !== this.#status.cause) this.#note(worst.cause);
    const previous = this.#status;
    if (previous.state === worst.state && previous.cause === worst.cause) return;
    this.#status = { ...worst, since: previous.state === worst.state ? previous.since : this.#judged };
    if (worst.state === "ok") this.failures = 0;
    if (previous.state !== worst.state) this.#onChange(this.#status, previous);
  }

  /** Counts items that will never be delivered. `reason` is snake_case and from a small set. */
  drop(signal: Signal, reason: string, items: number): void {
    let reasons = this.dropped.get(signal);
    if (reasons === undefined) this.dropped.set(signal, (reasons = new Map()));
    reasons.set(reason, (reasons.get(reason) ?? 0) + items);
  }

  /** An acknowledgement for a batch that this component is the source of: counted as unacknowledged until it fires. */
  acknowledgement(items: number, bytes: number, onSafe: () => void): Acknowledgement {
    const entry = { time: this.#now(), items, bytes };
    this.#unacknowledged.add(entry);
    return new Acknowledgement(() => {
      this.#unacknowledged.delete(entry);
      onSafe();
    });
  }

  /** What this component has read and nobody has made safe yet. `oldest` is in epoch milliseconds. */
  get unacknowledged(): { readonly items: number; readonly bytes: number; readonly oldest: number | undefined } {
    let items = 0;
    let bytes = 0;
    let oldest: number | undefined;
    for (const each of this.#unacknowledged) {
      items += each.items;
      bytes += each.bytes;
      oldest ??= each.time; // sets keep the order of insertion
    }
    return { items, bytes, oldest };
  }

  #fail(state: FlowState, cause: string): void {
    this.#note(cause);
    this.#event = { state, cause };
    this.judge();
  }

  #note(cause: string): void {
    this.failures += 1;
    this.lastError = { time: this.#now(), message: cause };
  }
}

export function isBad(state: FlowState): boolean {
  return state === "degraded" || state === "failing";
}
