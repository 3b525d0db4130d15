import type { Body } from "./output.ts";
import { type Section, textMapExpression, type Value } from "./settings.ts";

/** `bytes` is a size whose argument is a number, `byteCount` a number whose argument is a size. */
export type FieldKind = "text" | "flag" | "number" | "duration" | "size" | "bytes" | "byteCount" | "texts" | "textMap";

/** How one setting becomes one argument. */
export interface FieldRule {
  readonly from: string;
  readonly to: string;
  readonly kind: FieldKind;
  /** The argument's default, which is not written. Durations and sizes in milliseconds and bytes. */
  readonly target?: string | number | boolean;
  /** The setting's default as an expression, written where the setting is missing: only where the two differ. */
  readonly source?: string;
}

/** `name` or `name>argument`, the kind, and the defaults that matter. */
export function field(name: string, kind: FieldKind, target?: FieldRule["target"], source?: string): FieldRule {
  const [from, to = from] = name.split(">") as [string, string?];
  return {
    from,
    to,
    kind,
    ...(target === undefined ? {} : { target }),
    ...(source === undefined ? {} : { source }),
  };
}

export function texts(...names: readonly string[]): readonly FieldRule[] {
  return names.map((name) => field(name, "text", ""));
}

export function copyFields(section: Section, body: Body, rules: readonly FieldRule[]): void {
  for (const rule of rules) body.attribute(rule.to, expressionOf(section, rule));
}

function expressionOf(section: Section, rule: FieldRule): string | undefined {
  if (rule.kind === "textMap") {
    const map = section.textMap(rule.from);
    return map === undefined || map.size === 0 ? rule.source : textMapExpression(map);
  }
  const value: Value<unknown> | undefined = section[rule.kind](rule.from);
  if (value === undefined) return rule.source;
  if (Array.isArray(value.fixed) && value.fixed.length === 0) return undefined;
  return value.fixed !== undefined && value.fixed === rule.target ? undefined : value.expression;
}
