import { formatByteSize } from "#base/bytesize";
import { formatDuration } from "#base/duration";
import { Labels } from "#base/labels";
import type { Regex } from "#base/regex";
import type { Body } from "./ast.ts";
import { typeName } from "./convert.ts";
import { equalValues } from "./operators.ts";
import type { AnyAttribute, AnyBody, BodySchema, Field } from "./schema.ts";
import { Capsule, Secret, type Value } from "./value.ts";

/** A typed object as a value: exports for the language, arguments for the API. What is left out is null. */
export function encodeBody<T>(schema: BodySchema<T>, typed: T): Value {
  const values = typed as Readonly<Record<string, unknown>>;
  return new Map([...schema.fields].map(([name, field]) => [name, encodeField(field, values[name])]));
}

function encodeField(field: Field, typed: unknown): Value {
  if (typed === undefined) return null;
  switch (field.node) {
    case "attribute":
      return encodeValue(field, typed);
    case "block":
      return encodeLabelled(field.body, field.isLabelled, typed);
    case "blocks":
      return (typed as readonly unknown[]).map((each) => encodeLabelled(field.body, field.isLabelled, each));
    case "enum":
      return (typed as readonly { kind: string; args: unknown }[]).map(
        ({ kind, args }) => new Map([[kind, encodeBody(field.members.get(kind)!, args)]]),
      );
    case "map":
      return encodeMap(field.element, typed as ReadonlyMap<string, unknown>);
    case "raw":
      return bodyText(typed as Body);
  }
}

function encodeLabelled(body: AnyBody, isLabelled: boolean, typed: unknown): Value {
  const encoded = encodeBody(body, typed);
  if (!isLabelled) return encoded;
  return new Map([["label", (typed as { label: string }).label], ...(encoded as ReadonlyMap<string, Value>)]);
}

function encodeMap(element: AnyAttribute, typed: ReadonlyMap<string, unknown>): Value {
  return new Map([...typed].map(([key, item]) => [key, encodeValue(element, item)]));
}

/** What an attribute decodes to, as a value again. */
export function encodeValue(attribute: AnyAttribute, typed: unknown): Value {
  const { type } = attribute;
  if (typed === undefined || typed === null) return null;
  switch (type.kind) {
    case "duration":
      return formatDuration(typed as number);
    case "byte_size":
      return formatByteSize(typed as number);
    case "regex":
      return (typed as Regex).source;
    case "list":
      return (typed as readonly unknown[]).map((each) => encodeValue(type.element, each));
    case "map":
      return encodeMap(type.element, typed as ReadonlyMap<string, unknown>);
    case "object": {
      const record = typed as Readonly<Record<string, unknown>>;
      return new Map([...type.fields].map(([name, field]) => [name, encodeValue(field, record[name])]));
    }
    case "consumer":
    case "capsule":
      return new Capsule(type.capsule, typed);
    default:
      return typed as Value;
  }
}

function bodyText(body: Body): string {
  const [first, last] = [body[0], body.at(-1)];
  return first === undefined ? "" : first.span.source.text.slice(first.span.start, last!.span.end);
}

/**
 * Whether two values are the same to whoever looks at them, so that an update can be skipped: like the language's `==`,
 * but a secret differs from plain text and functions are compared by identity.
 */
export function sameValue(a: Value, b: Value): boolean {
  if (a === b) return true;
  const type = typeName(a);
  if (type !== typeName(b)) return false;
  if (type === "array") {
    const [left, right] = [a as readonly Value[], b as readonly Value[]];
    return left.length === right.length && left.every((item, i) => sameValue(item, right[i]!));
  }
  if (a instanceof Map && b instanceof Map) return sameMap(a, b, sameValue);
  if (type === "number") return Object.is(a, b);
  return type !== "function" && equalValues(a, b);
}

/** Whether two decoded bodies are the same. Consumers and other capsules are compared by identity. */
export function sameArguments<T>(schema: BodySchema<T>, a: T, b: T): boolean {
  for (const name of schema.fields.keys()) {
    if (!sameTyped((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name])) return false;
  }
  return true;
}

/** Decoded values tell their own structure: only what the schema itself made is looked into. */
function sameTyped(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b)) return false;
    if (isBody(a) && isBody(b)) return bodyText(a) === bodyText(b);
    return a.length === b.length && a.every((item, i) => sameTyped(item, b[i]));
  }
  if (a instanceof Map) return b instanceof Map && sameMap(a, b, sameTyped);
  if (a instanceof Labels) return b instanceof Labels && a.equals(b);
  if (a instanceof Secret) return b instanceof Secret && a.reveal() === b.reveal();
  if (a instanceof Capsule) return b instanceof Capsule && a.type === b.type && a.value === b.value;
  if (isRegex(a) && isRegex(b)) return a.source === b.source;
  if (Object.getPrototypeOf(a) !== Object.prototype || Object.getPrototypeOf(b) !== Object.prototype) return false;
  const [left, right] = [Object.entries(a), b as Record<string, unknown>];
  return left.length === Object.keys(right).length && left.every(([key, item]) => sameTyped(item, right[key]));
}

function isBody(list: readonly unknown[]): list is Body {
  const first = list[0] as { kind?: unknown; span?: unknown } | null | undefined;
  return (
    typeof first === "object" && first?.span !== undefined && (first.kind === "attribute" || first.kind === "block")
  );
}

function isRegex(value: object): value is Regex {
  return "source" in value && "matchRange" in value;
}

function sameMap<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>, same: (x: V, y: V) => boolean): boolean {
  if (a.size !== b.size) return false;
  for (const [key, item] of a) {
    if (!b.has(key) || !same(item, b.get(key) as V)) return false;
  }
  return true;
}
