import { type BlockStatement, blockName } from "#lang/ast";
import type { Scope } from "#lang/evaluate";
import type { Value } from "#lang/value";
import type { Health } from "./health.ts";

/** What a change of configuration does to one node. */
export type Effect = "unchanged" | "added" | "updated" | "restarted";

/**
 * A prepared change of a node or a module, not yet in force. Its life is one of
 * `update` → `replace` (carried out) or `discard` (nothing has happened).
 */
export interface Change {
  readonly effect: Effect;
  /** What dependants see once the change is in force. */
  readonly exports: Value | undefined;
  /** Changes that running components take in place. Rejects if one refuses, with all of its own undone. */
  update(): Promise<void>;
  /** Takes `update` back, because another node refused. */
  undo(): Promise<void>;
  /** Stops what is replaced or gone, within `deadline`, and lets what is new begin. Does not reject. */
  replace(deadline: AbortSignal): Promise<void>;
  /** Throws the change away. Called only if `update` was not, or was undone. */
  discard(): Promise<void>;
}

export const NO_CHANGE = {
  effect: "unchanged",
  update: async () => {},
  undo: async () => {},
  replace: async () => {},
  discard: async () => {},
} as const;

/** One block of a configuration in the graph. */
export interface GraphNode {
  /** `prometheus.scrape.default`; unique in its module. */
  readonly localId: string;
  /** What its dependants see; undefined while there is nothing to see. */
  readonly exports: Value | undefined;
  readonly health: Health;
  /** Evaluates the block in `scope`. Rejects with a DiagnosticError; nothing has changed then. */
  prepare(block: BlockStatement, scope: Scope): Promise<Change>;
  /** Ends the node: `stop` first for all nodes, sources before sinks, then `dispose` for all, sinks before sources. */
  stop(deadline: AbortSignal): Promise<void>;
  dispose(): Promise<void>;
}

/** `name.label`, or just `name` for a block without a label. */
export function nodeId(block: BlockStatement): string {
  const name = blockName(block);
  return block.label === undefined ? name : `${name}.${block.label.text}`;
}
