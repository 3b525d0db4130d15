import { formatByteSize, parseByteSize } from "#base/bytesize";
import { DurationError, parseDuration } from "#base/duration";
import { quoteString } from "#lang/literal";
import type { AnyAttribute } from "#lang/schema";
import { listOf, objectOf } from "../output.ts";
import { Section, type Value } from "../settings.ts";
import { isNothing, type YamlNode, type YamlScalar } from "../yaml-tree.ts";

/**
 * A setting as the value of an argument, of the argument's type; undefined, with a finding unless the setting is
 * missing, when it is not one. `fixed` is comparable with `defaultOf`: durations in milliseconds, sizes in bytes.
 */
export function readValue(attribute: AnyAttribute, section: Section, name: string): Value<unknown> | undefined {
  const { type } = attribute;
  switch (type.kind) {
    case "bool":
      return section.flag(name);
    case "int":
    case "float":
      return section.number(name);
    case "duration":
      return durationOf(section, name);
    case "byte_size":
      return section.byteCount(name);
    case "enum":
      return choiceOf(section, name, type.values);
    case "list":
      return listValue(type.element, section, name);
    case "map":
      return mapValue(type.element, section, name);
    case "object":
      return objectValue(type.fields, section, name);
    case "any":
      return anyValue(section.node(name));
    default:
      return section.text(name);
  }
}

/** An argument's default in the form of `readValue`'s `fixed`. */
export function defaultOf({ type, defaultValue }: AnyAttribute): unknown {
  if (defaultValue === undefined || defaultValue === null) return undefined;
  if (type.kind === "duration") return parseDuration(String(defaultValue));
  if (type.kind === "byte_size") return parseByteSize(String(defaultValue));
  if (type.kind === "list" && type.element.type.kind === "duration") {
    return (defaultValue as readonly string[]).map((each) => parseDuration(each));
  }
  return defaultValue;
}

/** Go's durations; whole numbers are nanoseconds, as mapstructure reads them. */
function durationOf(section: Section, name: string): Value<number> | undefined {
  const number = section.rawText(name)?.fixed?.trim();
  if (number !== undefined && /^[-+]?[0-9]+$/.test(number)) {
    const text = Number(number) === 0 ? "0s" : `${number}ns`;
    return { expression: quoteString(text), fixed: parseDuration(text) };
  }
  const value = section.duration(name);
  if (number === undefined || value === undefined) return value;
  try {
    parseDuration(number);
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
    section.add("Warning", name, "the Collector has no days, weeks and years in durations, and refuses this one");
  }
  return value;
}

/** One of some texts, whose case does not matter to most of the Collector's settings. */
function choiceOf(section: Section, name: string, choices: readonly string[]): Value<string> | undefined {
  const value = section.text(name);
  if (value?.fixed === undefined || choices.includes(value.fixed)) return value;
  const similar = choices.find((each) => each.toLowerCase() === value.fixed!.toLowerCase());
  if (similar !== undefined) return { expression: quoteString(similar), fixed: similar };
  section.add("Error", name, `must be one of ${choices.filter(Boolean).join(", ")}; it is left out`);
  return undefined;
}

/** One text stands for a list of texts with commas between them, as mapstructure's StringToSlice has it. */
function listValue(element: AnyAttribute, section: Section, name: string): Value<unknown> | undefined {
  const node = section.node(name);
  if (node === undefined) return undefined;
  let items = node.kind === "list" ? node.items : [];
  if (node.kind === "scalar" && node.text.fixed === undefined && element.type.kind === "string") {
    return { expression: `string.split(${node.text.expression}, ",")`, fixed: undefined };
  }
  if (node.kind === "scalar") items = splitText(node);
  else if (node.kind === "map") return wrong(section, name, "a list");
  const inner = innerSection(
    section,
    items.map((item, i) => [`${name}[${i}]`, item]),
  );
  return together(
    inner.names.map((each) => [each, readValue(element, inner, each)]),
    (values) => listOf(values.map(([, value]) => value.expression)),
    (values) => values.map(([, value]) => value.fixed),
  );
}

function splitText(node: YamlScalar): readonly YamlNode[] {
  const { fixed } = node.text;
  if (fixed === undefined || !fixed.includes(",")) return [node];
  return fixed.split(",").map((part) => ({ ...node, text: node.text.map(() => part), plain: false }));
}

