import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { InstrumentsOf, MetricRegistry, MetricSpecs } from "#base/metrics";
import type { BodySchema } from "#lang/schema";
import type { Batch, Signal } from "./batch.ts";
import type { Consumer } from "./consumer.ts";
import type { Fanout } from "./fanout.ts";
import type { Flow, FlowQueue, Judgement } from "./flow.ts";
import type { SeriesRegistry } from "./series.ts";
import type { Tap } from "./tap.ts";
import type { WorkerPool } from "./worker-pool.ts";

export type Stability = "experimental" | "public-preview" | "generally-available";

/**
 * A component type: one schema from which validation, defaults, types, reference page, completion and the UI's view
 * come, and one function that brings it to life. The default export of `components/NAME/NAME.ts`.
 */
export interface ComponentDefinition<A = unknown, E = unknown, M extends MetricSpecs = MetricSpecs> {
  /** As in configurations, and the name of the component's folder and file. */
  readonly name: string;
  readonly stability: Stability;
  /** Needs `--feature.community-components.enabled`. */
  readonly community?: boolean;
  /** One sentence for the reference page and for completion. */
  readonly summary: string;
  /** A configuration that is valid on its own, shown on the reference page and checked by the conformance suite. */
  readonly example: string;
  readonly args: BodySchema<A>;
  readonly exports?: BodySchema<E>;
  readonly metrics?: M;
  /**
   * Synchronous and without I/O: exports receivers at once, so that wiring never waits, and starts background work with
   * `ctx.run` and `ctx.every`. Throws only for arguments that the schema cannot judge; the component is then unhealthy.
   */
  start(ctx: ComponentContext<E, M>, args: A): ComponentInstance<A> | void;
}

/** What `start` returns; each member is optional. The runtime never calls two of them at once for one component. */
export interface ComponentInstance<A> {
  /**
   * Called once, before what `start` exported is looked at: for exports that have to be asked for elsewhere, since arguments
   * that refer to them cannot be evaluated without. A rejection counts as one of `start`. Commands that run nothing do not
   * call it, and go on with what `start` exported.
   */
  ready?(signal: AbortSignal): Promise<void>;
  /** Takes changed arguments without a restart: builds first, then swaps; a throw leaves the old state running. */
  update?(args: A): void | Promise<void>;
  /**
   * Called at shutdown and before a restart, after sources stopped and before `ctx.signal` is aborted: hand on what is
   * pending. `deadline` is aborted when the time for it is over.
   */
  drain?(deadline: AbortSignal): Promise<void>;
  /** What Alloy calls debug info, for the API and the page: plain values, names as in the catalogue. */
  debugInfo?(): DebugValue;
  /** Serves `/api/v0/component/ID/…`; `request.path` starts after the id, with a slash. */
  http?: HttpHandler;
}

export type DebugValue =
  | null
  | boolean
  | number
  | string
  | readonly DebugValue[]
  | { readonly [key: string]: DebugValue };

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  /** Reads the body; rejects beyond `limit` bytes. */
  body(limit: number): Promise<Uint8Array>;
}
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  /** Sent after `body`, piece by piece, until it ends or the client goes. */
  readonly stream?: AsyncIterable<string>;
}
export type HttpHandler = (request: HttpRequest, signal: AbortSignal) => HttpResponse | Promise<HttpResponse>;

/** Everything that a component may reach. Nothing else is global. */
export interface ComponentContext<E = unknown, M extends MetricSpecs = MetricSpecs> {
  /** `prometheus.scrape.default`, or `module.id/prometheus.scrape.default` inside a module. */
  readonly id: string;
  readonly label: string;
  /** Aborted when the component stops. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Logger;
  /** The declared instruments, labelled with the component's id and path. */
  readonly metrics: InstrumentsOf<M>;
  /** Those labels, flat, for metrics whose names only the configuration says. */
  readonly metricLabels: readonly string[];
  readonly flow: Flow;
  /** For components that can show the way of single items through them (`tap.tracing`); edges are shown without their help. */
  readonly tap: Tap;
  /** Disposed of in reverse when the component has stopped. */
  readonly stack: AsyncDisposableStack;
  /** A folder of the component's own under `--storage.path`; not made until somebody makes it. */
  readonly dataPath: string;
  readonly services: Services;
  /** The `forward_to` of this component: accepts when all of its consumers have. Disposed of with the component. */
  fanout<S extends Signal>(signal: S, consumers: readonly Consumer<S>[]): Fanout<S>;
  /**
   * A consumer to export. `consume` owns the batch's columns if `mutates` (the default) and only looks otherwise.
   * Counts what comes in and serves taps.
   */
  receiver<S extends Signal>(
    signal: S,
    consume: (batch: Batch<S>, signal: AbortSignal) => void | Promise<void>,
    options?: { readonly mutates?: boolean },
  ): Consumer<S>;
  /** Publishes new values of the exports; dependants are evaluated again, soon and at most once for many calls. */
  export(values: E): void;
  /** Runs a task until it returns. If it rejects while the component lives, the component is unhealthy and restarted with back-off. */
  run(task: (signal: AbortSignal) => Promise<void>): void;
  /** Runs a task now and then again `intervalMs` after each start, never twice at once. Rejections are logged and do not end it. */
  every(intervalMs: number, task: (signal: AbortSignal) => Promise<void> | void): void;
  /**
   * Adds a rule to the flow status for as long as the component lives. It is judged with the data, at most once a second,
   * and every few seconds when nothing flows; `ctx.flow.judge()` does it at once. `name` is snake case.
   */
  rule(name: string, judge: () => Judgement): void;
  /** Shows what waits in the component's queue. */
  queue(read: () => FlowQueue): void;
  /** What an argument's expression refers to, such as `discovery.dns.web`: for messages about values that are missing. */
  references(argument: string): readonly string[];
  /** A signal that is aborted after `ms` or with the component; dispose of it as soon as the work is done. */
  deadline(ms: number): Deadline;
  /** Reports lifecycle health as Alloy does: unhealthy while `problem` is given. Flow problems belong to `flow`. */
  health(problem: string | undefined): void;
}

export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** What the agent offers to all components. */
export interface Services {
  /** The agent's own metrics. */
  readonly metrics: MetricRegistry;
  readonly series: SeriesRegistry;
  /** `host:port` where the agent's HTTP server listens. */
  readonly httpAddress: string;
  /** `host:port` that scrapes reach without a socket (`--server.http.memory-addr`). */
  readonly memoryAddress: string;
  /** Asks the agent's own HTTP API without a socket: `path` as in a URL, with its query. */
  fetchLocal(path: string, headers: ReadonlyMap<string, string>, signal: AbortSignal): Promise<HttpResponse>;
  /** The least stable level that the user allows (`--stability.level`). */
  readonly minimumStability: Stability;
  readonly version: string;
  /** Threads for heavy work; none without `--workers`. */
  readonly workers?: WorkerPool | undefined;
}

/** The path under which a component's `http` handler is served, without the slash at the end. */
export function componentPath(id: string): string {
  return `/api/v0/component/${id}`;
}

/** Types a definition; that is all it does. */
export function defineComponent<A, E = Record<never, never>, M extends MetricSpecs = Record<never, never>>(
  definition: ComponentDefinition<A, E, M>,
): ComponentDefinition<A, E, M> {
  return definition;
}
