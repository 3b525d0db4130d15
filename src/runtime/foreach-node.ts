import { createHash } from "node:crypto";
import { type BlockStatement, blockName } from "#lang/ast";
import { decodeBody } from "#lang/decode";
import { DiagnosticError } from "#lang/diagnostic";
import type { Scope } from "#lang/evaluate";
import { formatValue } from "#lang/format";
import { isObjectValue, type Value } from "#lang/value";
import { foreachSchema } from "./blocks/foreach.ts";
import type { Declarations } from "./declarations.ts";
import type { Environment } from "./environment.ts";
import { type Health, worstHealth } from "./health.ts";
import { Module, type ModuleChange } from "./module.ts";
import { type Change, type GraphNode, nodeId } from "./node.ts";
import { nameSpan } from "./plan.ts";

/** `foreach "label" { … }`: one module for each item of a collection, kept while the item stays in it. */
export class ForeachNode implements GraphNode {
  readonly localId: string;
  readonly exports = undefined;
  readonly #environment: Environment;
  #declarations: Declarations | undefined;
  #nextDeclarations: Declarations | undefined;
  #children: ReadonlyMap<string, Module> = new Map();
  #metrics: boolean | undefined;
  #health: Health;

  constructor(block: BlockStatement, environment: Environment) {
    this.localId = nodeId(block);
    this.#environment = environment;
    this.#health = this.#state("unknown", "foreach created");
  }

  get health(): Health {
    const inner = [...this.#children.values()].flatMap((module) => module.nodes.map((node) => node.health));
    return worstHealth([this.#health, ...inner]);
  }
  get modules(): readonly Module[] {
    return [...this.#children.values()];
  }

  /** Where the next `prepare` looks names up, and all later ones if its change is carried out. */
  use(declarations: Declarations): void {
    this.#nextDeclarations = declarations;
  }

  async prepare(block: BlockStatement, scope: Scope): Promise<Change> {
    const declarations = this.#nextDeclarations ?? this.#declarations!;
    this.#nextDeclarations = undefined;
    const template = block.body.find((each) => each.kind === "block" && blockName(each) === "template");
    const own = block.body.filter((each) => each !== template);
    const decoded = decodeBody(foreachSchema, own, scope, {
      name: "foreach",
      block,
      minimumStability: this.#environment.services.minimumStability,
    });
    const errors = decoded.diagnostics.filter((each) => each.severity === "error");
    if (template?.kind !== "block") {
      errors.push({
        severity: "error",
        code: "config.missing_block",
        message: 'missing required block "template"',
        span: nameSpan(block),
        hint: "put the components that shall run for each item into template { … }",
      });
    }
    if (decoded.value === undefined || template?.kind !== "block" || errors.length > 0)
      throw new DiagnosticError(errors);
    const args = decoded.value;
    // Metrics move between registries only with new components, as in Alloy.
    const keep = this.#metrics === undefined || this.#metrics === args.enable_metrics;
    const base = this.#environment.child(this.localId).withMetrics(args.enable_metrics);
    const next = new Map<string, { module: Module; change: ModuleChange }>();
    try {
      for (const [name, item] of identify(args)) {
        const module = (keep ? this.#children.get(name) : undefined) ?? new Module("template", base.child(name));
        const change = await module.prepare({
          body: template.body,
          declarations,
          modulePath: declarations.modulePath,
          arguments: new Map(),
          parentScope: scope,
          variables: new Map([[args.var, item]]),
        });
        next.set(name, { module, change });
      }
    } catch (error) {
      for (const { change } of next.values()) await change.discard();
      this.#health = this.#state("unhealthy", `foreach evaluation failed: ${(error as Error).message}`);
      throw error;
    }
    return this.#change(next, args.enable_metrics, declarations);
  }

  #change(
    next: ReadonlyMap<string, { module: Module; change: ModuleChange }>,
    metrics: boolean,
    declarations: Declarations,
  ): Change {
    const all = [...next.values()];
    const kept = new Set(all.map(({ module }) => module));
    const gone = [...this.#children.values()].filter((module) => !kept.has(module));
    return {
      effect: gone.length > 0 || all.some(({ change }) => change.effect !== "unchanged") ? "updated" : "unchanged",
      exports: undefined,
      update: async () => {
        const done: ModuleChange[] = [];
        try {
          for (const { change } of all) {
            await change.update();
            done.push(change);
          }
        } catch (error) {
          for (const change of done) await change.undo();
          throw error;
        }
      },
      undo: async () => {
        for (const { change } of all) await change.undo();
      },
      replace: async (deadline) => {
        for (const module of gone) {
          await module.stop(deadline);
          await module.dispose();
        }
        this.#children = new Map([...next].map(([name, { module }]) => [name, module]));
        this.#metrics = metrics;
        this.#declarations = declarations;
        for (const { change } of all) await change.replace(deadline);
        this.#health = this.#state("healthy", "foreach evaluated");
      },
      discard: async () => {
        for (const { change } of all) await change.discard();
      },
    };
  }

  async stop(deadline: AbortSignal): Promise<void> {
    for (const module of this.#children.values()) await module.stop(deadline);
    this.#health = this.#state("exited", "foreach shut down");
  }
  async dispose(): Promise<void> {
    for (const module of this.#children.values()) await module.dispose();
  }

  #state(state: Health["state"], message: string): Health {
    return { state, message, updated: this.#environment.clock.now() };
  }
}

interface ForeachArguments {
  readonly collection: readonly Value[];
  readonly id: string;
  readonly hash_string_id: boolean;
}

/** Names that stay the same for the same item (`foreach_<id>_<n>`), so that other items may come and go. */
function* identify(args: ForeachArguments): Iterable<readonly [name: string, item: Value]> {
  const counts = new Map<string, number>();
  for (const item of args.collection) {
    const field = args.id === "" ? undefined : fieldOf(item, args.id);
    const name = `foreach_${fingerprint(field ?? item, args.hash_string_id)}`;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    yield [`${name}_${count}`, item];
  }
}

function fieldOf(item: Value, field: string): Value | undefined {
  if (!isObjectValue(item)) return undefined;
  return item.get(field);
}

function fingerprint(id: Value, hashStrings: boolean): string {
  if (typeof id === "string" && !hashStrings) return id.replace(/[^\p{L}\p{Nd}]/gu, "_");
  // Alloy prints other than whole numbers with Go's %f.
  if (typeof id === "number" && !Number.isInteger(id)) return id.toFixed(6).replace(".", "_");
  if (typeof id === "number" || typeof id === "bigint" || typeof id === "boolean") return String(id);
  return createHash("sha256")
    .update(typeof id === "string" ? id : formatValue(id))
    .digest("hex");
}
