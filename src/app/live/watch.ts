import type { Filter } from "#base/filter";
import type { EntryTrace } from "#pipeline/tap";
import type { LiveEvent, LiveItem } from "../api/json.ts";
import { type LiveBudget, StreamBudget } from "./budget.ts";
import { LogSearch } from "./log-search.ts";
import { NodeWatch } from "./node-watch.ts";
import type { Outbox } from "./outbox.ts";
import type { Selected, WatchedNode } from "./selection.ts";
import { shownItem } from "./shown.ts";
import { matchesTrace, traceJson } from "./traces.ts";

export type Direction = "in" | "out" | "both";

export interface WatchOptions {
  /** Asked again and again, since components come and go. */
  readonly selection: { current(): readonly Selected[] };
  /** Undefined: what goes out, and what comes in where nothing can go out. */
  readonly direction: Direction | undefined;
  /** Undefined to show everything. */
  readonly filter: Filter | undefined;
  /** The share of items to show, 0 to 1. */
  readonly sample: number;
  /** Items a second at most. */
  readonly rate: number;
  /** Items after which it ends. */
  readonly limit: number;
  /** Shows the way of single entries through a component's stages, instead of items. */
  readonly trace: boolean;
  readonly budget: LiveBudget;
  /** Milliseconds since some start, to measure the cost of watching with. */
  readonly monotonic: () => number;
  /** Whether watching is still allowed. */
  readonly allowed: () => boolean;
  readonly outbox: Outbox;
  /** An event as it is sent; undefined to leave it out. */
  readonly write: (event: LiveEvent) => string | undefined;
  /** Told once, of the first item that could not be shown. */
  readonly failed: (error: unknown) => void;
}

/** How often components that came and went are looked for, and it is told how much passed. */
const TICK_MS = 1_000;
const TRACES_PER_SECOND = 20;
const TRACE_TICK_MS = 100;
/** Entries that may be traced between two ticks in search of one that matches. */
const TRACES_PER_TICK = 30;

/** One stream of live items: listens to the taps of what was selected, within its budget, until it is closed. */
export class LiveWatch {
  readonly options: WatchOptions;
  /** What serves the filter on log batches. */
  readonly search: LogSearch | undefined;
  readonly budget: StreamBudget;
  readonly #nodes = new Map<WatchedNode, NodeWatch>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** Since it was last told. */
  #passed = 0;
  #looked = 0;
  #shown = 0;
  /** Items until the limit. */
  #left: number;
  #closed = false;
  #hasFailed = false;
  readonly #mostTraces: number;
  /** Traces that may be shown, and entries that may be traced before the next tick. */
  #traces: number;
  #tracesToMake = 0;
  #traceBegan = 0;
  /** Several while one entry's stage sends others. */
  #awaitedTraces = 0;

