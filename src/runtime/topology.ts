import { blockName, type Span } from "#lang/ast";
import { type Reference, referencesOf } from "#lang/decode";
import type { AnyAttribute, AnyBody, Field } from "#lang/schema";
import { Capsule, isObjectValue, type Value } from "#lang/value";
import type { Consumer } from "#pipeline/consumer";
import { ConfigNode, DeclareNode } from "./block-nodes.ts";
import { CONFIG_BLOCKS } from "./blocks/blocks.ts";
import { ComponentNode } from "./component-node.ts";
import { innerModules } from "./controller.ts";
import type { Module } from "./module.ts";
import type { GraphNode } from "./node.ts";
import type { PlannedBlock } from "./plan.ts";

/** A node with its place among the modules. */
export interface PlacedNode {
  /** Unique in the agent: `mod.a/loki.write.default`. */
  readonly id: string;
  readonly node: GraphNode;
  readonly planned: PlannedBlock;
  readonly module: Module;
  /** The node whose inside the module is; undefined in the root. */
  readonly owner: PlacedNode | undefined;
}

/** A use of another node's value in a block's text. */
export interface NodeReference {
  readonly to: PlacedNode;
  /** What is accessed behind the node's name: `["receiver"]`. */
  readonly path: readonly string[];
  readonly span: Span;
}

/** A way that batches take, whether or not any have flowed. Config blocks that write to consumers have edges as well. */
export interface DataEdge {
  readonly from: PlacedNode;
  readonly consumer: Consumer;
}

/** What a field of a node's exports is good for. */
export type ExportKind = "consumer" | "targets" | "other";

/** How the nodes of all modules hang together at one moment. Cheap: what it looks up is kept with the blocks and arguments. */
export class Topology {
  readonly root: Module;
  /** In the order of evaluation, module by module. */
  readonly nodes: ReadonlyMap<string, PlacedNode>;
  readonly edges: readonly DataEdge[];

  constructor(root: Module) {
    this.root = root;
    const nodes = new Map<string, PlacedNode>();
    const visit = (module: Module, owner: PlacedNode | undefined) => {
      for (const { node, planned } of module.entries) {
        const placed = { id: module.environment.idOf(planned.id), node, planned, module, owner };
        nodes.set(placed.id, placed);
        for (const inner of innerModules(node)) visit(inner, placed);
      }
    };
    visit(root, undefined);
    this.nodes = nodes;
    this.edges = [...nodes.values()].flatMap((from) =>
      consumersOf(from.node).map((consumer): DataEdge => ({ from, consumer })),
    );
  }

  /** The nodes that a block's text refers to, in its order. Names inside of a `declare` mean nothing outside of it. */
  references(placed: PlacedNode): readonly NodeReference[] {
    if (placed.node instanceof DeclareNode) return [];
    return textReferences(placed.planned).flatMap((reference) => this.resolve(reference, placed) ?? []);
  }

  /** The node that a reference in `placed` begins with; templates see the blocks around them as well. */
  resolve(reference: Reference, placed: PlacedNode): NodeReference | undefined {
    let { module, owner } = placed;
    for (;;) {
      for (let length = reference.path.length; length > 0; length--) {
        const to = this.nodes.get(module.environment.idOf(reference.path.slice(0, length).join(".")));
        if (to?.module === module) return { to, path: reference.path.slice(length), span: reference.span };
      }
      if (module.kind !== "template" || owner === undefined) return undefined;
      ({ module, owner } = owner);
    }
  }
}

const referencesByBlock = new WeakMap<PlannedBlock, readonly Reference[]>();

function textReferences(planned: PlannedBlock): readonly Reference[] {
  let found = referencesByBlock.get(planned);
  if (found === undefined) referencesByBlock.set(planned, (found = referencesOf(planned.block.body)));
  return found;
}

const consumersByArguments = new WeakMap<object, readonly Consumer[]>();

/** Where a node's arguments, as they were evaluated, let it hand batches to. */
export function consumersOf(node: GraphNode): readonly Consumer[] {
  const schema: AnyBody | undefined =
    node instanceof ComponentNode
      ? node.definition.args
      : node instanceof ConfigNode
        ? CONFIG_BLOCKS.get(node.localId)
        : undefined;
  const args = node instanceof ComponentNode || node instanceof ConfigNode ? node.args : undefined;
  if (schema === undefined || typeof args !== "object" || args === null) return [];
  let found = consumersByArguments.get(args);
  if (found === undefined) {
    const all = new Map<string, Consumer>();
    collectFromBody(schema, args, all);
    consumersByArguments.set(args, (found = [...all.values()]));
  }
  return found;
}

