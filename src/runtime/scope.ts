import type { Scope } from "#lang/evaluate";
import type { Value } from "#lang/value";
import type { Change, GraphNode } from "./node.ts";

/**
 * What expressions in a module see: variables, then the exports of its nodes nested by the parts of their ids
 * (`prometheus` → `exporter` → `unix` → `default` → exports), then the scope around.
 *
 * While a load is prepared, `pending` holds the changes whose exports count; afterwards it is empty and the nodes count.
 */
export class ModuleScope implements Scope {
  readonly parent: Scope | undefined;
  readonly #variables: ReadonlyMap<string, Value>;
  readonly #nodes: () => ReadonlyMap<string, GraphNode>;
  readonly #pending: ReadonlyMap<string, Change>;

  constructor(
    variables: ReadonlyMap<string, Value>,
    parent: Scope | undefined,
    nodes: () => ReadonlyMap<string, GraphNode>,
    pending: ReadonlyMap<string, Change>,
  ) {
    this.#variables = variables;
    this.parent = parent;
    this.#nodes = nodes;
    this.#pending = pending;
  }

  lookup(name: string): Value | undefined {
    const variable = this.#variables.get(name);
    if (variable !== undefined) return variable;
    const prefix = `${name}.`;
    let tree: Value | undefined;
    for (const [id, node] of this.#nodes()) {
      if (!id.startsWith(prefix)) continue;
      const pending = this.#pending.get(id);
      const exports = pending === undefined ? node.exports : pending.exports;
      // Blocks of the scope around that begin with the same name stay visible beside the module's own.
      tree ??= this.parent?.lookup(name) ?? new Map<string, Value>();
      tree = inserted(tree, id.split(".").slice(1), exports ?? new Map());
    }
    return tree;
  }
}

/** A copy of `tree` with `value` at `path`; what lies beside the path is shared. */
function inserted(tree: Value | undefined, path: readonly string[], value: Value): Value {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  const copy = new Map<string, Value>(tree instanceof Map ? tree : []);
  copy.set(first, inserted(copy.get(first), rest, value));
  return copy;
}
