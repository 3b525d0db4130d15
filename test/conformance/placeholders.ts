import { Labels } from "#base/labels";
import { type Body, blockName } from "#lang/ast";
import { encodeBody } from "#lang/decode";
import { referencesOf, type Scope } from "#lang/evaluate";
import { parseFile } from "#lang/parser";
import { type AnyAttribute, type AnyBody, s } from "#lang/schema";
import { standardScope } from "#lang/stdlib";
import { Secret, type Value } from "#lang/value";
import type { ComponentDefinition } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import type { EntryExport } from "./compare.ts";

// biome-ignore lint/suspicious/noExplicitAny: definitions of all types
export type AnyDefinition = ComponentDefinition<any, any, any>;

/** The standard library of the machine that examples are checked for. */
export const standard = standardScope({
  environment: () => undefined,
  hostname: "example",
  os: "linux",
  arch: "amd64",
  version: "v0.0.0",
});

/** An example's blocks. Throws if it does not parse. */
export function parseExample(name: string, text: string): Body {
  const { file, diagnostics } = parseFile({ name: `${name} example`, text });
  const problem = diagnostics.find((each) => each.severity === "error");
  if (problem !== undefined) throw new Error(`${name}: the example does not parse: ${problem.message}`);
  return file.body;
}

/**
 * A scope in which each component of an example exports what its schema says, or what the catalogue says if there is no
 * such component yet: empty values, and consumers that take everything.
 */
export async function placeholderScope(
  body: Body,
  exportsOf: (component: string) => Promise<AnyBody | undefined>,
): Promise<Scope> {
  const names = new Map<string, Value>();
  const used = new Set(referencesOf(body).map((each) => each.path[0]!));
  for (const block of body) {
    if (block.kind !== "block" || block.label === undefined || !used.has(block.name[0]!.name)) continue;
    const exports = await exportsOf(blockName(block));
    if (exports === undefined) continue;
    insert(names, [...block.name.map((part) => part.name), block.label.text], placeholderExports(exports));
  }
  return { parent: standard, lookup: (name) => names.get(name) };
}

/** Exports as the catalogue lists them, as a schema. */
export function exportsFromCatalogue(exports: readonly EntryExport[]): AnyBody {
  return s.object(Object.fromEntries(exports.map(({ name, type }) => [name, attributeOfType(type)])));
}

const CONSUMER_TYPES = new Map(
  (["logs", "metrics", "otlp", "profiles"] as const).map((signal) => [s.consumer(signal).typeText, s.consumer(signal)]),
);

function attributeOfType(type: string): AnyAttribute {
  const capsule = /^capsule\((.*)\)$/.exec(type)?.[1];
  if (capsule !== undefined) return CONSUMER_TYPES.get(type as never) ?? s.capsule(capsule);
  if (type === "list(map(string))") return s.targets();
  if (type === "secret") return s.secret();
  return type === "optional_secret" || type === "string" ? s.string() : s.any();
}

function insert(names: Map<string, Value>, path: readonly string[], value: Value): void {
  let level = names;
  for (const part of path.slice(0, -1)) {
    const next = level.get(part);
    const map = next instanceof Map ? (next as Map<string, Value>) : new Map<string, Value>();
    level.set(part, map);
    level = map;
  }
  level.set(path.at(-1)!, value);
}

function placeholderExports(exports: AnyBody): Value {
  const typed: Record<string, unknown> = {};
  for (const [name, field] of exports.fields) if (field.node === "attribute") typed[name] = placeholder(field);
  return encodeBody(exports, typed);
}

function placeholder({ type }: AnyAttribute): unknown {
  switch (type.kind) {
    case "consumer":
      return { signal: type.signal, componentId: "placeholder", mutates: false, consume() {} } as unknown as Consumer;
    case "capsule":
      return {};
    case "targets":
      return [Labels.from([["__address__", "127.0.0.1:1"]])];
    case "list":
      return [];
    case "map":
      return new Map();
    case "secret":
      return new Secret("placeholder");
    case "bool":
      return false;
    case "int":
    case "float":
    case "duration":
    case "byte_size":
      return 0;
    case "any":
      return null;
    default:
      return "placeholder";
  }
}
