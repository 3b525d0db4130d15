import type { Span } from "./viewer.ts";

export interface PlacedSpan {
  readonly span: Span;
  readonly depth: number;
}

/** Parents before their children, children by their begin; spans whose parent is not there stand at the top. */
export function inTreeOrder(spans: readonly Span[]): readonly PlacedSpan[] {
  const known = new Set(spans.map(({ id }) => id));
  const children = new Map<string, Span[]>();
  for (const span of [...spans].sort((a, b) => a.start - b.start)) {
    const parent = known.has(span.parent) && span.parent !== span.id ? span.parent : "";
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [span]);
    else siblings.push(span);
  }
  const ordered: PlacedSpan[] = [];
  const seen = new Set<Span>();
  const pending = (children.get("") ?? []).map((span) => ({ span, depth: 0 })).reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next.span)) continue;
    seen.add(next.span);
    ordered.push(next);
    const { depth } = next;
    for (const span of [...(children.get(next.span.id) ?? [])].reverse()) pending.push({ span, depth: depth + 1 });
  }
  // Spans that are each other's ancestors have no top.
  for (const span of spans) if (!seen.has(span)) ordered.push({ span, depth: 0 });
  return ordered;
}
