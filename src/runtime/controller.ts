import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { counter, gauge, histogram } from "#base/metrics";
import type { Source } from "#lang/ast";
import { DiagnosticError } from "#lang/diagnostic";
import type { Scope } from "#lang/evaluate";
import { parseFile } from "#lang/parser";
import type { Services } from "#pipeline/component";
import { ComponentNode } from "./component-node.ts";
import { CustomNode } from "./custom-node.ts";
import { type BlockHandler, Environment, type Reevaluated } from "./environment.ts";
import { ForeachNode } from "./foreach-node.ts";
import { ImportNode } from "./import-node.ts";
import { type ChangeReport, Module, type ModuleInputs, REPLACE_DEADLINE_MS } from "./module.ts";
import type { GraphNode } from "./node.ts";
import type { ComponentRegistry } from "./registry.ts";
import { noTracer, type Tracer } from "./tracer.ts";

/** Exports that change in a burst are taken up together after this time, … */
const REEVALUATE_AFTER_MS = 10;
/** … and no sooner than this long after the last time, so that busy exports cannot starve the data. */
const REEVALUATE_INTERVAL_MS = 100;

export interface ControllerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly services: Services;
  readonly registry: ComponentRegistry;
  readonly blocks: ReadonlyMap<string, BlockHandler>;
  readonly tracer?: Tracer;
  readonly storagePath: string;
  readonly standardScope: Scope;
  readonly communityComponents: boolean;
  /** Builds and wires everything and lets nothing begin, for those who only want to look at a configuration. */
  readonly inert?: boolean;
}

/** From here on an evaluation counts as slow: `slowComponentThreshold` of Alloy's controller. */
const SLOW_EVALUATION_MS = 60_000;
const EVALUATION_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600];

const METRICS = {
  evaluations: histogram(
    "alloy_component_evaluation_seconds",
    "Time spent performing component evaluation",
    EVALUATION_BUCKETS,
    ["controller_path", "controller_id"],
  ),
  waits: histogram(
    "alloy_component_dependencies_wait_seconds",
    "Time spent by components waiting to be evaluated after their dependency is updated.",
    EVALUATION_BUCKETS,
    ["controller_path", "controller_id"],
  ),
  slow: counter(
    "alloy_component_evaluation_slow_seconds",
    "Number of seconds spent evaluating components that take longer than 1m0s to evaluate",
    ["controller_path", "controller_id", "component_id"],
  ),
  evaluating: gauge(
    "alloy_component_controller_evaluating",
    "Tracks if the controller is currently in the middle of a graph evaluation",
    ["controller_path", "controller_id"],
  ),
  queued: gauge(
    "alloy_component_evaluation_queue_size",
    "Tracks the number of components waiting to be evaluated in the worker pool",
    ["controller_path", "controller_id"],
  ),
  failures: counter("alloy_component_reevaluation_failures_total", "Evaluations after a change of exports that failed"),
};

/** A module with the module it stands in, for listings. */
export interface ListedNode {
  readonly node: GraphNode;
  readonly module: Module;
}

