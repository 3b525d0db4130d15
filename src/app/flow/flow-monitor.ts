import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { ComponentNode } from "#runtime/component-node";
import type { Controller } from "#runtime/controller";
import { dataRole } from "#runtime/topology";
import { wiringProblems } from "#runtime/wiring";
import { type FlowFigures, NO_RATES } from "../api/flow.ts";
import type { HistoryJson, RatesJson } from "../api/json.ts";
import { FlowHistory } from "./flow-history.ts";
import { QueueForecast } from "./queue-forecast.ts";

/** How often every component is looked at. */
const TICK_MS = 5_000;

/** What is kept of one component while it is there. */
interface Watched {
  readonly node: ComponentNode;
  readonly role: ReturnType<typeof dataRole>;
  readonly history: FlowHistory;
  forecast: QueueForecast | undefined;
  /** Ends the rule about the queue. */
  removeRule: () => void;
  /** Whether it was logged that the component cannot be watched. */
  broken: boolean;
}

/**
 * Looks at every component's data flow every few seconds: has rules judged that no data brings up, keeps rates and a short
 * history, foresees full queues, and has the log say what is due. One timer for all, which keeps no process alive.
 */
export class FlowMonitor implements FlowFigures {
  readonly #controller: Controller;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #watched = new Map<string, Watched>();
  #wiring: ReadonlyMap<string, string> = new Map();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(controller: Controller, clock: Clock, log: Logger) {
    this.#controller = controller;
    this.#clock = clock;
    this.#log = log;
  }

  start(tickMs = TICK_MS): void {
    this.#timer = setInterval(() => this.tick(), tickMs);
    this.#timer.unref();
  }
  stop(): void {
    clearInterval(this.#timer);
  }

  /** A configuration was put in force: its components count from now on, and what is wrong with its wiring is logged, once. */
  loaded(): void {
    this.#sync();
    const problems = wiringProblems(this.#controller);
    for (const [id, problem] of problems) {
      if (this.#wiring.get(id) !== problem) this.#log.warn("wiring", { component_id: id, problem });
    }
    this.#wiring = problems;
  }

  /** What is wrong with the wiring since the last load, by the nodes' ids. */
  get wiring(): ReadonlyMap<string, string> {
    return this.#wiring;
  }

  /** Looks at all components. */
  tick(): void {
    this.#sync();
    const now = this.#clock.monotonic();
    const epochMs = this.#clock.now();
    for (const watched of this.#watched.values()) {
      try {
        look(watched, now, epochMs);
      } catch (error) {
        if (!watched.broken) {
          const fields = { component_id: watched.node.id, error: errorText(error) };
          this.#log.error("a component's data flow cannot be watched, which is a bug", fields);
        }
        watched.broken = true;
      }
    }
  }

  /** Per second over the last half minute, or what there is of it. */
  rates(id: string): RatesJson {
    return this.#find(id)?.history.rates(this.#clock.monotonic()) ?? NO_RATES;
  }

  /** Per second along the edge to a consumer's component. */
  edgeRates(id: string, to: string): { readonly items: number; readonly bytes: number } {
    return this.#find(id)?.history.edgeRates(to, this.#clock.monotonic()) ?? { items: 0, bytes: 0 };
  }

  history(id: string): HistoryJson | undefined {
    const watched = this.#find(id);
    if (watched === undefined) return undefined;
    const queueBytes = watched.node.flow.queue?.bytes ?? 0;
    return watched.history.history(this.#clock.monotonic(), this.#clock.now(), queueBytes);
  }

  queueFullInSeconds(id: string): number | undefined {
    return this.#find(id)?.forecast?.fullInSeconds;
  }

  /** A component that came since the last look is taken up at once, so that its first seconds show. */
  #find(id: string): Watched | undefined {
    const watched = this.#watched.get(id);
    if (watched !== undefined) return watched;
    const node = this.#controller.component(id);
    return node === undefined ? undefined : this.#watch(node);
  }

  /** Takes up new components and forgets those that are gone. */
  #sync(): void {
    let count = 0;
    for (const { node } of this.#controller.nodes()) {
      if (!(node instanceof ComponentNode)) continue;
      count += 1;
      if (this.#watched.get(node.id)?.node !== node) this.#watch(node);
    }
    if (this.#watched.size === count) return;
    const present = new Set<ComponentNode>();
    for (const { node } of this.#controller.nodes()) if (node instanceof ComponentNode) present.add(node);
    for (const [id, { node }] of this.#watched) if (!present.has(node)) this.#watched.delete(id);
  }

  #watch(node: ComponentNode): Watched {
    const history = new FlowHistory(node.flow, this.#clock.monotonic());
    const role = dataRole(node);
    const watched: Watched = { node, role, history, forecast: undefined, removeRule: () => {}, broken: false };
    this.#watched.set(node.id, watched);
    return watched;
  }
}

function look(watched: Watched, now: number, epochMs: number): void {
  const { node, role, history } = watched;
  const { flow } = node;
  const queue = flow.queue;
  history.take(now, epochMs, queue?.bytes ?? 0);
  const limitBytes = queue?.limitBytes;
  if (queue !== undefined && limitBytes !== undefined) {
    if (watched.forecast === undefined) {
      const forecast = new QueueForecast();
      watched.forecast = forecast;
      watched.removeRule = flow.rule({ name: "queue", judge: () => forecast.judgement });
    }
    watched.forecast.take({ ...queue, limitBytes }, now, epochMs);
  } else if (watched.forecast !== undefined) {
    watched.forecast = undefined;
    watched.removeRule();
  }
  flow.judge();
  // Data come from outside, or should; what only exports values may have no flow at all.
  node.flowLog.tick(role === "source" || (role === "value" && !flow.untouched));
}
