import { errorText } from "#base/log";
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

/**
 * What waits in a writer's queue. A writer with several of them, one for each endpoint or signal, tells of the one that
 * is nearest to its bound (see `fullestQueue`).
 */
export interface FlowQueue {
  readonly bytes: number;
  /** When the oldest of it came (epoch ms). */
  readonly oldest: number | undefined;
  /** Beyond this the queue blocks or drops; undefined for no bound of its own in bytes. */
  readonly limitBytes?: number | undefined;
  /** What happens when the queue is full: who sends waits, or data is dropped. */
  readonly whenFull?: "block" | "drop";
}

/** The queue that is nearest to its bound, with the oldest data of all of them. */
export function fullestQueue(queues: readonly FlowQueue[]): FlowQueue {
  const share = ({ bytes, limitBytes }: FlowQueue) => bytes / (limitBytes ?? Infinity);
  let fullest: FlowQueue = queues[0] ?? { bytes: 0, oldest: undefined };
  let oldest: number | undefined;
  for (const each of queues) {
    if (share(each) > share(fullest)) fullest = each;
    if (each.oldest !== undefined && (oldest === undefined || each.oldest < oldest)) oldest = each.oldest;
  }
  return { ...fullest, oldest };
}

/** Counts of all entries of one signal that a component took in. */
export class FlowCounts {
  /** What flows here; undefined where nothing can, or where several signals do. */
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

/** What a rule found when it was last asked. */
export interface FlowFinding {
  readonly rule: string;
  readonly state: FlowState;
  readonly cause: string;
}

/** Rules are judged with the data no more often than this; the agent's monitor judges them when nothing flows. */
const JUDGE_INTERVAL_MS = 1_000;
/** The cause of `idle` as long as nothing else is known. */
const NOTHING_YET = "nothing has flowed yet";

export class Flow {
  readonly #now: () => number;
  /** What came in, for each signal that the component can take. */
  readonly receivedBySignal = new Map<Signal, FlowCounts>();
  /** What was handed to each consumer, by its component's id. */
  readonly sent = new Map<string, EdgeCounts>();
  /** Items dropped, by signal and reason, … */
  readonly dropped = new Map<Signal, Map<string, number>>();
  /** … and their sum. */
  droppedItems = 0;
  lastSuccess = 0;
  lastError: { readonly time: number; readonly message: string } | undefined;
  /** How often something failed since the state was last `ok`. */
  failures = 0;
  /** How long after its start a source may take to its first data before that is worth a warning (ms). */
  patienceMs = 60_000;
  /** Whether the component is a source that can read again what was not acknowledged. */
  readsAgain = false;
  /** How many fanouts hand on to each consumer of `sent`. */
  readonly #uses = new Map<string, number>();
  readonly #unacknowledged = new Map<
    Acknowledgement,
    { readonly time: number; readonly items: number; readonly bytes: number }
  >();
  readonly #rules = new Set<FlowRule>();
  #findings: readonly FlowFinding[] = [];
  readonly #queues: (() => FlowQueue)[] = [];
  #event: { state: FlowState; cause: string } = { state: "idle", cause: NOTHING_YET };
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

  /** The counts of one signal, for whoever adds to them. */
  receiving(signal: Signal): FlowCounts {
    let counts = this.receivedBySignal.get(signal);
    if (counts === undefined) {
      this.receivedBySignal.set(signal, (counts = new FlowCounts()));
      counts.signal = signal;
    }
    return counts;
  }
  /** What came in, of all signals. */
  get received(): Readonly<FlowCounts> {
    const [first, ...others] = this.receivedBySignal.values();
    if (first === undefined) return new FlowCounts();
    if (others.length === 0) return first;
    const sum = new FlowCounts();
    for (const each of [first, ...others]) {
      sum.batches += each.batches;
      sum.items += each.items;
      sum.bytes += each.bytes;
      sum.last = Math.max(sum.last, each.last);
    }
    return sum;
  }

  /** Whether nobody has said anything about this flow, as is so for what has none (credentials, for example). */
  get untouched(): boolean {
    return this.#status.rule === "" && this.#status.cause === NOTHING_YET;
  }

  edge(componentId: string): EdgeCounts {
    let counts = this.sent.get(componentId);
    if (counts === undefined) this.sent.set(componentId, (counts = new EdgeCounts()));
    return counts;
  }

