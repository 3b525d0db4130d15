import { blockName } from "#lang/ast";
import type { Signal } from "#pipeline/batch";
import { ArgumentNode, DeclareNode, ExportNode } from "#runtime/block-nodes";
import { ComponentNode } from "#runtime/component-node";
import { innerModules } from "#runtime/controller";
import type { Module } from "#runtime/module";
import { consumersIn, dataRole, type PlacedNode, referenceKind, type Topology } from "#runtime/topology";
import { wiringOf } from "#runtime/wiring";
import { type FlowFigures, hasFlow, healthJson, NO_EDGE_RATES } from "./flow.ts";
import type { FlowState, NodeKind, PipelineEdgeJson, PipelineJson, PipelineNodeJson, RatesJson } from "./json.ts";
import { worstState } from "./status.ts";

/** One module as a graph; undefined if there is no such module. The root's id is empty. */
export function pipelineJson(topology: Topology, moduleId: string, figures: FlowFigures): PipelineJson | undefined {
  const module = findModule(topology, moduleId);
  if (module === undefined) return undefined;
  const view = new ModuleView(topology, module, figures);
  return { moduleId, nodes: view.nodes(), edges: view.edges() };
}

function findModule(topology: Topology, moduleId: string): Module | undefined {
  if (moduleId === "") return topology.root;
  for (const { node } of topology.nodes.values()) {
    for (const inner of innerModules(node)) if (inner.environment.moduleId === moduleId) return inner;
  }
  return undefined;
}

interface Counted {
  readonly from: string;
  readonly to: string;
  readonly kind: PipelineEdgeJson["kind"];
  readonly signal: Signal | null;
  itemsPerSecond: number;
  bytesPerSecond: number;
  items: number;
  dropped: number;
  waiting: number;
}

/** What one module shows: its own nodes, and what flows between the insides of them as flowing between them. */
class ModuleView {
  readonly #topology: Topology;
  readonly #module: Module;
  readonly #figures: FlowFigures;
  readonly #own: readonly PlacedNode[];
  readonly #wiring: ReadonlyMap<string, string>;
  /** Built-in components inside of each node that has modules. */
  readonly #inside = new Map<string, ComponentNode[]>();
  readonly #edges = new Map<string, Counted>();
  /** Per second, into and out of the nodes that have modules. */
  readonly #crossing = new Map<string, { received: number; sent: number; sentBytes: number }>();

  constructor(topology: Topology, module: Module, figures: FlowFigures) {
    this.#topology = topology;
    this.#module = module;
    this.#figures = figures;
    this.#own = [...topology.nodes.values()].filter((each) => each.module === module);
    this.#wiring = wiringOf(topology);
    for (const { id, node } of topology.nodes.values()) {
      if (!(node instanceof ComponentNode)) continue;
      const place = this.#place(id);
      if (place === undefined || place.id === id) continue;
      const inside = this.#inside.get(place.id);
      if (inside === undefined) this.#inside.set(place.id, [node]);
      else inside.push(node);
    }
    this.#addFlows();
    for (const placed of this.#own) this.#addReferences(placed);
  }

  edges(): readonly PipelineEdgeJson[] {
    return [...this.#edges.values()];
  }

  nodes(): readonly PipelineNodeJson[] {
    return this.#own.map((placed) => {
      const { id, planned, node } = placed;
      const inside = this.#inside.get(id) ?? [];
      const isComponent = node instanceof ComponentNode;
      return {
        id,
        localId: planned.id,
        name: blockName(planned.block),
        label: planned.block.label?.text ?? "",
        kind: planned.kind,
        role: roleOf(placed),
        health: healthJson(node.health),
        ...(isComponent ? flowOf(node) : flowOfModule(inside)),
        rates: isComponent ? (hasFlow(node) ? this.#figures.rates(id) : null) : this.#moduleRates(id, inside),
        wiring: this.#wiring.get(id) ?? this.#wiringInside(id),
        modules: innerModules(node).map((inner) => inner.environment.moduleId),
      };
    });
  }

  /** The node of this module that is `id`, or has it inside. */
  #place(id: string): PlacedNode | undefined {
    const prefix = this.#module.environment.moduleId;
    if (prefix !== "" && !id.startsWith(`${prefix}/`)) return undefined;
    const rest = prefix === "" ? id : id.slice(prefix.length + 1);
    const [first] = rest.split("/", 1);
    return this.#topology.nodes.get(this.#module.environment.idOf(first!));
  }

