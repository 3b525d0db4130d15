import { hasCapture } from "./simplify.ts";
import { EMPTY, type Node } from "./syntax.ts";

/**
 * Where groups begin, found from the texts of groups alone. The engines that are bounded in time do not tell offsets (the
 * flag `d` shuts them out), so what lies between the groups is made groups too, and lengths add up.
 */
export type Plan =
  /** Text of no interest but for its length. */
  | { readonly kind: "gap"; readonly group: number }
  | { readonly kind: "sequence"; readonly parts: readonly Plan[] }
  /** A group of the original expression, number `index` there. */
  | { readonly kind: "capture"; readonly group: number; readonly index: number; readonly inner: Plan | undefined }
  | { readonly kind: "choice"; readonly group: number; readonly alternatives: readonly (Plan | undefined)[] }
  /** A loop around groups: they are those of its last iteration, which ends where the loop ends. */
  | { readonly kind: "loop"; readonly group: number; readonly iteration: number; readonly inner: Plan };

export interface OffsetPlan {
  readonly node: Node;
  readonly plan: Plan | undefined;
}

/** The expression with groups added, and how to read the original groups' places off it. */
export function planOffsets(root: Node): OffsetPlan {
  let groups = 0;

  function group(body: Node): { node: Node; group: number } {
    groups += 1;
    const index = groups;
    return { node: { kind: "capture", index, name: "", body }, group: index };
  }

  function gap(body: Node): { node: Node; plan: Plan } {
    const made = group(body);
    return { node: made.node, plan: { kind: "gap", group: made.group } };
  }

  /** Groups are numbered by their opening parentheses, so the number is taken before the body is made. */
  function around(make: () => { node: Node; plan: Plan | undefined }): {
    node: Node;
    group: number;
    plan: Plan | undefined;
  } {
    groups += 1;
    const index = groups;
    const { node, plan } = make();
    return { node: { kind: "capture", index, name: "", body: node }, group: index, plan };
  }

  function visit(node: Node): { node: Node; plan: Plan | undefined } {
    if (!hasCapture(node)) return node.kind === "empty" ? { node: EMPTY, plan: undefined } : gap(node);
    switch (node.kind) {
      case "concat":
        return visitSequence(node.parts);
      case "capture": {
        const made = around(() => (hasCapture(node.body) ? visit(node.body) : { node: node.body, plan: undefined }));
        return { node: made.node, plan: { kind: "capture", group: made.group, index: node.index, inner: made.plan } };
      }
      case "alternate": {
        const plans: (Plan | undefined)[] = [];
        const made = around(() => {
          const parts = node.parts.map((part) => {
            const visited = visit(part);
            plans.push(visited.plan);
            return visited.node;
          });
          return { node: { kind: "alternate", parts }, plan: undefined };
        });
        return { node: made.node, plan: { kind: "choice", group: made.group, alternatives: plans } };
      }
      case "repeat": {
        let iteration = 0;
        let inner: Plan | undefined;
        const made = around(() => {
          const body = around(() => visit(node.body));
          iteration = body.group;
          inner = body.plan;
          return { node: { ...node, body: body.node }, plan: undefined };
        });
        return { node: made.node, plan: { kind: "loop", group: made.group, iteration, inner: inner! } };
      }
      default:
        return gap(node);
    }
  }

  function visitSequence(parts: readonly Node[]): { node: Node; plan: Plan } {
    const nodes: Node[] = [];
    const plans: Plan[] = [];
    for (let i = 0; i < parts.length; ) {
      let end = i;
      while (end < parts.length && !hasCapture(parts[end]!)) end++;
      const visited =
        end === i ? visit(parts[i]!) : gap(end === i + 1 ? parts[i]! : { kind: "concat", parts: parts.slice(i, end) });
      nodes.push(visited.node);
      if (visited.plan !== undefined) plans.push(visited.plan);
      i = Math.max(end, i + 1);
    }
    return { node: { kind: "concat", parts: nodes }, plan: { kind: "sequence", parts: plans } };
  }

  return hasCapture(root) ? visit(root) : { node: root, plan: undefined };
}

/**
 * Writes the places of the original groups into `range`, for a part of the match that begins at `start`. Returns where the
 * part ends, or −1 if it took no part.
 */
export function place(plan: Plan, start: number, texts: readonly (string | undefined)[], range: Int32Array): number {
  if (plan.kind === "sequence") {
    let at = start;
    for (const part of plan.parts) {
      at = place(part, at, texts, range);
      if (at < 0) return -1;
    }
    return at;
  }
  const text = texts[plan.group];
  if (text === undefined) return -1;
  const end = start + text.length;
  switch (plan.kind) {
    case "capture":
      range[2 * plan.index] = start;
      range[2 * plan.index + 1] = end;
      if (plan.inner !== undefined) place(plan.inner, start, texts, range);
      break;
    case "choice":
      for (const alternative of plan.alternatives) {
        if (alternative !== undefined && place(alternative, start, texts, range) >= 0) break;
      }
      break;
    case "loop": {
      const iteration = texts[plan.iteration];
      if (iteration !== undefined) place(plan.inner, end - iteration.length, texts, range);
      break;
    }
  }
  return end;
}
