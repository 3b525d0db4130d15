import { join } from "node:path";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import { MetricRegistry } from "#base/metrics";
import type { Scope } from "#lang/evaluate";
import type { Services } from "#pipeline/component";
import type { ComponentRegistry } from "./registry.ts";
import type { Tracer } from "./tracer.ts";

/** What the nodes of one module share. Modules inside it get a child. */
export class Environment {
  /** `/` for the root, `/mod.a/mod.b` inside. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly services: Services;
  readonly registry: ComponentRegistry;
  readonly #shared: SharedEnvironment;

  constructor(shared: SharedEnvironment, path = "/", services = shared.services) {
    this.#shared = shared;
    this.path = path;
    this.clock = shared.clock;
    this.log = shared.log;
    this.services = services;
    this.registry = shared.registry;
  }

  /** The module's id as the API has it: the path without the first slash. */
  get moduleId(): string {
    return this.path.slice(1);
  }
  /** The standard library, outermost of all scopes. */
  get standardScope(): Scope {
    return this.#shared.standardScope;
  }
  get communityComponents(): boolean {
    return this.#shared.communityComponents;
  }
  /** The configuration blocks `logging`, `tracing`, `http`, `livedebugging`, by name. */
  get blocks(): ReadonlyMap<string, BlockHandler> {
    return this.#shared.blocks;
  }

  /** Whether components are built and never begin to work. */
  get inert(): boolean {
    return this.#shared.inert;
  }

  child(name: string): Environment {
    return new Environment(this.#shared, this.path === "/" ? `/${name}` : `${this.path}/${name}`, this.services);
  }
  /** The same, but with metrics that nobody reads unless `visible`. */
  withMetrics(visible: boolean): Environment {
    if (visible) return this;
    return new Environment(this.#shared, this.path, { ...this.services, metrics: new MetricRegistry() });
  }
  idOf(localId: string): string {
    return this.moduleId === "" ? localId : `${this.moduleId}/${localId}`;
  }
  dataPath(id: string): string {
    return join(this.#shared.storagePath, ...id.split("/"));
  }
  get tracer(): Tracer {
    return this.#shared.tracer;
  }
  /** Runs work on the graph after all other such work. */
  serialize<T>(work: () => Promise<T>): Promise<T> {
    return this.#shared.serialize(work);
  }
  /** Has the dependants of changed exports evaluated, soon and once for many changes. */
  reevaluateSoon(module: Reevaluated): void {
    this.#shared.reevaluateSoon(module);
  }
  /** Counts an evaluation of a component's arguments, for the controller's metrics. */
  observeEvaluation(componentId: string, ms: number): void {
    this.#shared.observeEvaluation(componentId, ms);
  }
}

export interface SharedEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly services: Services;
  readonly registry: ComponentRegistry;
  readonly storagePath: string;
  readonly communityComponents: boolean;
  readonly inert: boolean;
  readonly standardScope: Scope;
  readonly blocks: ReadonlyMap<string, BlockHandler>;
  readonly tracer: Tracer;
  serialize<T>(work: () => Promise<T>): Promise<T>;
  reevaluateSoon(module: Reevaluated): void;
  observeEvaluation(componentId: string, ms: number): void;
}

export interface Reevaluated {
  reevaluate(): Promise<void>;
}

/** Puts a configuration block in force; called again with the defaults when the block goes away. Throws to refuse. */
export interface BlockHandler {
  apply(args: unknown): void;
}
