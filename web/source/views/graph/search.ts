import { STATES } from "../../parts/states.ts";
import { lookOf, type Pipeline, troubleOf } from "./pipeline.ts";

/** What the graph can be narrowed to, beside words. */
export const CHOICES = ["problems", ...STATES, "wiring"] as const;
type Choice = (typeof CHOICES)[number];

export const CHOICE_TITLES: Readonly<Record<Choice, string>> = {
  problems: "problems",
  failing: "failing",
  degraded: "degraded",
  idle: "idle",
  ok: "ok",
  wiring: "wired to nothing",
};

/** How many nodes each choice has. */
export function choiceCounts({ nodes }: Pipeline): ReadonlyMap<Choice, number> {
  const counts = new Map<Choice, number>();
  for (const choice of CHOICES) {
    let count = 0;
    for (const node of nodes.values()) if (isChosen(node, choice)) count += 1;
    counts.set(choice, count);
  }
  return counts;
}

/** The nodes that have all words in their id, state or cause, and are of the chosen kind; undefined if nothing is asked. */
export function findNodes({ nodes }: Pipeline, words: string, choice: string): ReadonlySet<string> | undefined {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const isKnown = (CHOICES as readonly string[]).includes(choice);
  if (wanted.length === 0 && !isKnown) return undefined;
  const found = new Set<string>();
  for (const node of nodes.values()) {
    if (isKnown && !isChosen(node, choice as Choice)) continue;
    const text = `${node.localId} ${lookOf(node)} ${troubleOf(node)}`.toLowerCase();
    if (wanted.every((word) => text.includes(word))) found.add(node.id);
  }
  return found;
}

function isChosen(node: Parameters<typeof lookOf>[0], choice: Choice): boolean {
  const look = lookOf(node);
  if (choice === "wiring") return node.wiring !== "";
  if (choice === "problems") return look === "failing" || look === "degraded" || node.wiring !== "";
  return look === choice;
}

/** The hit after (`step` 1) or before (-1) `from` in `order`, around the end. */
export function nextHit(
  order: readonly string[],
  hits: ReadonlySet<string>,
  from: string,
  step: number,
): string | undefined {
  const found = order.filter((id) => hits.has(id));
  if (found.length === 0) return undefined;
  const at = found.indexOf(from);
  if (at < 0) return step > 0 ? found[0] : found.at(-1);
  return found[(at + step + found.length) % found.length];
}
