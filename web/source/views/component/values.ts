import type { AlloyJsonValue } from "../../agent.ts";

/** Values of Alloy's JSON form as text. */

/** `1,234,567`: counts are shown in full, since that is what is compared. */
export function countText(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 3 });
}

const IDENTIFIER = /^[A-Za-z_]\w*$/;
const MAX_LINE = 80;

/** A value as it would be written in a configuration, in as few lines as are easy to read. */
export function configurationText(value: AlloyJsonValue, indent = ""): string {
  switch (value.type) {
    case "null":
      return "null";
    case "number":
    case "bool":
      return String(value.value);
    case "string":
      return JSON.stringify(value.value);
    case "function":
    case "capsule":
      return value.value;
    case "array":
      return enclosed(
        "[",
        "]",
        indent,
        value.value.map((each) => configurationText(each, `${indent}\t`)),
      );
    case "object":
      return enclosed(
        "{",
        "}",
        indent,
        value.value.map(({ key, value: field }) => {
          const name = IDENTIFIER.test(key) ? key : JSON.stringify(key);
          return `${name} = ${configurationText(field, `${indent}\t`)}`;
        }),
      );
  }
}

function enclosed(open: string, close: string, indent: string, parts: readonly string[]): string {
  if (parts.length === 0) return open + close;
  const line = parts.join(", ");
  const isShort = line.length <= MAX_LINE && !line.includes("\n") && (parts.length === 1 || open === "{");
  if (isShort) return open === "{" ? `{ ${line} }` : `[${line}]`;
  return `${open}\n${parts.map((part) => `${indent}\t${part},\n`).join("")}${indent}${close}`;
}

/** Labels by name if the value is a list of label sets, as `targets` are; undefined otherwise. */
export function targetsOf(value: AlloyJsonValue): readonly ReadonlyMap<string, string>[] | undefined {
  if (value.type !== "array" || value.value.length === 0) return undefined;
  const targets: ReadonlyMap<string, string>[] = [];
  for (const each of value.value) {
    if (each.type !== "object") return undefined;
    const labels = new Map<string, string>();
    for (const { key, value: field } of each.value) {
      if (field.type !== "string" && field.type !== "capsule") return undefined;
      labels.set(key, field.value);
    }
    targets.push(labels);
  }
  return targets;
}

/** `2026-08-21T12:03:07.123Z` and the like. */
export const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Times that stand for none: Go's zero time and the beginning of the epoch. */
export function isNever(iso: string): boolean {
  const ms = Date.parse(iso);
  return ms <= 0 || iso.startsWith("0001-01-01");
}