  /** Counts an edge from now on, from zero, until each `connect` has its `disconnect`. Fanouts call both. */
  connect(componentId: string, signal: Signal): void {
    this.edge(componentId).signal ??= signal;
    this.#uses.set(componentId, (this.#uses.get(componentId) ?? 0) + 1);
  }
  disconnect(componentId: string): void {
    const left = (this.#uses.get(componentId) ?? 0) - 1;
    if (left > 0) this.#uses.set(componentId, left);
    else {
      this.#uses.delete(componentId);
      this.sent.delete(componentId);
    }
  }

  /** Data flowed: ends what earlier events said. Rules may still hold. */
  ok(): void {
    const now = this.#now();
    this.lastSuccess = now;
    if (this.#event.state === "ok" && now - this.#judged < JUDGE_INTERVAL_MS) return;
    this.#event = { state: "ok", cause: "" };
    this.judge();
  }
  /** Data came of which something is handed on later, if at all: ends what said that there is none. */
  took(): void {
    if (this.#event.state === "idle") this.ok();
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

  /** Counts a failed attempt of which a rule says what it means for the state. */
  failed(cause: string): void {
    this.failures += 1;
    this.lastError = { time: this.#now(), message: cause };
  }

  /** Another life of the component begins: what failed in the one before says nothing about it. */
  restarted(): void {
    if (isBad(this.#event.state)) this.idle("nothing has flowed since the component started again");
  }

  /** Adds a rule until the returned function is called. Components use `ctx.rule`, which does that for them. */
  rule(rule: FlowRule): () => void {
    this.#rules.add(rule);
    return () => {
      this.#rules.delete(rule);
      this.judge();
    };
  }

  /** Names of all rules, each once. */
  get rules(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const rule of this.#rules) names.add(rule.name);
    return names;
  }
  /** What the rules found when they were last asked; rules that found nothing are not in it. */
  get findings(): readonly FlowFinding[] {
    return this.#findings;
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
    const findings: FlowFinding[] = [];
    for (const rule of this.#rules) {
      const found = judgement(rule);
      if (found === undefined) continue;
      findings.push({ ...found, rule: rule.name });
      const worse = FLOW_STATES.indexOf(found.state) - FLOW_STATES.indexOf(worst.state);
      // A rule knows more than "nothing has flowed yet".
      if (worse > 0 || (worse === 0 && worst.rule === "")) worst = { ...found, rule: rule.name };
    }
    this.#findings = findings;
    const previous = this.#status;
    if (worst.rule !== "" && isBad(worst.state) && worst.cause !== previous.cause) {
      // How often it fails is the component's to say (`failed`): a cause may change by its figures alone.
      this.lastError = { time: this.#judged, message: worst.cause };
      if (this.failures === 0) this.failures = 1;
    }
    if (previous.state !== worst.state || previous.cause !== worst.cause) {
      this.#status = { ...worst, since: previous.state === worst.state ? previous.since : this.#judged };
      if (previous.state !== worst.state) this.#onChange(this.#status, previous);
    }
    if (worst.state === "ok") this.failures = 0; // not before the listener could tell how many there were
  }

  /** Counts items that will never be delivered. `reason` is snake_case and from a small set. */
  drop(signal: Signal, reason: string, items: number): void {
    let reasons = this.dropped.get(signal);
    if (reasons === undefined) this.dropped.set(signal, (reasons = new Map()));
    reasons.set(reason, (reasons.get(reason) ?? 0) + items);
    this.droppedItems += items;
  }

  /**
   * An acknowledgement for a batch that this component is the source of and can read again: counted as unacknowledged
   * until it fires or is forgotten.
   */
  acknowledgement(items: number, bytes: number, onSafe: () => void): Acknowledgement {
    const acknowledgement = new Acknowledgement(() => {
      this.#unacknowledged.delete(acknowledgement);
      onSafe();
    });
    this.readsAgain = true;
    this.#unacknowledged.set(acknowledgement, { time: this.#now(), items, bytes });
    return acknowledgement;
  }

  /** Counts a batch no longer: it was taken back, or will be read again whether it arrives or not. */
  forget(acknowledgement: Acknowledgement): void {
    this.#unacknowledged.delete(acknowledgement);
  }
  /** The component begins anew and reads again what nobody has confirmed to its earlier life. */
  forgetUnacknowledged(): void {
    this.#unacknowledged.clear();
  }

  /** What this component has read and nobody has made safe yet. `oldest` is in epoch milliseconds. */
  get unacknowledged(): { readonly items: number; readonly bytes: number; readonly oldest: number | undefined } {
    let items = 0;
    let bytes = 0;
    let oldest: number | undefined;
    for (const each of this.#unacknowledged.values()) {
      items += each.items;
      bytes += each.bytes;
      oldest ??= each.time; // maps keep the order of insertion
    }
    return { items, bytes, oldest };
  }

  #fail(state: FlowState, cause: string): void {
    this.failed(cause);
    this.#event = { state, cause };
    this.judge();
  }
}

/** A rule that throws is a bug that must not stop the data. */
function judgement(rule: FlowRule): Judgement {
  try {
    return rule.judge();
  } catch (error) {
    return { state: "degraded", cause: `the rule ${rule.name} fails, which is a bug: ${errorText(error)}` };
  }
}

export function isBad(state: FlowState): boolean {
  return state === "degraded" || state === "failing";
}