  constructor(options: WatchOptions) {
    this.options = options;
    this.search = options.filter === undefined ? undefined : LogSearch.for(options.filter);
    this.#left = options.limit;
    this.#mostTraces = Math.min(TRACES_PER_SECOND, options.rate);
    this.#traces = this.#mostTraces;
    options.budget.streams += 1;
    this.budget = new StreamBudget(options.budget, options.rate, options.monotonic());
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS));
    if (options.trace) this.#timers.push(setInterval(() => this.#traceTick(), TRACE_TICK_MS));
    this.#follow();
    if (options.trace) this.#traceTick();
  }

  /** Stops listening, at once and for good. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const node of this.#nodes.values()) node.close();
    this.#nodes.clear();
    this.options.budget.streams -= 1;
    this.#tell();
    this.options.outbox.end();
  }

  /** Whether anything more can be shown now. */
  get isOpen(): boolean {
    return !this.#closed && this.#left > 0 && this.options.outbox.hasRoom;
  }

  passed(items: number): void {
    this.#passed += items;
  }
  looked(items: number): void {
    this.#looked += items;
  }

  show(component: string, direction: "in" | "out", peer: string, item: LiveItem): void {
    this.#emit({ event: "item", time: now(), component, direction, peer, item: shownItem(item) });
  }

  /** Called when the work on a batch, an export or an entry is done, and all of it is counted. */
  worked(): void {
    if (this.#left === 0) this.close();
  }

  fail(error: unknown): void {
    if (!this.#hasFailed) this.options.failed(error);
    this.#hasFailed = true;
  }

  /** Asked before each entry while it listens, which it does only from a tick until it has what it wants. */
  wantsTrace(): boolean {
    if (this.#tracesToMake === 0 || !this.isOpen) return false;
    if (this.options.sample < 1 && Math.random() >= this.options.sample) return false;
    this.#tracesToMake -= 1;
    if (this.#awaitedTraces === 0) this.#traceBegan = this.options.monotonic();
    this.#awaitedTraces += 1;
    return true;
  }

  /** Also called with traces that only other streams wanted. */
  showTrace(component: string, trace: EntryTrace): void {
    if (this.#awaitedTraces === 0) return;
    this.#awaitedTraces -= 1;
    this.#looked += 1;
    if (this.isOpen && (this.options.filter === undefined || matchesTrace(trace, this.options.filter))) {
      this.#traces -= 1;
      this.#emit({ event: "trace", time: now(), component, trace: traceJson(trace) });
    }
    const { budget, monotonic } = this.options;
    const ended = monotonic();
    // The making of the trace is most of its cost.
    if (this.#awaitedTraces === 0) budget.spend(ended - this.#traceBegan);
    if (this.#traces < 1 || budget.left(ended) <= 0) this.#tracesToMake = 0;
    if (this.#tracesToMake === 0 && this.#awaitedTraces === 0) this.#listenToTraces(false);
    this.worked();
  }

  #traceTick(): void {
    this.#traces = Math.min(this.#mostTraces, this.#traces + (this.#mostTraces * TRACE_TICK_MS) / 1000);
    const most = this.options.filter === undefined ? Math.floor(this.#traces) : TRACES_PER_TICK;
    const { budget, monotonic } = this.options;
    const mayTrace = this.#traces >= 1 && budget.left(monotonic()) > 0 && this.isOpen;
    this.#tracesToMake = mayTrace ? most : 0;
    this.#listenToTraces(mayTrace);
  }

  /** A pipeline with somebody who may want traces is slower for every entry, so nobody listens without need. */
  #listenToTraces(listen: boolean): void {
    for (const node of this.#nodes.values()) node.listenToTraces(listen);
  }

  #tick(): void {
    if (!this.options.allowed()) {
      this.close();
      return;
    }
    this.#follow();
    for (const node of this.#nodes.values()) node.tick();
    if (this.options.outbox.hasRoom) this.#tell();
  }

  /** Components that a reload or a `foreach` added join in, and those that went leave. */
  #follow(): void {
    const current = new Map(this.options.selection.current().map((selected) => [selected.node, selected]));
    for (const [node, watched] of this.#nodes) {
      if (current.has(node)) continue;
      watched.close();
      this.#nodes.delete(node);
    }
    for (const [node, selected] of current) {
      const watched = this.#nodes.get(node);
      if (watched !== undefined) {
        watched.selected = selected;
        continue;
      }
      if (this.#closed) return; // the exports of the ones before reached the limit
      const added = new NodeWatch(this, selected);
      this.#nodes.set(node, added);
      added.start();
    }
  }

  #emit(event: LiveEvent): void {
    const text = this.options.write(event);
    if (text === undefined || this.#left === 0) return;
    this.options.outbox.push(text);
    this.#shown += 1;
    this.#left -= 1;
  }

  /** Says what passed since it was last said, if anything did. */
  #tell(): void {
    if (this.#passed === 0) return;
    const event: LiveEvent = {
      event: "passed",
      time: now(),
      items: this.#passed,
      looked: this.#looked,
      shown: this.#shown,
    };
    this.#passed = 0;
    this.#looked = 0;
    this.#shown = 0;
    const text = this.options.write(event);
    if (text !== undefined) this.options.outbox.push(text);
  }
}

function now(): string {
  return new Date().toISOString();
}
