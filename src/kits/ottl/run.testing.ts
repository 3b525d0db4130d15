import { decodeRequest, type OtlpObject, type OtlpValue } from "#formats/otlp/decode";
import type { OtlpKind } from "#formats/otlp/schema";
import { ArgumentError } from "#lang/faults";
import type { ContextName } from "./contexts.ts";
import { Filter } from "./filter.ts";
import { compileConditions, compileStatements, type ErrorMode, inferStatements, SIGNAL_CONTEXTS } from "./programs.ts";
import { Transformer } from "./transform.ts";
import { OttlError } from "./value.ts";

/** What becomes of a request: refused when read, failed, or its bytes afterwards. */
export type Outcome =
  | { readonly refused: string }
  | { readonly failed: string }
  | { readonly bytes: Uint8Array | undefined };

/** Runs statements on a request; "" as the context has it found out. */
export function runStatements(
  kind: OtlpKind,
  context: ContextName | "",
  statements: readonly string[],
  input: Uint8Array,
  errorMode: ErrorMode = "propagate",
): Outcome {
  return outcome(() => {
    const group =
      context === ""
        ? inferStatements(SIGNAL_CONTEXTS[kind], statements)
        : { context, statements: compileStatements(context, statements) };
    const transformer = new Transformer(kind, [{ ...group, conditions: [], errorMode }], () => {});
    return () => transformer.run(input, { clientMetadata: undefined }).bytes;
  });
}

/** Runs conditions of a context as a filter; no bytes if nothing is left. */
export function runConditions(
  kind: OtlpKind,
  context: ContextName,
  conditions: readonly string[],
  input: Uint8Array,
): Outcome {
  return outcome(() => {
    const group = new Map([[context, compileConditions(context, conditions)]]);
    const filter = new Filter(kind, [group], "propagate", () => {});
    return () => filter.run(input, { clientMetadata: undefined }).bytes;
  });
}

function outcome(compile: () => () => Uint8Array | undefined): Outcome {
  let run: () => Uint8Array | undefined;
  try {
    run = compile();
  } catch (error) {
    if (error instanceof ArgumentError) return { refused: error.message };
    throw error;
  }
  try {
    return { bytes: run() };
  } catch (error) {
    if (error instanceof OttlError) return { failed: error.message };
    throw error;
  }
}

/** Fields that are written even with their default value: leaving them out means something else. */
const PRESENT = new Set(["asInt", "asDouble", "sum", "min", "max"]);

/** A request in a form that does not depend on how it was encoded: attributes sorted, defaults left out. */
export function canonical(kind: OtlpKind, bytes: Uint8Array): OtlpValue {
  return canon(decodeRequest(kind, [bytes]));
}

function canon(value: OtlpValue): OtlpValue {
  if (Array.isArray(value)) {
    const items = value.map(canon);
    return items.every(isAttribute) ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : items;
  }
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  if (typeof value !== "object") return value;
  const isAny = Object.keys(value).some((name) => name.endsWith("Value") && name !== "quantileValues");
  const result: OtlpObject = "key" in value ? { key: value.key! } : {};
  for (const name of Object.keys(value).sort()) {
    const inner = canon(value[name]!);
    if (isAny || PRESENT.has(name) || !isDefault(inner)) result[name] = inner;
  }
  return result;
}
function isAttribute(value: OtlpValue): value is OtlpObject {
  return typeof value === "object" && "key" in value;
}
function isDefault(value: OtlpValue): boolean {
  if (typeof value === "object") return Object.keys(value).length === 0;
  return value === "" || value === 0 || value === false || value === "0";
}

/** What differs between two requests, by path: `resourceSpans.0.scopeSpans.0.spans.0.name`. Null for what is gone. */
export function differences(before: OtlpValue, after: OtlpValue, path = ""): Record<string, OtlpValue | null> {
  if (JSON.stringify(before) === JSON.stringify(after)) return {};
  if (typeof before !== "object" || typeof after !== "object" || Array.isArray(before) !== Array.isArray(after)) {
    return { [path]: after };
  }
  const from = entriesOf(before);
  const to = entriesOf(after);
  const result: Record<string, OtlpValue | null> = {};
  for (const name of new Set([...from.keys(), ...to.keys()])) {
    const place = path === "" ? name : `${path}.${name}`;
    const next = to.get(name);
    const last = from.get(name);
    if (next === undefined) result[place] = null;
    else if (last === undefined) result[place] = next;
    else Object.assign(result, differences(last, next, place));
  }
  return result;
}
/** Attributes go by their keys, other lists by number. */
function entriesOf(value: OtlpObject | OtlpValue[]): Map<string, OtlpValue> {
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const keys = value.map((item) => (isAttribute(item) ? String(item.key) : undefined));
  if (value.length > 0 && keys.every((key) => key !== undefined) && new Set(keys).size === keys.length) {
    return new Map(value.map((item, i) => [keys[i]!, (item as OtlpObject).value ?? {}]));
  }
  return new Map(value.map((item, i) => [String(i), item]));
}
