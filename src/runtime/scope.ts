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
    // Maps that were made here, and may be changed; all others belong to somebody.
    const own = new Set<Value>();
    const ownMap = (value: Value | undefined): Map<string, Value> => {
      if (value instanceof Map && own.has(value)) return value;
      const copy = new Map<string, Value>(value instanceof Map ? value : []);
      own.add(copy);
      return copy;
    };
    let tree: Map<string, Value> | undefined;
    for (const [id, node] of this.#nodes()) {
      if (!id.startsWith(prefix)) continue;
      const pending = this.#pending.get(id);
      const exports = pending === undefined ? node.exports : pending.exports;
      // Blocks of the scope around that begin with the same name stay visible beside the module's own.
      tree = ownMap(tree ?? this.parent?.lookup(name));
      const path = id.split(".").slice(1);
      const last = path.pop()!;
      let place = tree;
      for (const part of path) {
        const inner = ownMap(place.get(part));
        place.set(part, inner);
        place = inner;
      }
      place.set(last, exports ?? new Map());
    }
    return tree;
  }
}
