import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import type { InstrumentsOf, MetricSpecs } from "#base/metrics";
import type { Batch, Signal } from "./batch.ts";
import { judgeBlocked } from "./blocked-rule.ts";
import type { ComponentContext, ComponentDefinition, ComponentInstance, Deadline, Services } from "./component.ts";
import type { Consumer } from "./consumer.ts";
import { RetryableError } from "./errors.ts";
import { Fanout } from "./fanout.ts";
import type { Flow } from "./flow.ts";
import type { Tap } from "./tap.ts";

/** The longest delay a timer takes; one with a longer one would go off at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What the owner of a component (the graph, or a test) is told about it. */
export interface HostEvents<E> {
  exported(values: E): void;
  /** A background task failed; the component should be restarted. */
  failed(error: unknown): void;
  health(problem: string | undefined): void;
}

export interface HostOptions<E> {
  readonly id: string;
  readonly label: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly flow: Flow;
  readonly tap: Tap;
  readonly dataPath: string;
  readonly services: Services;
  /** Constant labels of the component's own metrics, flat. */
  readonly metricLabels: readonly string[];
  /** What an argument's expression refers to; nothing is known of it where there is no text. */
  readonly references?: (argument: string) => readonly string[];
  readonly events: HostEvents<E>;
}

/**
 * One life of a component, from `start` to its disposal. A restart makes another host.
 *
 * Life: constructed → `activate` (background tasks begin; before it the component can be thrown away without a trace)
 * → `update` any number of times → `stop` (drain, abort, tasks end) → `dispose` (the stack, in reverse).
 */
export class ComponentHost<A, E, M extends MetricSpecs> {
  readonly instance: ComponentInstance<A>;
  readonly #id: string;
  readonly #options: HostOptions<E>;
  readonly #abort = new AbortController();
  readonly #stack = new AsyncDisposableStack();
  readonly #waiting: (() => void)[] = [];
  readonly #tasks = new Set<Promise<void>>();
  #active = false;
  #accepting = true;
  #handsOn = false;

