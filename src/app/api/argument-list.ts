import { Labels } from "#base/labels";
import type { AttributeStatement, BlockStatement, Body, Statement } from "#lang/ast";
import { blockName } from "#lang/ast";
import { formatValue } from "#lang/format";
import { lineOf } from "#lang/position";
import type { AnyBody, Field } from "#lang/schema";
import { Capsule, Secret, type Value } from "#lang/value";
import { consumersIn } from "#runtime/topology";
import type { ArgumentJson } from "./json.ts";
import { redactSpan } from "./redact.ts";

/** Characters of a value that are shown. */
const LONGEST_VALUE = 2_000;

/** What an argument's place in the text adds to its value. */
export interface ArgumentPlace {
  /** The block that the statements stand in, for what its text hides. */
  readonly block: BlockStatement;
  /** Ids of the nodes that an expression refers to. */
  references(statement: AttributeStatement): readonly string[];
}

/**
 * The arguments of a body and of the blocks in it, one by one: those of the text in its order, then the defaults. `values`
 * are the encoded arguments, with what must not be seen replaced by secrets.
 */
export function listArguments(schema: AnyBody, values: Value, place: ArgumentPlace): readonly ArgumentJson[] {
  const found: ArgumentJson[] = [];
  const list = new ArgumentList(place, found);
  list.body(schema, values, place.block.body, "");
  return sorted(found);
}

export function sorted(found: readonly ArgumentJson[]): readonly ArgumentJson[] {
  const written = found.filter((each) => each.origin === "text").sort((a, b) => a.line - b.line);
  return [...written, ...found.filter((each) => each.origin === "default")];
}

/** One argument; `statement` is what the text says of it. */
export function argumentJson(
  path: string,
  value: Value,
  statement: AttributeStatement | undefined,
  place: ArgumentPlace,
): ArgumentJson {
  const shown = valueText(value);
  if (statement === undefined) {
    return { path, value: shown, origin: "default", expression: "", line: 0, references: [] };
  }
  return {
    path,
    value: shown,
    origin: "text",
    expression: redactSpan(statement.value.span, [place.block]),
    line: lineOf(statement.span.source, statement.name.span.start),
    references: place.references(statement),
  };
}

export function attributeOf(body: Body, name: string): AttributeStatement | undefined {
  return body.find((each): each is AttributeStatement => each.kind === "attribute" && each.name.name === name);
}

class ArgumentList {
  readonly #place: ArgumentPlace;
  readonly #into: ArgumentJson[];

  constructor(place: ArgumentPlace, into: ArgumentJson[]) {
    this.#place = place;
    this.#into = into;
  }

  body(schema: AnyBody, values: Value, body: Body, prefix: string): void {
    if (!(values instanceof Map)) return;
    for (const [name, field] of schema.fields) {
      const value = (values as ReadonlyMap<string, Value>).get(name);
      if (value !== undefined) this.#field(name, field, value, body, prefix + name);
    }
  }

  #field(name: string, field: Field, value: Value, body: Body, path: string): void {
    switch (field.node) {
      case "attribute":
        this.#into.push(argumentJson(path, value, attributeOf(body, name), this.#place));
        return;
      case "block":
        this.body(field.body, value, blocksOf(body, (each) => each === name)[0]?.body ?? [], `${path}.`);
        return;
      case "blocks": {
        const blocks = blocksOf(body, (each) => each === name);
        for (const [i, each] of (value as readonly Value[]).entries())
          this.body(field.body, each, blocks[i]?.body ?? [], `${path}[${i}].`);
        return;
      }
      case "enum": {
        const blocks = blocksOf(body, (each) => each.startsWith(`${name}.`));
        for (const [i, member] of (value as readonly ReadonlyMap<string, Value>[]).entries()) {
          for (const [kind, args] of member)
            this.body(field.members.get(kind)!, args, blocks[i]?.body ?? [], `${path}[${i}].${kind}.`);
        }
        return;
      }
      case "map": {
        const inner = blocksOf(body, (each) => each === name)[0]?.body ?? [];
        for (const [key, each] of value as ReadonlyMap<string, Value>)
          this.#into.push(argumentJson(`${path}.${key}`, each, attributeOf(inner, key), this.#place));
      }
    }
  }
}

function blocksOf(body: Body, wanted: (name: string) => boolean): readonly BlockStatement[] {
  const isWanted = (each: Statement): each is BlockStatement => each.kind === "block" && wanted(blockName(each));
  return body.filter(isWanted);
}

/** A value in the configuration language, not longer than LONGEST_VALUE and a note. */
export function valueText(value: Value): string {
  // More than that is not even laid out, since thousands of targets would take seconds.
  const budget = { left: 2 * LONGEST_VALUE };
  const text = formatValue(clipped(value, budget));
  if (budget.left > 0 && text.length <= LONGEST_VALUE) return text;
  const count = Array.isArray(value) ? ` of ${value.length} elements` : "";
  return `${text.slice(0, LONGEST_VALUE)}… (the rest${count} is not shown)`;
}

/** The beginning of a value, about as much of it as `budget` has characters. */
function clipped(value: Value, budget: { left: number }): Value {
  budget.left -= 2;
  // That a password is empty is no secret, and often the very fault.
  if (value instanceof Secret && value.reveal() === "") return "";
  if (value instanceof Capsule) return named(value);
  if (typeof value === "string") {
    const part = value.slice(0, Math.max(0, budget.left));
    budget.left -= value.length;
    return part;
  }
  if (Array.isArray(value)) {
    const items: Value[] = [];
    for (const each of value as readonly Value[]) {
      if (budget.left <= 0) break;
      items.push(clipped(each, budget));
    }
    return items;
  }
  if (!(value instanceof Map || value instanceof Labels)) return value;
  const fields = new Map<string, Value>();
  for (const [key, each] of value) {
    if (budget.left <= 0) break;
    budget.left -= key.length + 3;
    fields.set(key, clipped(each as Value, budget));
  }
  return fields;
}

/** Consumers say whose they are. */
function named(capsule: Capsule): Capsule {
  const [consumer] = consumersIn(capsule);
  return consumer === undefined ? capsule : new Capsule(`${capsule.type} of ${consumer.componentId}`, capsule.value);
}
