import { type Body, blockName } from "#lang/ast";
import type { Diagnostic } from "#lang/diagnostic";
import type { Field } from "#lang/schema";
import { ArgumentNode, DeclareNode } from "./block-nodes.ts";
import { ComponentNode } from "./component-node.ts";
import type { Controller } from "./controller.ts";
import { CustomNode } from "./custom-node.ts";
import { nameSpan } from "./plan.ts";
import {
  dataRole,
  type ExportKind,
  exportNames,
  isImported,
  type NodeReference,
  type PlacedNode,
  referenceKind,
  Topology,
  valueKind,
} from "./topology.ts";

/**
 * What is wrong with how the blocks of a configuration hang together, by the nodes' unique ids: valid configurations in
 * which data goes nowhere or never comes. Data cannot go in a circle: the loader refuses references that do.
 */
export function wiringProblems(controller: Controller): ReadonlyMap<string, string> {
  return wiringOf(new Topology(controller.root));
}

/** As `wiringProblems`, for those who have a topology already. */
export function wiringOf(topology: Topology): ReadonlyMap<string, string> {
  const wiring = new Wiring(topology);
  const problems = new Map<string, string>();
  for (const placed of topology.nodes.values()) {
    const problem = wiring.problem(placed);
    if (problem !== undefined) problems.set(placed.id, problem);
  }
  return problems;
}

/** The same as warnings that point at the blocks. */
export function wiringWarnings(controller: Controller): readonly Diagnostic[] {
  const topology = new Topology(controller.root);
  return [...wiringOf(topology)].map(([id, problem]) => ({
    severity: "warning",
    code: "config.wiring",
    message: `${id}: ${problem}`,
    span: nameSpan(topology.nodes.get(id)!.planned.block),
  }));
}

class Wiring {
  readonly #topology: Topology;
  /** Ids of components that something forwards to. */
  readonly #fed = new Set<string>();
  /** Ids of the components that a component forwards to. */
  readonly #next = new Map<string, string[]>();
  /** Uses of each node by others. */
  readonly #uses = new Map<string, { readonly by: PlacedNode; readonly reference: NodeReference }[]>();
  /** The ends without a destination that are all a component's data reaches; undefined if some reaches a destination. */
  readonly #deadEnds = new Map<string, readonly string[] | undefined>();

  constructor(topology: Topology) {
    this.#topology = topology;
    for (const { from, consumer } of topology.edges) {
      this.#fed.add(consumer.componentId);
      const next = this.#next.get(from.id);
      if (next === undefined) this.#next.set(from.id, [consumer.componentId]);
      else next.push(consumer.componentId);
    }
    for (const by of topology.nodes.values()) {
      for (const reference of topology.references(by)) {
        const uses = this.#uses.get(reference.to.id);
        if (uses === undefined) this.#uses.set(reference.to.id, [{ by, reference }]);
        else uses.push({ by, reference });
      }
    }
  }

  problem(placed: PlacedNode): string | undefined {
    const { node } = placed;
    if (node instanceof ComponentNode) return this.#componentProblem(placed, node);
    if (node instanceof CustomNode) return this.#customProblem(placed, node);
    if (node instanceof DeclareNode) return this.#declareProblem(placed, node);
    if (node instanceof ArgumentNode) return this.#argumentProblem(placed, node);
    return undefined;
  }