  /** Calls the definition's `start`. Throws what it throws, after releasing what it had taken. */
  constructor(definition: ComponentDefinition<A, E, M>, args: A, options: HostOptions<E>) {
    this.#id = options.id;
    this.#options = options;
    const registered = options.services.metrics.register(definition.metrics ?? ({} as M), options.metricLabels);
    this.#stack.defer(registered.dispose);
    try {
      this.instance = definition.start(this.#context(registered.instruments), args) ?? {};
    } catch (error) {
      this.#accepting = false;
      this.#abort.abort(error);
      void this.#stack.disposeAsync().catch((cause) => options.log.error("clean-up failed", { error: cause }));
      throw error;
    }
  }

  /** Waits for exports that have to be asked for. Rejects with what the component rejects with, after releasing what it had taken. */
  async ready(): Promise<void> {
    try {
      await this.instance.ready?.(this.#abort.signal);
    } catch (error) {
      await this.stop(AbortSignal.abort());
      await this.dispose();
      throw error;
    }
  }

  /** Lets the background tasks begin. */
  activate(): void {
    this.#active = true;
    for (const begin of this.#waiting.splice(0)) begin();
  }

  /** Whether changed arguments can be taken without a restart. */
  get updatable(): boolean {
    return this.instance.update !== undefined;
  }

  /** Ends the work: drains while `deadline` lasts, aborts, waits for tasks as long as `deadline` lasts. */
  async stop(deadline: AbortSignal): Promise<void> {
    const { log } = this.#options;
    if (this.#active && this.instance.drain !== undefined) {
      try {
        await until(this.instance.drain(deadline), deadline);
      } catch (error) {
        log.warn("could not hand on everything before the stop", { error });
      }
    }
    this.#accepting = false;
    this.#abort.abort(new Error(`${this.#id} stopped`));
    try {
      await until(Promise.allSettled([...this.#tasks]), deadline);
    } catch {
      if (this.#tasks.size > 0) log.warn("a task of the component did not end in time", { tasks: this.#tasks.size });
    }
  }

  /** Releases everything that the component put on its stack. Call after `stop`. */
  async dispose(): Promise<void> {
    try {
      await this.#stack.disposeAsync();
    } catch (error) {
      this.#options.log.error("clean-up failed", { error });
    }
    if (this.#active) this.#options.flow.forgetUnacknowledged();
  }

  #context(metrics: InstrumentsOf<M>): ComponentContext<E, M> {
    const { id, label, clock, log, flow, tap, dataPath, services, metricLabels, events } = this.#options;
    const { signal } = this.#abort;
    return {
      id,
      label,
      signal,
      clock,
      log,
      metrics,
      metricLabels,
      flow,
      tap,
      stack: this.#stack,
      dataPath,
      services,
      fanout: (kind, consumers) => {
        const fanout = new Fanout(kind, consumers, flow, tap, clock);
        this.#stack.defer(() => fanout.close());
        if (!this.#handsOn)
          this.#stack.defer(flow.rule({ name: "blocked", judge: () => judgeBlocked(flow, clock.now()) }));
        this.#handsOn = true;
        return fanout;
      },
      receiver: (kind, consume, options) => this.#receiver(kind, consume, options?.mutates ?? true),
      export: (values) => events.exported(values),
      run: (task) => this.#begin(() => this.#run(task)),
      every: (intervalMs, task) => this.#begin(() => this.#run((until) => this.#every(intervalMs, task, until))),
      rule: (name, judge) => this.#stack.defer(flow.rule({ name, judge })),
      queue: (read) => this.#stack.defer(flow.addQueue(read)),
      references: (argument) => this.#options.references?.(argument) ?? [],
      deadline: (ms) => deadline(ms, signal),
      health: (problem) => events.health(problem),
    };
  }

  #receiver<S extends Signal>(
    kind: S,
    consume: (batch: Batch<S>, signal: AbortSignal) => void | Promise<void>,
    mutates: boolean,
  ): Consumer<S> {
    const { flow, tap, clock, id } = this.#options;
    const received = flow.receiving(kind);
    return {
      signal: kind,
      componentId: id,
      mutates,
      consume: (batch, signal) => {
        // The sender tries again, and by then the component has a successor or is out of the sender's forward_to.
        if (!this.#accepting) throw new RetryableError(`${id} is stopping or restarting`);
        received.add(batch, clock.now());
        if (tap.active) tap.show("in", "", batch);
        return consume(batch, signal);
      },
    };
  }

  #begin(start: () => void): void {
    if (this.#active) start();
    else this.#waiting.push(start);
  }

  #run(task: (signal: AbortSignal) => Promise<void>): void {
    const { signal } = this.#abort;
    if (signal.aborted) return;
    const running: Promise<void> = (async () => task(signal))()
      .catch((error) => {
        if (!signal.aborted) this.#options.events.failed(error);
      })
      .finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  async #every(intervalMs: number, task: (signal: AbortSignal) => Promise<void> | void, signal: AbortSignal) {
    const { clock, log } = this.#options;
    for (;;) {
      const began = clock.monotonic();
      try {
        await task(signal);
      } catch (error) {
        if (signal.aborted) return;
        log.error("periodic work failed", { error: errorText(error) });
      }
      try {
        await clock.sleep(Math.max(0, intervalMs - (clock.monotonic() - began)), signal);
      } catch {
        return;
      }
    }
  }
}

/** A signal that is aborted after `ms` or with `parent`. Unlike `AbortSignal.any` it leaves nothing behind once disposed of. */
export function deadline(ms: number, parent: AbortSignal): Deadline {
  const controller = new AbortController();
  const late = () => controller.abort(new DOMException(`timed out after ${ms} ms`, "TimeoutError"));
  const timer = setTimeout(late, Math.min(ms, MAX_TIMER_MS));
  const forward = () => controller.abort(parent.reason);
  if (parent.aborted) forward();
  else parent.addEventListener("abort", forward, { once: true });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      parent.removeEventListener("abort", forward);
    },
  };
}

/** The promise's outcome, or a rejection as soon as `signal` is aborted. */
function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
