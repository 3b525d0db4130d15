import type { FlowState, PipelineEdgeJson, PipelineJson, PipelineNodeJson } from "../../agent.ts";
import { numberText, rateText } from "../../text.ts";
import { routeKey } from "./layout.ts";

/** The pipeline as the graph uses it: looked up by id, with one edge for each pair of nodes, and in words. */

export interface Pipeline {
  readonly moduleId: string;
  readonly nodes: ReadonlyMap<string, PipelineNodeJson>;
  /** By `routeKey`. */
  readonly edges: ReadonlyMap<string, PipelineEdgeJson>;
  readonly into: ReadonlyMap<string, readonly PipelineEdgeJson[]>;
  readonly outOf: ReadonlyMap<string, readonly PipelineEdgeJson[]>;
}

/** Of several edges between two nodes the one that carries most is shown. */
const KINDS = ["reference", "targets", "data"] as const;

export function pipelineOf({ moduleId, nodes, edges }: PipelineJson): Pipeline {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const merged = new Map<string, PipelineEdgeJson>();
  for (const edge of edges) {
    if (!byId.has(edge.from) || !byId.has(edge.to)) continue;
    const key = routeKey(edge.from, edge.to);
    const other = merged.get(key);
    merged.set(key, other === undefined ? edge : mergedEdge(other, edge));
  }
  const into = new Map<string, PipelineEdgeJson[]>(nodes.map(({ id }) => [id, []]));
  const outOf = new Map<string, PipelineEdgeJson[]>(nodes.map(({ id }) => [id, []]));
  for (const edge of merged.values()) {
    into.get(edge.to)!.push(edge);
    outOf.get(edge.from)!.push(edge);
  }
  return { moduleId, nodes: byId, edges: merged, into, outOf };
}

function mergedEdge(a: PipelineEdgeJson, b: PipelineEdgeJson): PipelineEdgeJson {
  if (a.kind !== b.kind) return KINDS.indexOf(a.kind) > KINDS.indexOf(b.kind) ? a : b;
  return {
    ...a,
    itemsPerSecond: a.itemsPerSecond + b.itemsPerSecond,
    bytesPerSecond: a.bytesPerSecond + b.bytesPerSecond,
    items: a.items + b.items,
    dropped: a.dropped + b.dropped,
    waiting: a.waiting + b.waiting,
  };
}

/** The node and all that feeds it or is fed by it, however far away. */
export function connectedTo(pipeline: Pipeline, id: string): ReadonlySet<string> {
  const found = new Set([id]);
  const walk = (edgesOf: (from: string) => readonly PipelineEdgeJson[], end: "from" | "to") => {
    const open = [id];
    const seen = new Set(open);
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const edge of edgesOf(at)) {
        if (seen.has(edge[end])) continue;
        seen.add(edge[end]);
        found.add(edge[end]);
        open.push(edge[end]);
      }
    }
  };
  walk((at) => pipeline.into.get(at) ?? [], "from");
  walk((at) => pipeline.outOf.get(at) ?? [], "to");
  return found;
}

/** What a box says about its node's well-being: its flow, or its health where nothing flows or worse than that. */
export function lookOf(node: PipelineNodeJson): FlowState | "none" {
  if (node.health.state === "unhealthy" || node.health.state === "exited") return "failing";
  return node.state ?? "none";
}

/** What is wrong or missing, in one text; empty if all is well. */
export function troubleOf(node: PipelineNodeJson): string {
  const health = node.health.state === "unhealthy" || node.health.state === "exited" ? node.health.message : "";
  const cause = node.state === "ok" ? "" : node.cause;
  return [...new Set([health, cause, node.wiring])].filter(Boolean).join("; ");
}

/** `12/s → 11.5/s`: in and out, or the one there is. */
export function rateLine({ role, rates, state }: PipelineNodeJson): string {
  if (rates === null || state === null) return "";
  if (role === "value") return "";
  const into = rateText(rates.received);
  const out = rateText(rates.sent);
  if (role === "source") return `${out} out`;
  if (role === "sink") return `${into} in`;
  return `${into} in, ${out} out`;
}

/** Whether what waits is more than what is always under way. */
export function isStuck({ waiting, itemsPerSecond }: PipelineEdgeJson): boolean {
  return waiting > itemsPerSecond * STUCK_SECONDS;
}
const STUCK_SECONDS = 5;

export function waitText(edge: PipelineEdgeJson): string {
  return isStuck(edge) ? `${numberText(edge.waiting)} waiting` : "";
}
/** What does not flow along an edge: what waits and what was lost since the start. */
export function lossText(edge: PipelineEdgeJson): string {
  const lost = edge.dropped > 0 ? `${numberText(edge.dropped)} dropped` : "";
  return [waitText(edge), lost].filter(Boolean).join(", ");
}

/** Whether items are being lost now, and not only some time ago, or wait for long. */
export function edgeTrouble({ nodes }: Pipeline, edge: PipelineEdgeJson): "losing" | "waiting" | "" {
  const drops = (id: string) => (nodes.get(id)?.rates?.dropped ?? 0) > 0;
  if (edge.dropped > 0 && (drops(edge.from) || drops(edge.to))) return "losing";
  return isStuck(edge) ? "waiting" : "";
}

/** Everything that a box and its edges show, for those who do not see them. `withRates` has it change with the data. */
export function spokenNode(pipeline: Pipeline, node: PipelineNodeJson, withRates: boolean): string {
  const look = lookOf(node);
  const trouble = troubleOf(node);
  const state = look === "none" ? node.kind : look;
  const parts = [`${node.localId}, ${state}${trouble === "" ? "" : `: ${trouble}`}`];
  const rates = rateLine(node);
  if (withRates && rates !== "") parts.push(rates);
  const from = namesOf(
    pipeline,
    pipeline.into.get(node.id)!.map((edge) => edge.from),
  );
  const to = namesOf(
    pipeline,
    pipeline.outOf.get(node.id)!.map((edge) => edge.to),
  );
  if (from !== "") parts.push(`receives from ${from}`);
  if (to !== "") parts.push(`sends to ${to}`);
  if (node.modules.length > 0) parts.push("opens a module");
  return parts.join("; ");
}

const MOST_NAMES = 6;

function namesOf(pipeline: Pipeline, ids: readonly string[]): string {
  const names = ids.slice(0, MOST_NAMES).map((id) => pipeline.nodes.get(id)!.localId);
  if (ids.length > MOST_NAMES) names.push(`${ids.length - MOST_NAMES} more`);
  return names.join(", ");
}

/** The modules around one, outermost first. Iterations of a `foreach` have no module of their own between them. */
export function moduleCrumbs(moduleId: string): readonly { readonly id: string; readonly title: string }[] {
  if (moduleId === "") return [];
  const crumbs: { id: string; title: string }[] = [];
  let title = "";
  const names = moduleId.split("/");
  for (const [i, name] of names.entries()) {
    title = title === "" ? name : `${title}/${name}`;
    if (name.startsWith("foreach.") && i < names.length - 1) continue;
    crumbs.push({ id: names.slice(0, i + 1).join("/"), title });
    title = "";
  }
  return crumbs;
}