  #addFlows(): void {
    for (const { from, consumer } of this.#topology.edges) {
      const source = this.#place(from.id) ?? this.#export(consumer.componentId);
      const target = this.#place(consumer.componentId) ?? this.#argument(source, consumer.componentId);
      if (source === undefined || target === undefined || source === target) continue;
      const edge = this.#edge(source.id, target.id, "data", consumer.signal);
      const counts = from.node instanceof ComponentNode ? from.node.flow.sent.get(consumer.componentId) : undefined;
      const rates = counts === undefined ? NO_EDGE_RATES : this.#figures.edgeRates(from.id, consumer.componentId);
      edge.itemsPerSecond += rates.items;
      edge.bytesPerSecond += rates.bytes;
      edge.items += counts?.items ?? 0;
      edge.dropped += counts?.dropped ?? 0;
      edge.waiting += counts?.waiting ?? 0;
      this.#crosses(source.id).sent += rates.items;
      this.#crosses(source.id).sentBytes += rates.bytes;
      this.#crosses(target.id).received += rates.items;
    }
  }

  /** The block through which data comes from outside of the module. */
  #export(componentId: string): PlacedNode | undefined {
    if (this.#place(componentId) === undefined) return undefined;
    return this.#own.find(({ node }) => node instanceof ExportNode && hasConsumer(node, componentId));
  }

  /** The block through which a node's data leaves the module. */
  #argument(source: PlacedNode | undefined, componentId: string): PlacedNode | undefined {
    if (source === undefined) return undefined;
    const used = this.#topology.references(source).map(({ to }) => to);
    return used.find(
      ({ node, module }) => module === this.#module && node instanceof ArgumentNode && hasConsumer(node, componentId),
    );
  }

  #addReferences(placed: PlacedNode): void {
    for (const reference of this.#topology.references(placed)) {
      const { to } = reference;
      if (to.module !== this.#module) continue;
      const kind = referenceKind(reference);
      if (kind === "targets") this.#edge(to.id, placed.id, "targets", null);
      else if (kind === "other") this.#edge(to.id, placed.id, "reference", null);
      else if (!this.#flows(placed.id, to.id)) {
        // What is exported can be fed; any other use of a consumer is one that nothing is sent along.
        this.#edge(placed.id, to.id, placed.node instanceof ExportNode ? "data" : "reference", null);
      }
    }
    if (placed.planned.kind !== "custom") return;
    const definition = this.#definition(blockName(placed.planned.block));
    if (definition !== undefined) this.#edge(definition.id, placed.id, "reference", null);
  }

  #flows(from: string, to: string): boolean {
    return (["logs", "metrics", "otlp", "profiles", null] as const).some((signal) =>
      this.#edges.has(edgeKey(from, to, "data", signal)),
    );
  }

  /** The `declare` or `import` block of this module that a custom component comes from. */
  #definition(name: string): PlacedNode | undefined {
    const [namespace, member] = name.split(".");
    return this.#own.find(({ node, planned }) =>
      member === undefined
        ? node instanceof DeclareNode && node.label === name
        : planned.kind === "import" && planned.block.label?.text === namespace,
    );
  }

  #edge(from: string, to: string, kind: Counted["kind"], signal: Signal | null): Counted {
    const key = edgeKey(from, to, kind, signal);
    let edge = this.#edges.get(key);
    if (edge === undefined) {
      edge = { from, to, kind, signal, itemsPerSecond: 0, bytesPerSecond: 0, items: 0, dropped: 0, waiting: 0 };
      this.#edges.set(key, edge);
    }
    return edge;
  }

  #crosses(id: string) {
    let rates = this.#crossing.get(id);
    if (rates === undefined) this.#crossing.set(id, (rates = { received: 0, sent: 0, sentBytes: 0 }));
    return rates;
  }

  #moduleRates(id: string, inside: readonly ComponentNode[]): RatesJson | null {
    if (inside.length === 0) return null;
    const dropped = inside.reduce((sum, node) => sum + this.#figures.rates(node.id).dropped, 0);
    return { ...this.#crosses(id), dropped };
  }

  #wiringInside(id: string): string {
    for (const [inner, problem] of this.#wiring) {
      if (inner.startsWith(`${id}/`)) return `inside, ${inner.slice(id.length + 1)}: ${problem}`;
    }
    return "";
  }
}

function edgeKey(from: string, to: string, kind: string, signal: string | null): string {
  return `${from}\n${to}\n${kind}\n${signal}`;
}

function hasConsumer({ exports }: ExportNode | ArgumentNode, componentId: string): boolean {
  return consumersIn(exports).some((each) => each.componentId === componentId);
}

function flowOf(node: ComponentNode): { state: FlowState | null; cause: string } {
  return hasFlow(node) ? { state: node.flow.status.state, cause: node.flow.status.cause } : { state: null, cause: "" };
}

/** The worst of what runs inside, with its cause. */
function flowOfModule(inside: readonly ComponentNode[]): { state: FlowState | null; cause: string } {
  const flowing = inside.filter(hasFlow);
  if (flowing.length === 0) return { state: null, cause: "" };
  const state = worstState(flowing.map((node) => node.flow.status.state));
  const worst = flowing.find((node) => node.flow.status.state === state)!;
  return { state, cause: state === "ok" ? "" : `${worst.id}: ${worst.flow.status.cause}` };
}

const ROLES: Readonly<Record<Exclude<NodeKind, "component">, PipelineNodeJson["role"]>> = {
  custom: "module",
  foreach: "module",
  import: "module",
  declare: "config",
  config: "config",
  argument: "value",
  export: "value",
};

function roleOf({ node, planned }: PlacedNode): PipelineNodeJson["role"] {
  if (node instanceof ComponentNode) return dataRole(node);
  return ROLES[planned.kind as Exclude<NodeKind, "component">];
}