/** A map, or a list of `name` and `value` as configopaque.MapList also takes it. */
function mapValue(element: AnyAttribute, section: Section, name: string): Value<unknown> | undefined {
  const node = section.node(name);
  if (node === undefined) return undefined;
  const fields =
    node.kind === "map" ? [...node.fields].map(([key, { value }]) => [key, value] as const) : pairsOf(node);
  if (fields === undefined) return wrong(section, name, "a map");
  const inner = innerSection(
    section,
    fields.map(([key, value]) => [`${name}.${key}`, value]),
  );
  return together(
    fields.map(([key]) => [key, readValue(element, inner, `${name}.${key}`)]),
    (values) => objectOf(values.map(([key, value]) => [key, value.expression])),
    (values) => Object.fromEntries(values.map(([key, value]) => [key, value.fixed])),
  );
}

function pairsOf(node: YamlNode): readonly (readonly [string, YamlNode])[] | undefined {
  if (node.kind !== "list") return undefined;
  const pairs: [string, YamlNode][] = [];
  for (const item of node.items) {
    const key = item.kind === "map" ? item.fields.get("name")?.value : undefined;
    if (item.kind !== "map" || key?.kind !== "scalar" || key.text.fixed === undefined) return undefined;
    pairs.push([key.text.fixed, item.fields.get("value")?.value ?? { ...key, text: key.text.map(() => "") }]);
  }
  return pairs;
}

function objectValue(
  fields: ReadonlyMap<string, AnyAttribute>,
  section: Section,
  name: string,
): Value<unknown> | undefined {
  const inner = section.section(name);
  if (inner === undefined) return undefined;
  const values = [...fields].map(([key, attribute]) => [key, readValue(attribute, inner, key)] as const);
  inner.rest();
  return together(
    values.filter(([, value]) => value !== undefined),
    (given) => objectOf(given.map(([key, value]) => [key, value.expression])),
    (given) => Object.fromEntries(given.map(([key, value]) => [key, value.fixed])),
  );
}

/** Whatever YAML says, with the types that it gives to scalars without quotes (those of its core schema). */
export function anyValue(node: YamlNode | undefined): Value<unknown> | undefined {
  if (node === undefined) return undefined;
  if (node.kind === "list") {
    const items = node.items.map((each) => [String(each.line), anyValue(each)] as const);
    return together(
      items,
      (values) => listOf(values.map(([, value]) => value.expression)),
      (values) => values.map(([, value]) => value.fixed),
    );
  }
  if (node.kind === "map") {
    return together(
      [...node.fields].map(([key, { value }]) => [key, anyValue(value)]),
      (values) => objectOf(values.map(([key, value]) => [key, value.expression])),
      (values) => Object.fromEntries(values.map(([key, value]) => [key, value.fixed])),
    );
  }
  if (isNothing(node)) return { expression: "null", fixed: null };
  const { fixed, expression } = node.text;
  if (fixed === undefined || !node.plain) return { expression, fixed };
  if (/^(?:true|True|TRUE|false|False|FALSE)$/.test(fixed)) {
    const value = fixed.toLowerCase();
    return { expression: value, fixed: value === "true" };
  }
  if (/^[-+]?(?:[0-9]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$/.test(fixed)) {
    const value = Number(fixed);
    const whole = /^[-+]?[0-9]+$/.test(fixed) ? String(BigInt(fixed.replace(/^\+/, ""))) : String(value);
    return { expression: whole, fixed: value };
  }
  return { expression, fixed };
}

/** A number of mebibytes, for arguments that are sizes. */
export function mebibytes(section: Section, name: string): Value<number> | undefined {
  const count = section.number(name);
  if (count?.fixed === undefined) return count && { expression: `${count.expression} + "MiB"`, fixed: undefined };
  const bytes = count.fixed * 1024 * 1024;
  return { expression: quoteString(bytes === 0 ? "0B" : formatByteSize(bytes)), fixed: bytes };
}

type Pairs<V> = readonly (readonly [string, V])[];

/** Values that could not be made are left out, each with its own finding. */
function together(
  all: Pairs<Value<unknown> | undefined>,
  express: (values: Pairs<Value<unknown>>) => string,
  fix: (values: Pairs<Value<unknown>>) => unknown,
): Value<unknown> {
  const values = all.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  const isFixed = values.every(([, { fixed }]) => fixed !== undefined);
  return { expression: express(values), fixed: isFixed ? fix(values) : undefined };
}

function innerSection(section: Section, fields: Pairs<YamlNode>): Section {
  const map = new Map(fields.map(([key, value]) => [key, { value, line: value.line }]));
  return new Section({ kind: "map", fields: map, line: undefined }, section.path, section.report);
}

function wrong(section: Section, name: string, wanted: string): undefined {
  section.add("Error", name, `must be ${wanted}; it is left out`);
}
