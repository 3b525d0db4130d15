import { errorText } from "#base/log";
import type { Body } from "#lang/ast";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import type { Scope } from "#lang/evaluate";
import type { Value } from "#lang/value";
import { ArgumentNode, ConfigNode, DeclareNode, ExportNode } from "./block-nodes.ts";
import { ComponentNode } from "./component-node.ts";
import { CustomNode } from "./custom-node.ts";
import { Declarations } from "./declarations.ts";
import type { Environment } from "./environment.ts";
import { ForeachNode } from "./foreach-node.ts";
import { ImportNode } from "./import-node.ts";
import type { Change, Effect, GraphNode } from "./node.ts";
import { type ModuleKind, type PlannedBlock, planModule } from "./plan.ts";
import { ModuleScope } from "./scope.ts";

/** What a module is loaded from. */
export interface ModuleInputs {
  readonly body: Body;
  /** Where names of custom components are looked up beside the module's own. */
  readonly declarations: Declarations | undefined;
  /** The folder for `module_path`. */
  readonly modulePath: string;
  /** Values of a custom component's arguments, by name. */
  readonly arguments: ReadonlyMap<string, Value>;
  /** The scope around a `template`: its module's blocks. */
  readonly parentScope: Scope | undefined;
  /** The variable of a `foreach`. */
  readonly variables: ReadonlyMap<string, Value>;
}

/** What a reload did, by ids that are unique in the agent. */
export interface ChangeReport {
  readonly added: string[];
  readonly updated: string[];
  readonly restarted: string[];
  readonly removed: string[];
}

export interface ModuleChange extends Change {
  /** The values of the `export` blocks once the change is in force. */
  readonly exports: ReadonlyMap<string, Value>;
  /** The custom components that the new state declares. */
  readonly declarations: Declarations;
  report(into: ChangeReport): void;
}

interface Entry {
  readonly planned: PlannedBlock;
  readonly node: GraphNode;
}

/**
 * A set of blocks that refer to each other: the root configuration, the inside of a custom component, an iteration of
 * a `foreach`, or an imported file. Loads transactionally: `prepare` builds everything beside what runs, the change that
 * it returns puts all of it in force.
 */
export class Module {
  readonly kind: ModuleKind;
  readonly environment: Environment;
  /** Called when values of `export` blocks changed outside of a load. */
  readonly #onExports: () => void;
  #entries: readonly Entry[] = [];
  #inputs: ModuleInputs | undefined;
  #declarations: Declarations | undefined;
  #scope: ModuleScope | undefined;
  readonly #dirty = new Set<string>();
  #evaluating = false;

  constructor(kind: ModuleKind, environment: Environment, onExports: () => void = () => {}) {
    this.kind = kind;
    this.environment = environment;
    this.#onExports = onExports;
  }

