import type { MetricMetadata } from "#pipeline/batch";
import type { LabelBytes } from "./labels.ts";

export type TypeCode = MetricMetadata["type"];

/** Types by their code in the cache; 0 stands for a line that declares none. */
export const TYPES: readonly (TypeCode | undefined)[] = [
  undefined,
  "unknown",
  "counter",
  "gauge",
  "histogram",
  "gaugehistogram",
  "summary",
  "info",
  "stateset",
];

export const TYPE_LABEL = "__type__";
export const UNIT_LABEL = "__unit__";

const TEXT_TYPES = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);
const OPEN_METRICS_TYPES = new Set(TYPES.slice(1));

/** The code of a type as a page spells it, or 0 for one that its format does not know. */
export function typeCode(text: string, openMetrics: boolean): number {
  if (!openMetrics && text === "untyped") return 1;
  if (!(openMetrics ? OPEN_METRICS_TYPES : TEXT_TYPES).has(text as TypeCode)) return 0;
  return TYPES.indexOf(text as TypeCode);
}

/** Adds type and unit of a series as labels, in the place of exposed ones (Prometheus's schema/labels.go). */
export function addTypeAndUnit(labels: LabelBytes, type: TypeCode, unit: string): void {
  const add = (name: string, value: string) => {
    const exposed = labels.find(name);
    if (exposed >= 0) labels.blank(exposed);
    labels.add(Buffer.from(name), Buffer.from(value));
  };
  if (type !== "unknown") add(TYPE_LABEL, type);
  if (unit !== "") add(UNIT_LABEL, unit);
}
