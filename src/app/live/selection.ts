import { editDistance, nearest } from "#lang/suggest";
import { ComponentNode } from "#runtime/component-node";
import type { Controller } from "#runtime/controller";
import { consumersOf } from "#runtime/topology";
import { globPattern } from "./glob.ts";

export type WatchedNode = Pick<ComponentNode, "id" | "tap" | "exports">;

/** What of a component is watched. */
export interface Selected {
  readonly node: WatchedNode;
  /** Ids of the components that it hands batches to. */
  readonly consumers: readonly string[];
  /** Whether batches that go to this consumer are watched. */
  readonly edge: (consumer: string) => boolean;
  /** False if only certain edges are. */
  readonly isWhole: boolean;
}

/** The request names something that is not there; the message says what, and what there is instead. */
export class SelectionError extends Error {
  override readonly name = "SelectionError";
}

interface Pattern {
  readonly component: RegExp;
  /** Undefined for all edges. */
  readonly edge: RegExp | undefined;
}

/**
 * Which components and edges to watch: `COMPONENT` is an id in which `*` stands for any characters,
 * `COMPONENT->CONSUMER` or `COMPONENT.CONSUMER` one of its edges. A consumer may be named without its module.
 */
export class Selection {
  readonly #controller: Controller;
  readonly #patterns: readonly Pattern[];
  readonly #to: readonly RegExp[];

  /** `to` narrows every pattern that names no edge itself. Throws a SelectionError for what matches nothing now. */
  constructor(controller: Controller, patterns: readonly string[], to: readonly string[]) {
    this.#controller = controller;
    const nodes = componentsOf(controller);
    this.#to = to.map(globPattern);
    this.#patterns = patterns.map((pattern) => resolve(pattern, nodes, controller));
    for (const [i, each] of this.#to.entries()) {
      const consumers = this.current().flatMap((selected) => selected.consumers);
      if (!consumers.some((id) => names(each, id))) throw noEdge(patterns.join(", "), to[i]!, consumers);
    }
  }

  /** What is there now. */
  current(): readonly Selected[] {
    const found: Selected[] = [];
    for (const node of componentsOf(this.#controller)) {
      const patterns = this.#patterns.filter((pattern) => pattern.component.test(node.id));
      if (patterns.length === 0) continue;
      const edges = patterns.map((pattern) => (pattern.edge === undefined ? this.#to : [pattern.edge]));
      const isWhole = edges.some((each) => each.length === 0);
      found.push({
        node,
        consumers: consumersOf(node).map((each) => each.componentId),
        edge: (consumer) => isWhole || edges.some((each) => each.some((edge) => names(edge, consumer))),
        isWhole,
      });
    }
    return found;
  }
}

function componentsOf(controller: Controller): ComponentNode[] {
  const found: ComponentNode[] = [];
  for (const { node } of controller.nodes()) if (node instanceof ComponentNode) found.push(node);
  return found;
}

/** Whether a pattern means this consumer: by its whole id, or without the module that it is in. */
function names(pattern: RegExp, id: string): boolean {
  return pattern.test(id) || pattern.test(id.slice(id.lastIndexOf("/") + 1));
}

function resolve(pattern: string, nodes: readonly ComponentNode[], controller: Controller): Pattern {
  const whole = globPattern(pattern);
  if (nodes.some((node) => whole.test(node.id))) return { component: whole, edge: undefined };
  let missingEdge: SelectionError | undefined;
  for (const split of splits(pattern)) {
    const component = globPattern(split.component);
    const matched = nodes.filter((node) => component.test(node.id));
    if (matched.length === 0) continue;
    const edge = globPattern(split.edge);
    const consumers = matched.flatMap((node) => consumersOf(node).map((each) => each.componentId));
    if (consumers.some((id) => names(edge, id))) return { component, edge };
    missingEdge ??= noEdge(split.component, split.edge, consumers);
  }
  throw missingEdge ?? noComponent(pattern, nodes, controller);
}

/** The ways in which a pattern can be a component and one of its edges, the longest component first. */
function splits(pattern: string): readonly { readonly component: string; readonly edge: string }[] {
  const arrow = pattern.indexOf("->");
  if (arrow >= 0) return [{ component: pattern.slice(0, arrow).trim(), edge: pattern.slice(arrow + 2).trim() }];
  const found = [];
  for (let at = pattern.lastIndexOf("."); at > 0; at = pattern.lastIndexOf(".", at - 1)) {
    found.push({ component: pattern.slice(0, at), edge: pattern.slice(at + 1) });
  }
  return found;
}

const MOST_SUGGESTIONS = 5;

function noComponent(pattern: string, nodes: readonly ComponentNode[], controller: Controller): SelectionError {
  const ids = nodes.map((node) => node.id);
  for (const { node, module } of controller.nodes()) {
    const id = module.environment.idOf(node.localId);
    if (id !== pattern || ids.includes(id)) continue;
    const inside = ids.some((each) => each.startsWith(`${id}/`));
    if (inside) return new SelectionError(`"${id}" is not a single component: ask for what is inside of it, "${id}/*"`);
  }
  if (ids.length === 0) return new SelectionError(`no component matches "${pattern}": the configuration has none`);
  return new SelectionError(`no component matches "${pattern}": ${suggestion(pattern, ids)}`);
}

function noEdge(component: string, edge: string, consumers: readonly string[]): SelectionError {
  const distinct = [...new Set(consumers)];
  const which =
    distinct.length === 0 ? "it hands nothing on to any component" : suggestion(edge, distinct, "it hands on to");
  return new SelectionError(`"${component}" hands nothing on to "${edge}": ${which}`);
}

function suggestion(wanted: string, ids: readonly string[], otherwise = "there are"): string {
  const near = nearest(wanted, ids);
  if (near !== undefined) return `did you mean "${near}"?`;
  const byDistance = [...ids].sort((a, b) => editDistance(wanted, a) - editDistance(wanted, b));
  const named = byDistance.slice(0, MOST_SUGGESTIONS).join(", ");
  return `${otherwise} ${named}${ids.length > MOST_SUGGESTIONS ? ` and ${ids.length - MOST_SUGGESTIONS} more` : ""}`;
}