  /** The module's nodes in the order of evaluation. */
  get nodes(): readonly GraphNode[] {
    return this.#entries.map((entry) => entry.node);
  }
  get entries(): readonly { readonly planned: PlannedBlock; readonly node: GraphNode }[] {
    return this.#entries;
  }
  /** What expressions in the module see; undefined before the first load. */
  get scope(): Scope | undefined {
    return this.#scope;
  }
  get declarations(): Declarations | undefined {
    return this.#declarations;
  }
  get exports(): ReadonlyMap<string, Value> {
    return exportsOf(this.#entries.map(({ node }) => [node, node.exports] as const));
  }

  /** Builds the module's next state. Rejects with a DiagnosticError that holds every problem; nothing has changed then. */
  async prepare(inputs: ModuleInputs): Promise<ModuleChange> {
    const declarations = new Declarations(inputs.modulePath, inputs.declarations);
    const variables = new Map(inputs.variables);
    variables.set("module_path", inputs.modulePath);
    const outer = inputs.parentScope ?? this.environment.standardScope;
    const plan = await planModule(inputs.body, {
      kind: this.kind,
      environment: this.environment,
      declarations,
      knowsName: (name) => variables.has(name) || knows(outer, name),
    });

    const running = new Map(this.#entries.map((entry) => [entry.planned.id, entry]));
    const prepared: { entry: Entry; change: Change }[] = [];
    const pending = new Map<string, Change>();
    const nodes = new Map<string, GraphNode>();
    const scope = new ModuleScope(variables, outer, () => nodes, pending);
    // With errors in the plan nothing will come of this, but the blocks' own errors shall be reported as well.
    const problems = plan.diagnostics.filter((each) => each.severity === "error");
    const failed = new Set(plan.broken);
    for (const planned of plan.blocks) {
      if ([...planned.dependencies].some((id) => failed.has(id))) {
        failed.add(planned.id); // its own message would only repeat that of the one it depends on
        continue;
      }
      const before = running.get(planned.id);
      const reusable = before?.planned.kind === planned.kind && before.planned.definition === planned.definition;
      const node = reusable ? before.node : this.#createNode(planned);
      nodes.set(planned.id, node);
      try {
        if (node instanceof ArgumentNode) node.use(inputs.arguments);
        if (node instanceof CustomNode || node instanceof ForeachNode || node instanceof ImportNode)
          node.use(declarations);
        const change = await node.prepare(planned.block, scope);
        prepared.push({ entry: { planned, node }, change });
        pending.set(planned.id, change);
      } catch (error) {
        failed.add(planned.id);
        problems.push(
          ...diagnosticsOf(error, planned).filter((each) => !problems.some((known) => covers(known, each))),
        );
      }
    }
    if (problems.length > 0) {
      for (const { change } of prepared.toReversed()) await change.discard();
      throw new DiagnosticError(problems);
    }
    const kept = new Set(prepared.map(({ entry }) => entry.node));
    const removed = this.#entries.filter(({ node }) => !kept.has(node));
    return this.#change(inputs, declarations, scope, pending, prepared, removed);
  }

  #change(
    inputs: ModuleInputs,
    declarations: Declarations,
    scope: ModuleScope,
    pending: Map<string, Change>,
    prepared: readonly { entry: Entry; change: Change }[],
    removed: readonly Entry[],
  ): ModuleChange {
    const first = this.#inputs === undefined;
    const changed = removed.length > 0 || prepared.some(({ change }) => change.effect !== "unchanged");
    return {
      effect: first ? "added" : changed ? "updated" : "unchanged",
      exports: exportsOf(prepared.map(({ entry, change }) => [entry.node, change.exports] as const)),
      declarations,
      update: async () => {
        const done: Change[] = [];
        try {
          for (const { change } of prepared) {
            await change.update();
            done.push(change);
          }
        } catch (error) {
          for (const change of done.toReversed()) await change.undo();
          throw error;
        }
      },
      undo: async () => {
        for (const { change } of prepared.toReversed()) await change.undo();
      },
      replace: async (deadline) => {
        // What goes away first, sources before sinks, since a successor may need its port or its files.
        for (const { node } of removed.toReversed()) await node.stop(deadline);
        for (const { node } of removed) await node.dispose();
        this.#entries = prepared.map(({ entry }) => entry);
        this.#inputs = inputs;
        this.#declarations = declarations;
        this.#scope = scope;
        this.#evaluating = true;
        for (const { change } of prepared) await change.replace(deadline);
        pending.clear(); // from here on the scope shows what the nodes export
        this.#evaluating = false;
        // Nodes may have exported newer values than those that their dependants were prepared with.
        for (const { entry, change } of prepared) {
          if (change.effect !== "unchanged" && entry.node.exports !== change.exports) this.#dirty.add(entry.planned.id);
        }
        if (this.#dirty.size > 0) this.#schedule();
      },
      discard: async () => {
        for (const { change } of prepared.toReversed()) await change.discard();
      },
      report: (into) => {
        for (const { entry, change } of prepared) reportNode(entry.node, change.effect, change, this.environment, into);
        for (const { node } of removed) reportRemoved(node, this.environment, into);
      },
    };
  }

  /** Evaluates the dependants of nodes whose exports changed. Part of the agent's serialized work. */
  async reevaluate(): Promise<void> {
    const scope = this.#scope;
    if (scope === undefined || this.#dirty.size === 0) return;
    const changed = new Set(this.#dirty);
    this.#dirty.clear();
    this.#evaluating = true;
    let exported = false;
    for (const { planned, node } of this.#entries) {
      if (changed.has(planned.id) && node instanceof ExportNode) exported = true;
      if (![...planned.dependencies].some((id) => changed.has(id))) continue;
      try {
        const before = node.exports;
        const change = await node.prepare(planned.block, scope);
        await change.update().catch(async (error) => {
          await change.discard();
          throw error;
        });
        await change.replace(AbortSignal.timeout(REPLACE_DEADLINE_MS));
        if (node.exports !== before) {
          changed.add(planned.id);
          if (node instanceof ExportNode) exported = true;
        }
      } catch (error) {
        // The node says so in its health and goes on with the arguments that it has.
        const text = diagnosticsOf(error, planned).map((each) => each.message);
        this.environment.log.error("failed to evaluate a block again", { block: planned.id, error: text.join("; ") });
      }
    }
    this.#evaluating = false;
    if (exported) this.#onExports();
    if (this.#dirty.size > 0) this.#schedule();
  }

  /** Ends all nodes: sources first, sinks last, within `deadline`. */
  async stop(deadline: AbortSignal): Promise<void> {
    for (const { node } of this.#entries.toReversed()) await node.stop(deadline);
  }
  async dispose(): Promise<void> {
    for (const { node } of this.#entries) await node.dispose();
    this.#entries = [];
  }

  #createNode(planned: PlannedBlock): GraphNode {
    const { block, id } = planned;
    const exported = () => this.#exported(id);
    switch (planned.kind) {
      case "component":
        return new ComponentNode(block, planned.definition!, this.environment, exported);
      case "custom":
        return new CustomNode(block, this.environment, exported);
      case "foreach":
        return new ForeachNode(block, this.environment);
      case "import":
        return new ImportNode(block, this.environment, exported);
      case "argument":
        return new ArgumentNode(block, this.environment);
      case "export":
        return new ExportNode(block, this.environment);
      case "declare":
        return new DeclareNode(block, this.environment);
      case "config":
        return new ConfigNode(block, this.environment);
    }
  }

  #exported(id: string): void {
    this.#dirty.add(id);
    if (!this.#evaluating) this.#schedule();
  }

  #schedule(): void {
    this.environment.reevaluateSoon(this);
  }
}

/** How long a restarted or removed node may take to hand on what it holds. */
export const REPLACE_DEADLINE_MS = 10_000;

/** Whether `known` is about the same text, as an unknown reference that evaluation stumbles over again. */
function covers(known: Diagnostic, next: Diagnostic): boolean {
  const [a, b] = [known.span, next.span];
  if (a === undefined || b === undefined) return known.message === next.message;
  return a.source === b.source && b.start < a.end && a.start < b.end;
}

function knows(scope: Scope | undefined, name: string): boolean {
  return scope !== undefined && (scope.lookup(name) !== undefined || knows(scope.parent, name));
}

function exportsOf(nodes: Iterable<readonly [GraphNode, Value | undefined]>): ReadonlyMap<string, Value> {
  const exports = new Map<string, Value>();
  for (const [node, value] of nodes) if (node instanceof ExportNode) exports.set(node.label, value ?? null);
  return exports;
}

function diagnosticsOf(error: unknown, planned: PlannedBlock): readonly Diagnostic[] {
  if (error instanceof DiagnosticError) return error.diagnostics;
  const { span } = planned.block;
  return [
    {
      severity: "error",
      code: "internal.unexpected",
      message: errorText(error),
      span: { ...span, end: planned.block.open },
    },
  ];
}

function reportNode(node: GraphNode, effect: Effect, change: Change, environment: Environment, into: ChangeReport) {
  if (effect === "unchanged" || !(node instanceof ComponentNode || node instanceof CustomNode)) return;
  into[effect].push(environment.idOf(node.localId));
  if ("report" in change) (change as ModuleChange).report(into);
}

function reportRemoved(node: GraphNode, environment: Environment, into: ChangeReport): void {
  if (node instanceof ComponentNode || node instanceof CustomNode) into.removed.push(environment.idOf(node.localId));
}
