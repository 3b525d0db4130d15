import type { MetricFamily } from "#base/metrics";
import type { PlacedNode } from "#runtime/topology";
import type { ExplainJson } from "./json.ts";

/** Series of one component that are shown; the metrics page has them all. */
const MOST_SAMPLES = 500;

/** A component's own series among the agent's metrics, without the labels that say whose they are. */
export function ownSamples(families: readonly MetricFamily[], placed: PlacedNode): ExplainJson["metrics"] {
  const found: { name: string; labels: string; value: number }[] = [];
  const { path } = placed.module.environment;
  for (const { samples } of families) {
    for (const { name, labels, value } of samples) {
      if (!Number.isFinite(value) || !isOwn(labels, placed.planned.id, path)) continue;
      found.push({ name, labels: labelText(labels), value });
      if (found.length === MOST_SAMPLES) return found;
    }
  }
  return found;
}

function isOwn(labels: readonly string[], localId: string, path: string): boolean {
  let matches = 0;
  for (let i = 0; i < labels.length; i += 2) {
    if (labels[i] === "component_id" && labels[i + 1] === localId) matches += 1;
    if (labels[i] === "component_path" && labels[i + 1] === path) matches += 1;
  }
  return matches === 2;
}

function labelText(labels: readonly string[]): string {
  const pairs: string[] = [];
  for (let i = 0; i < labels.length; i += 2) {
    if (labels[i] !== "component_id" && labels[i] !== "component_path")
      pairs.push(`${labels[i]}=${JSON.stringify(labels[i + 1])}`);
  }
  return pairs.length === 0 ? "" : `{${pairs.join(", ")}}`;
}