/** Runs a configuration: loads it, loads it again, keeps dependants of changing exports up to date, and ends it. */
export class Controller {
  readonly root: Module;
  readonly #options: ControllerOptions;
  readonly #metrics;
  #tail: Promise<unknown> = Promise.resolve();
  /** Modules to evaluate again, each with the monotonic time since when it waits. */
  readonly #dirty = new Map<Reevaluated, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastPass = 0;
  #loaded = false;
  #stopping = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#metrics = options.services.metrics.register(METRICS).instruments;
    options.services.metrics.registerCollector(() => [this.#runningComponents()]);
    const shared = {
      ...options,
      tracer: options.tracer ?? noTracer,
      inert: options.inert ?? false,
      serialize: <T>(work: () => Promise<T>) => this.#serialize(work),
      reevaluateSoon: (module: Reevaluated) => this.#reevaluateSoon(module),
      observeEvaluation: (componentId: string, ms: number) => {
        this.#metrics.evaluations.labels("/", "").observe(ms / 1000);
        if (ms >= SLOW_EVALUATION_MS) this.#metrics.slow.labels("/", "", componentId).inc(ms / 1000);
      },
    };
    this.root = new Module("root", new Environment(shared));
  }

  /** Whether a configuration is in force. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /**
   * Puts a configuration in force, all of it or nothing. Rejects with a DiagnosticError that holds every problem.
   * `modulePath` is the folder of the files. `beforeStart` runs when the configuration blocks are in force and no
   * component has started yet; when it rejects, nothing comes of the load.
   */
  load(sources: readonly Source[], modulePath: string, beforeStart?: () => Promise<void>): Promise<ChangeReport> {
    return this.#serialize(async () => {
      if (this.#stopping) throw new Error("the agent is stopping");
      this.#metrics.evaluating.labels("/", "").set(1);
      const span = (this.#options.tracer ?? noTracer).start("GraphEvaluate", { initiator: "load" });
      let failure: unknown;
      try {
        const change = await this.root.prepare(inputsOf(sources, modulePath));
        const report: ChangeReport = { added: [], updated: [], restarted: [], removed: [] };
        change.report(report);
        try {
          await change.update();
        } catch (error) {
          await change.discard();
          throw error;
        }
        try {
          await beforeStart?.();
        } catch (error) {
          await change.undo();
          await change.discard();
          throw error;
        }
        await change.replace(AbortSignal.timeout(REPLACE_DEADLINE_MS));
        this.#loaded = true;
        return report;
      } catch (error) {
        failure = error;
        throw error;
      } finally {
        span.end(failure);
        this.#metrics.evaluating.labels("/", "").set(0);
      }
    });
  }

  /** Ends everything: sources first, sinks last, each with the time that is left of `deadlineMs`. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    await this.#serialize(async () => {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(new Error("the shutdown deadline passed")), deadlineMs);
      await this.root.stop(controller.signal);
      await this.root.dispose();
      clearTimeout(timer);
    });
  }

  /** Every node of every module, in the order of evaluation. */
  *nodes(module: Module = this.root): Iterable<ListedNode> {
    for (const node of module.nodes) {
      yield { node, module };
      for (const inner of innerModules(node)) yield* this.nodes(inner);
    }
  }

  /** The built-in component with this id, such as `mod.a/loki.write.default`. */
  component(id: string): ComponentNode | undefined {
    for (const { node } of this.nodes()) if (node instanceof ComponentNode && node.id === id) return node;
    return undefined;
  }

  #serialize<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => {});
    return result;
  }

  #reevaluateSoon(module: Reevaluated): void {
    if (!this.#dirty.has(module)) this.#dirty.set(module, this.#options.clock.monotonic());
    this.#metrics.queued.labels("/", "").set(this.#dirty.size);
    if (this.#timer !== undefined || this.#stopping) return;
    const { clock, log } = this.#options;
    const since = clock.monotonic() - this.#lastPass;
    const pauseMs = Math.max(REEVALUATE_AFTER_MS, REEVALUATE_INTERVAL_MS - since);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#lastPass = clock.monotonic();
      void this.#serialize(async () => {
        const modules = [...this.#dirty.keys()];
        const now = clock.monotonic();
        for (const since of this.#dirty.values()) this.#metrics.waits.labels("/", "").observe((now - since) / 1000);
        this.#dirty.clear();
        this.#metrics.queued.labels("/", "").set(0);
        for (const each of modules) await each.reevaluate();
      }).catch((error) => {
        this.#metrics.failures.inc();
        log.error("evaluating changed exports failed", { error: errorText(error) });
      });
    }, pauseMs);
    this.#timer.unref?.();
  }

  #runningComponents() {
    const byState = new Map<string, number>();
    for (const { node } of this.nodes()) {
      if (node instanceof ComponentNode) byState.set(node.health.state, (byState.get(node.health.state) ?? 0) + 1);
    }
    const name = "alloy_component_controller_running_components";
    const samples = [...byState].map(([state, value]) => ({
      name,
      labels: ["controller_path", "/", "controller_id", "", "health_type", state],
      value,
    }));
    return { name, help: "Total number of running components.", type: "gauge" as const, samples };
  }
}

/** The modules that run inside a node. */
export function innerModules(node: GraphNode): readonly Module[] {
  if (node instanceof CustomNode || node instanceof ImportNode) return [node.module];
  return node instanceof ForeachNode ? node.modules : [];
}

function inputsOf(sources: readonly Source[], modulePath: string): ModuleInputs {
  const parsed = sources.map((source) => parseFile(source));
  const problems = parsed.flatMap(({ diagnostics }) => diagnostics).filter((each) => each.severity === "error");
  if (problems.length > 0) throw new DiagnosticError(problems);
  return {
    body: parsed.flatMap(({ file }) => file.body),
    declarations: undefined,
    modulePath,
    arguments: new Map(),
    parentScope: undefined,
    variables: new Map(),
  };
}
