import { errorText, type Logger } from "#base/log";
import type { MetricSpecs } from "#base/metrics";
import type { BlockStatement } from "#lang/ast";
import { decodeBody, encodeBody, sameArguments } from "#lang/decode";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import { references, type Scope } from "#lang/evaluate";
import { locationOf } from "#lang/render";
import { isStandardName } from "#lang/stdlib";
import type { Value } from "#lang/value";
import type { ComponentDefinition } from "#pipeline/component";
import { Flow } from "#pipeline/flow";
import { ComponentHost } from "#pipeline/host";
import { Tap } from "#pipeline/tap";
import type { Environment } from "./environment.ts";
import { FlowLog } from "./flow-log.ts";
import { type Health, worstHealth } from "./health.ts";
import { type Change, type GraphNode, NO_CHANGE, nodeId } from "./node.ts";

const FIRST_RESTART_MS = 1_000;
const LAST_RESTART_MS = 60_000;
/** A component that ran this long without failing starts with the shortest pause again. */
const STABLE_AFTER_MS = 120_000;
/** How long a failed component may take to hand on what it holds. */
const RESTART_DEADLINE_MS = 5_000;

/** A built-in component in the graph: evaluates its arguments, and keeps one host running through updates, restarts and failures. */
export class ComponentNode<A = unknown, E = unknown, M extends MetricSpecs = MetricSpecs> implements GraphNode {
  readonly localId: string;
  /** Unique in the agent: the module's path and the local id. */
  readonly id: string;
  readonly definition: ComponentDefinition<A, E, M>;
  readonly flow: Flow;
  /** What the log says about the flow; the agent's monitor has it say what is due. */
  readonly flowLog: FlowLog;
  readonly tap = new Tap();
  readonly #environment: Environment;
  readonly #log: Logger;
  readonly #onExports: () => void;
  #host: ComponentHost<A, E, M> | undefined;
  #args: A | undefined;
  #exports: Value | undefined;
  #evaluation: Health;
  #run: Health;
  #problem: Health | undefined;
  #restarts = 0;
  #startedAt = 0;
  #restartTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  #block: BlockStatement;
  #warnings: ReadonlySet<string> = new Set();

