import { EMPTY, type Node } from "./syntax.ts";

/** Whether the node can match the empty text (assertions count as empty). */
export function nullable(node: Node): boolean {
  switch (node.kind) {
    case "empty":
    case "assert":
      return true;
    case "class":
      return false;
    case "concat":
      return node.parts.every(nullable);
    case "alternate":
      return node.parts.some(nullable);
    case "repeat":
      return node.min === 0 || nullable(node.body);
    case "capture":
      return nullable(node.body);
  }
}

/** Whether the node can match the empty text at any place. */
function emptyAnywhere(node: Node): boolean {
  switch (node.kind) {
    case "empty":
      return true;
    case "concat":
      return node.parts.every(emptyAnywhere);
    case "alternate":
      return node.parts.some(emptyAnywhere);
    case "repeat":
      return node.min === 0 || emptyAnywhere(node.body);
    case "capture":
      return emptyAnywhere(node.body);
    default:
      return false;
  }
}

/** The same expression without groups that capture. */
export function withoutCaptures(node: Node): Node {
  switch (node.kind) {
    case "capture":
      return withoutCaptures(node.body);
    case "concat":
    case "alternate":
      return { kind: node.kind, parts: node.parts.map(withoutCaptures) };
    case "repeat":
      return { ...node, body: withoutCaptures(node.body) };
    default:
      return node;
  }
}

/**
 * Flattens nested sequences and merges nested loops such as `(?:a*)*`, which the JavaScript engine handles in its own way
 * when an iteration is empty. Matches the same, in the same order of preference.
 */
export function simplify(node: Node): Node {
  switch (node.kind) {
    case "concat": {
      const parts = node.parts
        .map(simplify)
        .flatMap((part) => (part.kind === "concat" ? part.parts : part.kind === "empty" ? [] : [part]));
      return parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : { kind: "concat", parts };
    }
    case "alternate":
      return { kind: "alternate", parts: node.parts.map(simplify) };
    case "capture":
      return { ...node, body: simplify(node.body) };
    case "repeat": {
      const body = simplify(node.body);
      if (node.max === 0 && !hasCapture(body)) return EMPTY;
      if (node.max === 1 && node.min === 1) return body;
      if (body.kind === "empty") return EMPTY;
      // `(a*)?`: where the empty body does not help, leaving it out does not help either.
      if (node.min === 0 && node.max === 1 && node.greedy && emptyAnywhere(body)) return body;
      const inner = body.kind === "repeat" && isPlain(body) && isPlain(node) && body.greedy === node.greedy;
      if (!inner) return { ...node, body };
      return { ...body, min: Math.min(node.min, body.min), max: Math.max(node.max, body.max) };
    }
    default:
      return node;
  }
}

function isPlain(node: { min: number; max: number }): boolean {
  return node.min <= 1 && (node.max === 1 || node.max === Infinity);
}

export function hasCapture(node: Node): boolean {
  if (node.kind === "capture") return true;
  if (node.kind === "concat" || node.kind === "alternate") return node.parts.some(hasCapture);
  return node.kind === "repeat" && hasCapture(node.body);
}

/**
 * For a search that only asks whether there is a match: without what may match anything at either end. `.*x.*` is `x`,
 * which spares the engine a quadratic search. Expects no captures.
 */
export function trimForTest(root: Node): Node {
  const parts = root.kind === "concat" ? [...root.parts] : [root];
  trimEnd(parts, (part) => part.shift(), 0, "text-start");
  trimEnd(parts, (part) => part.pop(), -1, "text-end");
  return parts.length === 0 ? EMPTY : parts.length === 1 ? parts[0]! : { kind: "concat", parts };
}

function trimEnd(parts: Node[], drop: (parts: Node[]) => void, edge: 0 | -1, anchor: "text-start" | "text-end"): void {
  for (;;) {
    const first = parts.at(edge);
    if (first === undefined) return;
    if (first.kind === "repeat" && first.min === 0) {
      drop(parts);
      continue;
    }
    if (first.kind === "assert" && first.what === anchor) {
      // `^(?s:.*)` allows any start, like no anchor at all.
      const second = parts.at(edge === 0 ? 1 : -2);
      if (second?.kind === "repeat" && second.min === 0 && second.max === Infinity && matchesAnything(second.body)) {
        drop(parts);
        continue;
      }
    }
    return;
  }
}

function matchesAnything(node: Node): boolean {
  return node.kind === "class" && node.ranges.length === 2 && node.ranges[0] === 0 && node.ranges[1] === 0x10ffff;
}
