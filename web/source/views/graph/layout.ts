import { layout as dagre, Graph } from "@dagrejs/dagre";
import { pack } from "./pack.ts";

/** Places the boxes of a graph and the lines between them, from left to right. Knows nothing of what they show. */

export const BOX_WIDTH = 236;
export const BOX_HEIGHT = 70;
const COLUMN_GAP = 84;
const ROW_GAP = 16;
/** Between parts that nothing connects. */
const PART_GAP = 44;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Where a line runs: SVG path data, the point where a text about it fits, and the area around it. */
interface Route {
  readonly path: string;
  readonly middle: Point;
  readonly bounds: Point & { readonly width: number; readonly height: number };
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** The left upper corners of the boxes, part by part, from left to right and from the top down. */
  readonly boxes: ReadonlyMap<string, Point>;
  /** By `routeKey`. */
  readonly routes: ReadonlyMap<string, Route>;
}

export interface Structure {
  readonly nodes: readonly string[];
  /** No two of the same ends. Ends that are no nodes are ignored. */
  readonly edges: readonly { readonly from: string; readonly to: string }[];
}

export function routeKey(from: string, to: string): string {
  return `${from} ${to}`;
}

/** Equal for equal structures. */
export function structureKey({ nodes, edges }: Structure, aspect: number): string {
  return `${aspect}\n${nodes.join("\n")}\n\n${edges.map(({ from, to }) => routeKey(from, to)).join("\n")}`;
}

/**
 * Works a layout out. Yields between the connected parts of the graph, so that a large one need not be done in one go.
 * `aspect` is the wanted ratio of width to height; a single large part has its own.
 */
export function* layOut(structure: Structure, aspect: number): Generator<undefined, Layout, undefined> {
  const parts: Part[] = [];
  const shapes = new Map<string, Shape>();
  for (const { nodes, edges } of connectedParts(structure)) {
    // Fleets have many parts of one shape, which is worked out once.
    const key = `${nodes.length}:${edges.map(([from, to]) => `${from}>${to}`).join()}`;
    let shape = shapes.get(key);
    if (shape === undefined) shapes.set(key, (shape = shapeOf(nodes.length, edges)));
    parts.push({ nodes, edges, shape });
    yield;
  }
  return placed(parts, aspect);
}

interface Part {
  readonly nodes: readonly string[];
  /** Ends as places in `nodes`. */
  readonly edges: readonly (readonly [from: number, to: number])[];
  readonly shape: Shape;
}

/** One connected part, with its own origin. */
interface Shape {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Point[];
  /** Points where a line passes through a column of boxes on its way, for each edge. */
  readonly passes: readonly (readonly Point[])[];
}

function connectedParts({ nodes, edges }: Structure) {
  const ids = new Set(nodes);
  const used = edges.filter(({ from, to }) => from !== to && ids.has(from) && ids.has(to));
  const neighbours = new Map<string, string[]>(nodes.map((id) => [id, []]));
  for (const { from, to } of used) {
    neighbours.get(from)!.push(to);
    neighbours.get(to)!.push(from);
  }
  const partOf = new Map<string, number>();
  const parts: { nodes: string[]; edges: [number, number][] }[] = [];
  for (const start of nodes) {
    if (partOf.has(start)) continue;
    const open = [start];
    partOf.set(start, parts.length);
    for (let id = open.pop(); id !== undefined; id = open.pop()) {
      for (const next of neighbours.get(id)!) {
        if (partOf.has(next)) continue;
        partOf.set(next, parts.length);
        open.push(next);
      }
    }
    parts.push({ nodes: [], edges: [] });
  }
  const places = new Map<string, number>();
  for (const id of nodes) places.set(id, parts[partOf.get(id)!]!.nodes.push(id) - 1);
  for (const { from, to } of used) parts[partOf.get(from)!]!.edges.push([places.get(from)!, places.get(to)!]);
  return parts;
}

/** From this size on the ranks are found in a simpler way, which takes a third of the time and a few more crossings. */
const LARGE_PART = 120;