  constructor(
    block: BlockStatement,
    definition: ComponentDefinition<A, E, M>,
    environment: Environment,
    onExports: () => void,
  ) {
    this.#block = block;
    this.localId = nodeId(block);
    this.id = environment.idOf(this.localId);
    this.definition = definition;
    this.#environment = environment;
    this.#onExports = onExports;
    this.#log = environment.log.with({ component_path: environment.path, component_id: this.localId });
    const { clock } = environment;
    this.flow = new Flow(
      () => clock.now(),
      (status, previous) => this.flowLog.changed(status, previous),
    );
    this.flowLog = new FlowLog(this.flow, this.#log, () => clock.now());
    this.#evaluation = this.#health("unknown", "component created");
    this.#run = this.#health("unknown", "component created");
  }

  get exports(): Value | undefined {
    return this.#exports;
  }
  get block(): BlockStatement {
    return this.#block;
  }
  get args(): A | undefined {
    return this.#args;
  }
  get host(): ComponentHost<A, E, M> | undefined {
    return this.#host;
  }
  /** Why the component does nothing until it starts again; undefined while it works. */
  get failure(): string | undefined {
    return this.#restartTimer === undefined ? undefined : this.#run.message;
  }
  /** The evaluated arguments as values, secrets inside as secrets. */
  get argumentValues(): Value | undefined {
    return this.#args === undefined ? undefined : encodeBody(this.definition.args, this.#args);
  }
  get health(): Health {
    return worstHealth([this.#evaluation, this.#run, ...(this.#problem ? [this.#problem] : [])]);
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const began = this.#environment.clock.monotonic();
    const span = this.#environment.tracer.start("NodeEvaluate", { node_id: this.id });
    const decoded = decodeBody(this.definition.args, block.body, scope, {
      name: this.definition.name,
      block,
      minimumStability: this.#environment.services.minimumStability,
    });
    this.#environment.observeEvaluation(this.id, this.#environment.clock.monotonic() - began);
    span.end(decoded.value === undefined ? new Error("evaluation failed") : undefined);
    this.#warn(decoded.diagnostics);
    if (decoded.value === undefined) {
      const errors = decoded.diagnostics.filter((each) => each.severity === "error");
      this.#evaluation = this.#health("unhealthy", `evaluation failed: ${errors[0]?.message ?? "unknown error"}`);
      throw new DiagnosticError(errors);
    }
    const next = decoded.value;
    const host = this.#host;
    if (host !== undefined && this.#args !== undefined && sameArguments(this.definition.args, this.#args, next)) {
      return {
        ...NO_CHANGE,
        exports: this.#exports,
        replace: async () => {
          // Somebody loads the configuration again: perhaps what the component failed for is mended.
          const isReload = block !== this.#block;
          this.#block = block;
          this.#evaluated();
          if (isReload) this.#restartNow(host);
        },
      };
    }
    if (host?.updatable) return this.#prepareUpdate(host, block, next);
    return this.#prepareStart(block, next);
  }

  /** Logs each warning once, since arguments are evaluated again whenever an export changes that they refer to. */
  #warn(diagnostics: readonly Diagnostic[]): void {
    const warnings = diagnostics.filter((each) => each.severity === "warning");
    for (const { message, span, hint } of warnings) {
      if (this.#warnings.has(message)) continue;
      this.#log.warn(message, { ...(span && { at: locationOf(span) }), ...(hint !== undefined && { hint }) });
    }
    this.#warnings = new Set(warnings.map(({ message }) => message));
  }

  #prepareUpdate(host: ComponentHost<A, E, M>, block: BlockStatement, next: A): Change {
    const previous = this.#args!;
    return {
      effect: "updated",
      exports: this.#exports,
      update: async () => {
        try {
          await host.instance.update!(next);
        } catch (error) {
          this.#evaluation = this.#health("unhealthy", `update failed: ${errorText(error)}`);
          throw this.#failure(block, "update", error);
        }
        this.#args = next;
      },
      undo: async () => {
        this.#args = previous;
        await host.instance.update!(previous);
      },
      replace: async () => {
        this.#block = block;
        this.#evaluated();
        this.#restartNow(host);
      },
      discard: async () => {},
    };
  }

  async #prepareStart(block: BlockStatement, next: A): Promise<Change> {
    let previous = this.#host;
    const effect = previous === undefined ? "added" : "restarted";
    let exports: Value | undefined;
    let carriedOut = false;
    let host: ComponentHost<A, E, M>;
    try {
      host = this.#createHost(next, (value) => {
        exports = value;
        if (carriedOut && this.#host === host) this.#setExports(value);
      });
      if (!this.#environment.inert) await host.ready();
    } catch (error) {
      this.#evaluation = this.#health("unhealthy", `building component: ${errorText(error)}`);
      throw this.#failure(block, "build", error);
    }
    return {
      effect,
      get exports() {
        return exports;
      },
      update: async () => {},
      undo: async () => {},
      replace: async (deadline) => {
        if (previous !== undefined) {
          await previous.stop(deadline);
          await previous.dispose();
          // The next host hands its exports on from this scope, and would keep the previous one, that one its own, and so on.
          previous = undefined;
        }
        this.#block = block;
        this.#args = next;
        this.#host = host;
        carriedOut = true;
        this.#setExports(exports);
        this.#evaluated();
        this.#activate(host);
      },
      discard: async () => {
        await host.stop(AbortSignal.abort());
        await host.dispose();
      },
    };
  }

  #createHost(args: A, onExport: (value: Value) => void): ComponentHost<A, E, M> {
    const { clock, services } = this.#environment;
    let current: ComponentHost<A, E, M> | undefined;
    const host = new ComponentHost<A, E, M>(this.definition, args, {
      id: this.id,
      label: this.#block.label?.text ?? "",
      clock,
      log: this.#log,
      flow: this.flow,
      tap: this.tap,
      dataPath: this.#environment.dataPath(this.id),
      services,
      metricLabels: ["component_id", this.localId, "component_path", this.#environment.path],
      references: (argument) => referredNodes(this.#block, argument),
      events: {
        exported: (values) => onExport(encodeBody(this.definition.exports!, values)),
        failed: (error) => {
          if (current !== undefined && current === this.#host) this.#failed(current, error);
        },
        health: (problem) => {
          this.#problem = problem === undefined ? undefined : this.#health("unhealthy", problem);
        },
      },
    });
    current = host;
    return host;
  }

  #activate(host: ComponentHost<A, E, M>): void {
    if (this.#environment.inert) return;
    // A reload may put a new host in the place of a failed one that waits for its next attempt.
    this.#forgetRestart();
    this.#startedAt = this.#environment.clock.monotonic();
    this.#problem = undefined;
    this.#run = this.#health("healthy", "started component");
    this.flow.restarted();
    this.flowLog.started();
    host.activate();
  }

  /** A background task rejected: the component is stopped and starts again after a pause; its neighbours go on. */
  #failed(host: ComponentHost<A, E, M> | undefined, error: unknown): void {
    if (this.#restartTimer !== undefined) return;
    const { clock } = this.#environment;
    if (clock.monotonic() - this.#startedAt > STABLE_AFTER_MS) this.#restarts = 0;
    const pauseMs = Math.min(FIRST_RESTART_MS * 2 ** this.#restarts, LAST_RESTART_MS);
    this.#restarts += 1;
    const message = `component failed and starts again in ${pauseMs / 1000} s: ${errorText(error)}`;
    this.#run = this.#health("unhealthy", message);
    this.flow.failing(message);
    this.#log.error("component failed", { error, restart_in_seconds: pauseMs / 1000 });
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      void this.#environment.serialize(() => this.#restart(host));
    }, pauseMs);
    this.#restartTimer.unref?.();
  }

  /** Does not wait for the end of the pause, if the component failed. */
  #restartNow(failed: ComponentHost<A, E, M>): void {
    if (this.#restartTimer === undefined) return;
    this.#forgetRestart();
    this.#restarts = 0;
    void this.#environment.serialize(() => this.#restart(failed));
  }

  #forgetRestart(): void {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
  }

  /** `failed` is the host that was there when the pause began, if any: a reload may have put another in its place. */
  async #restart(failed: ComponentHost<A, E, M> | undefined): Promise<void> {
    // Its turn may come after the end of the agent, or of the block, which it waited for.
    if (this.#stopped || this.#host !== failed || this.#args === undefined) return;
    await failed?.stop(AbortSignal.timeout(RESTART_DEADLINE_MS));
    await failed?.dispose();
    this.#host = undefined;
    try {
      const change = await this.#prepareStart(this.#block, this.#args);
      await change.replace(AbortSignal.timeout(RESTART_DEADLINE_MS));
    } catch (error) {
      this.#failed(undefined, error);
    }
  }

  async stop(deadline: AbortSignal): Promise<void> {
    this.#stopped = true;
    this.flowLog.stopping();
    this.#forgetRestart();
    await this.#host?.stop(deadline);
    this.#run = this.#health("exited", "component shut down");
  }

  async dispose(): Promise<void> {
    const host = this.#host;
    this.#host = undefined;
    await host?.dispose();
  }

  #setExports(value: Value | undefined): void {
    this.#exports = value;
    if (value !== undefined) this.tap.showExports(value);
    this.#onExports();
  }

  #evaluated(): void {
    this.#evaluation = this.#health("healthy", "component evaluated");
  }

  #health(state: Health["state"], message: string): Health {
    return { state, message, updated: this.#environment.clock.now() };
  }

  #failure(block: BlockStatement, verb: string, error: unknown): DiagnosticError {
    if (error instanceof DiagnosticError) return error;
    const span = { source: block.span.source, start: block.span.start, end: block.open };
    const message = `Failed to ${verb} component: ${errorText(error)}`;
    return new DiagnosticError([{ severity: "error", code: `component.${verb}`, message, span }]);
  }
}

/** The blocks that an argument's expression refers to, without the names of their exports. */
function referredNodes(block: BlockStatement, argument: string): readonly string[] {
  const found = block.body.find((each) => each.kind === "attribute" && each.name.name === argument);
  if (found?.kind !== "attribute") return [];
  const named = references(found.value).filter(({ path }) => path.length > 1 && !isStandardName(path[0]!));
  return [...new Set(named.map(({ path }) => path.slice(0, -1).join(".")))];
}