  #componentProblem(placed: PlacedNode, node: ComponentNode): string | undefined {
    const { id, planned } = placed;
    const uses = this.#uses.get(id) ?? [];
    if (dataRole(node) === "value") return uses.length > 0 ? undefined : unreadProblem(node);
    // Some components are there for their rules, which others use, and not for what flows through them.
    if (uses.some(({ reference }) => referenceKind(reference) !== "consumer")) return undefined;
    const problems: string[] = [];
    const [receiver] = exportNames(node, "consumer");
    if (receiver !== undefined && !this.#fed.has(id) && uses.length === 0) {
      const place = receiver === "input" ? "an output block" : "a forward_to";
      problems.push(
        `nothing feeds it: no component forwards to ${planned.id}.${receiver}; put that into ${place}, or remove the block`,
      );
    }
    const ends = dataRole(node) === "sink" ? undefined : this.#ends(placed);
    if (ends?.includes(id)) {
      problems.push(
        `it forwards to nothing: ${outputName(node)} is empty, and its data is dropped; name there who shall get it`,
      );
    } else if (ends !== undefined) {
      const [first, ...more] = ends;
      const others = more.length === 0 ? "" : ` and ${more.length} more`;
      problems.push(
        `its data reaches no destination: it ends at ${first}${others}, which forwards to nothing; connect that to a writer`,
      );
    }
    return problems.length === 0 ? undefined : problems.join("; ");
  }

  /** Where data of a component ends without having reached a destination; undefined if there is a way to one. */
  #ends(placed: PlacedNode): readonly string[] | undefined {
    if (this.#deadEnds.has(placed.id)) return this.#deadEnds.get(placed.id);
    const next = this.#next.get(placed.id) ?? [];
    let ends: string[] | undefined = [];
    if (next.length === 0) ends = makesMetrics(placed.planned.block.body) ? undefined : [placed.id];
    for (const id of next) {
      const after = this.#topology.nodes.get(id);
      const found =
        after?.node instanceof ComponentNode && dataRole(after.node) !== "sink" ? this.#ends(after) : undefined;
      ends = ends === undefined || found === undefined ? undefined : [...new Set([...ends, ...found])];
    }
    this.#deadEnds.set(placed.id, ends);
    return ends;
  }

  #customProblem(placed: PlacedNode, node: CustomNode): string | undefined {
    if (this.#uses.has(placed.id) || node.module.exports.size === 0) return undefined;
    for (const each of this.#topology.nodes.values()) {
      // What collects data by itself is of use without its exports.
      if (each.node instanceof ComponentNode && isInside(each, placed) && dataRole(each.node) === "source")
        return undefined;
    }
    const named = (kind: ExportKind) =>
      [...node.module.exports]
        .filter(([, value]) => valueKind(value) === kind)
        .map(([name]) => `${placed.planned.id}.${name}`);
    const receivers = named("consumer").join(" or ");
    if (receivers !== "")
      return `nothing feeds it: no component forwards to ${receivers}; put that into a forward_to, or remove the block`;
    const targets = named("targets").join(" or ");
    if (targets === "") return undefined;
    return `nothing reads its targets: give ${targets} to a component such as prometheus.scrape, or remove the block`;
  }

  #declareProblem({ module, planned, owner }: PlacedNode, { label }: DeclareNode): string | undefined {
    // Imports are libraries: nobody needs to use all of one.
    if (module.kind === "import" || isImported(owner)) return undefined;
    const others = module.entries.filter((each) => each.planned !== planned).map((each) => each.planned.block);
    if (hasBlock(others, label)) return undefined;
    return `nothing uses it: write ${label} "NAME" { … } to run what it declares, or remove it`;
  }

  #argumentProblem({ id, owner }: PlacedNode, { localId }: ArgumentNode): string | undefined {
    // Definitions that are imported may have to take what others of the same name take.
    if (isImported(owner) || this.#uses.has(id)) return undefined;
    return `nothing uses it: no block of the custom component refers to ${localId}.value; use it, or remove the argument`;
  }
}

/** For components that only export values: nobody looks at them. */
function unreadProblem(node: ComponentNode): string | undefined {
  const [targets] = exportNames(node, "targets");
  if (targets !== undefined) {
    const reader = node.localId.startsWith("local.file_match") ? "loki.source.file" : "prometheus.scrape";
    return `nothing reads its targets: give ${node.localId}.${targets} to a component such as ${reader}, or remove the block`;
  }
  const fields = [...(node.definition.exports?.fields ?? [])];
  const [handler] = fields.filter(([, field]) => field.node === "attribute" && field.type.kind === "capsule");
  if (handler === undefined || fields.length > 1) return undefined;
  return `nothing uses it: refer to ${node.localId}.${handler[0]} where it shall be used, or remove the block`;
}

/** The argument that says where data goes. */
function outputName(node: ComponentNode): string {
  for (const [name, field] of node.definition.args.fields) if (name === "forward_to" || isOutput(field)) return name;
  return "forward_to";
}

function isOutput(field: Field): boolean {
  return field.node === "block" && [...field.body.fields.values()].some((each) => isConsumerList(each));
}

function isConsumerList(field: Field): boolean {
  return field.node === "attribute" && field.type.kind === "list" && field.type.element.type.kind === "consumer";
}

/** `loki.process` with `stage.metrics` counts what passes, and may well forward it to nobody. */
function makesMetrics(body: Body): boolean {
  return hasBlock(body, "stage.metrics");
}

function hasBlock(body: Body, name: string): boolean {
  return body.some((each) => each.kind === "block" && (blockName(each) === name || hasBlock(each.body, name)));
}

function isInside(placed: PlacedNode, owner: PlacedNode): boolean {
  return placed.owner !== undefined && (placed.owner === owner || isInside(placed.owner, owner));
}