function collectFromBody(schema: AnyBody, typed: unknown, into: Map<string, Consumer>): void {
  const values = typed as Readonly<Record<string, unknown>>;
  for (const [name, field] of schema.fields) {
    if (values[name] !== undefined) collectFromField(field, values[name], into);
  }
}

function collectFromField(field: Field, typed: unknown, into: Map<string, Consumer>): void {
  if (field.node === "attribute") collectFromAttribute(field, typed, into);
  else if (field.node === "block") collectFromBody(field.body, typed, into);
  else if (field.node === "blocks") {
    for (const each of typed as readonly unknown[]) collectFromBody(field.body, each, into);
  }
}

function collectFromAttribute({ type }: AnyAttribute, typed: unknown, into: Map<string, Consumer>): void {
  if (typed === undefined || typed === null) return;
  if (type.kind === "consumer") {
    const consumer = typed as Consumer;
    into.set(`${consumer.signal} ${consumer.componentId}`, consumer);
  } else if (type.kind === "list") {
    for (const each of typed as readonly unknown[]) collectFromAttribute(type.element, each, into);
  }
}

/** The consumers inside of a value, such as that of `argument "forward_to"`. */
export function consumersIn(value: Value | undefined, into: Consumer[] = []): readonly Consumer[] {
  if (value instanceof Capsule) {
    const inner = value.value as Partial<Consumer> | null;
    if (typeof inner?.consume === "function" && typeof inner.componentId === "string") into.push(inner as Consumer);
  } else if (Array.isArray(value)) for (const each of value) consumersIn(each, into);
  else if (value instanceof Map) for (const each of value.values()) consumersIn(each, into);
  return into;
}

/** What a built-in component does with data, by its schema. */
export function dataRole(node: ComponentNode): "source" | "processor" | "sink" | "value" {
  const takes = exportNames(node, "consumer").length > 0;
  const hands = handsOn(node.definition.args);
  if (hands) return takes ? "processor" : "source";
  return takes ? "sink" : "value";
}

const handsOnBySchema = new WeakMap<AnyBody, boolean>();

function handsOn(schema: AnyBody): boolean {
  const known = handsOnBySchema.get(schema);
  if (known !== undefined) return known;
  handsOnBySchema.set(schema, false); // ends the recursion of bodies that contain themselves
  const found = [...schema.fields.values()].some((field) => {
    if (field.node === "attribute") {
      return (
        field.type.kind === "consumer" || (field.type.kind === "list" && field.type.element.type.kind === "consumer")
      );
    }
    return (field.node === "block" || field.node === "blocks") && handsOn(field.body);
  });
  handsOnBySchema.set(schema, found);
  return found;
}

/** The names of a component's exports of one kind, by its schema. */
export function exportNames(node: ComponentNode, kind: ExportKind): readonly string[] {
  return [...(node.definition.exports?.fields ?? [])]
    .filter(([, field]) => fieldKind(field) === kind)
    .map(([name]) => name);
}

function fieldKind(field: Field | undefined): ExportKind {
  if (field?.node !== "attribute") return "other";
  return field.type.kind === "consumer" ? "consumer" : field.type.kind === "targets" ? "targets" : "other";
}

/** What a reference is good for: by the schema of built-in components, by the value itself of all others. */
export function referenceKind({ to, path }: NodeReference): ExportKind {
  const [name] = path;
  if (name === undefined) return "other";
  if (to.node instanceof ComponentNode) return fieldKind(to.node.definition.exports?.fields.get(name));
  const { exports } = to.node;
  return exports !== undefined && isObjectValue(exports) ? valueKind(exports.get(name)) : "other";
}

export function valueKind(value: Value | undefined): ExportKind {
  if (consumersIn(value).length > 0) return "consumer";
  return Array.isArray(value) && value.length > 0 && value.every((each) => isObjectValue(each)) ? "targets" : "other";
}

/** Whether a custom component's definition comes from an import, or stands inside of one that does. */
export function isImported(placed: PlacedNode | undefined): boolean {
  if (placed === undefined) return false;
  return (
    (placed.planned.kind === "custom" && blockName(placed.planned.block).includes(".")) || isImported(placed.owner)
  );
}