function shapeOf(size: number, edges: Part["edges"]): Shape {
  if (size === 1) return { width: BOX_WIDTH, height: BOX_HEIGHT, boxes: [{ x: 0, y: 0 }], passes: [] };
  const graph = new Graph();
  graph.setGraph({
    rankdir: "LR",
    ranksep: COLUMN_GAP,
    nodesep: ROW_GAP,
    edgesep: 12,
    ranker: size > LARGE_PART ? "longest-path" : "network-simplex",
  });
  for (let i = 0; i < size; i++) graph.setNode(String(i), { width: BOX_WIDTH, height: BOX_HEIGHT });
  for (const [from, to] of edges) graph.setEdge(String(from), String(to), {});
  dagre(graph);
  const centres = Array.from({ length: size }, (_, i) => graph.node(String(i)) as Point);
  const columns = new Set(centres.map(({ x }) => Math.round(x)));
  const passes = edges.map(([from, to]) => {
    const points: Point[] = graph.edge(String(from), String(to)).points;
    // The first and the last are on the boxes, and those between two columns would only make the line wave.
    return points.slice(1, -1).filter(({ x }) => columns.has(Math.round(x)));
  });
  const { width } = graph.graph() as { width: number };
  // Lines may run above and below all boxes, which dagre leaves out of its measure.
  const levels = [
    ...centres.flatMap(({ y }) => [y - BOX_HEIGHT / 2, y + BOX_HEIGHT / 2]),
    ...passes.flatMap((points) => points.map(({ y }) => y)),
  ];
  const top = levels.reduce((least, y) => Math.min(least, y), 0);
  const bottom = levels.reduce((most, y) => Math.max(most, y), 0);
  return {
    width,
    height: bottom - top,
    boxes: centres.map(({ x, y }) => ({ x: x - BOX_WIDTH / 2, y: y - BOX_HEIGHT / 2 - top })),
    passes: passes.map((points) => points.map(({ x, y }) => ({ x, y: y - top }))),
  };
}

function placed(parts: readonly Part[], aspect: number): Layout {
  // Tall parts first; parts of one size in the order of the configuration.
  const order = [...parts].sort((a, b) => b.shape.height - a.shape.height || b.shape.width - a.shape.width);
  const { origins, width, height } = pack(
    order.map(({ shape }) => shape),
    PART_GAP,
    aspect,
  );
  const boxes = new Map<string, Point>();
  const routes = new Map<string, Route>();
  for (const [i, { nodes, edges, shape }] of order.entries()) {
    const origin = origins[i]!;
    const at = ({ x, y }: Point) => ({ x: origin.x + x, y: origin.y + y });
    const sequence = nodes.map((_, place) => place);
    sequence.sort((a, b) => shape.boxes[a]!.x - shape.boxes[b]!.x || shape.boxes[a]!.y - shape.boxes[b]!.y);
    for (const place of sequence) boxes.set(nodes[place]!, at(shape.boxes[place]!));
    for (const [j, [from, to]] of edges.entries()) {
      const passes = shape.passes[j]!.map(at);
      routes.set(routeKey(nodes[from]!, nodes[to]!), routeOf(at(shape.boxes[from]!), passes, at(shape.boxes[to]!)));
    }
  }
  return { width, height, boxes, routes };
}

/** From the right side of one box to the left side of another, level where it passes other columns. */
function routeOf(from: Point, passes: readonly Point[], to: Point): Route {
  const levels = [
    ...passes.map(({ x, y }) => ({ from: x - BOX_WIDTH / 2, to: x + BOX_WIDTH / 2, y })),
    { from: to.x, to: to.x, y: to.y + BOX_HEIGHT / 2 },
  ];
  let x = from.x + BOX_WIDTH;
  let y = from.y + BOX_HEIGHT / 2;
  let path = `M${text(x)} ${text(y)}`;
  let middle = { x, y };
  for (const level of levels) {
    // A line that runs backwards, within a cycle, needs room to turn.
    const bend = level.from > x ? (level.from - x) / 2 : COLUMN_GAP;
    path += `C${text(x + bend)} ${text(y)} ${text(level.from - bend)} ${text(level.y)} ${text(level.from)} ${text(level.y)}`;
    if (level.to !== level.from) path += `H${text(level.to)}`;
    middle = { x: (x + level.from) / 2, y: (y + level.y) / 2 };
    x = level.to;
    y = level.y;
  }
  const heights = [y, from.y + BOX_HEIGHT / 2, ...passes.map((pass) => pass.y)];
  const top = Math.min(...heights);
  const [left, right] = [Math.min(x, from.x) - COLUMN_GAP, Math.max(x, from.x + BOX_WIDTH) + COLUMN_GAP];
  const bounds = { x: left, y: top - 10, width: right - left, height: Math.max(...heights) - top + 20 };
  return { path, middle, bounds };
}

function text(value: number): string {
  return String(Math.round(value * 10) / 10);
}
