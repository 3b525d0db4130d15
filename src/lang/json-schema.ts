import type { AnyAttribute, AnyBody, Field } from "./schema.ts";

export type JsonSchema = { readonly [key: string]: unknown };

const DURATION =
  "^[-+]?(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$";

/**
 * A JSON schema (draft 2020-12) of a body, for editors and forms: attributes and blocks are properties, repeated blocks
 * arrays. Values that only expressions can give, such as capsules, are text: the expression; the title names the capsule.
 */
export function toJsonSchema(body: AnyBody, title?: string): JsonSchema {
  const definitions = new Map<ReadonlyMap<string, Field>, string>();
  const collected = new Map<string, JsonSchema>();
  const context: Context = { open: [], definitions, collected };
  const schema = bodySchema(body, context);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    ...(title === undefined ? {} : { title }),
    ...schema,
    ...(collected.size === 0 ? {} : { $defs: Object.fromEntries(collected) }),
  };
}

interface Context {
  /** The bodies around, to find those that contain themselves. */
  readonly open: ReadonlyMap<string, Field>[];
  readonly definitions: Map<ReadonlyMap<string, Field>, string>;
  readonly collected: Map<string, JsonSchema>;
}

function bodySchema(body: AnyBody, context: Context): JsonSchema {
  const { open, definitions, collected } = context;
  if (open.includes(body.fields)) {
    let name = definitions.get(body.fields);
    if (name === undefined) definitions.set(body.fields, (name = `body${definitions.size + 1}`));
    return { $ref: `#/$defs/${name}` };
  }
  open.push(body.fields);
  const properties = new Map<string, JsonSchema>();
  const required: string[] = [];
  for (const [name, field] of body.fields) {
    if (field.unsupportedReason !== undefined) continue;
    if (field.isRequired && field.node !== "enum") required.push(name);
    for (const [key, schema] of fieldSchemas(name, field, context)) properties.set(key, schema);
  }
  open.pop();
  const schema: JsonSchema = {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(required.length === 0 ? {} : { required }),
    additionalProperties: false,
  };
  const definition = definitions.get(body.fields);
  if (definition !== undefined) collected.set(definition, schema);
  return schema;
}

function* fieldSchemas(name: string, field: Field, context: Context): Iterable<readonly [string, JsonSchema]> {
  const notes = {
    ...(field.documentation === "" ? {} : { description: field.documentation }),
    ...(field.deprecation === undefined ? {} : { deprecated: true }),
  };
  switch (field.node) {
    case "attribute":
      yield [name, { ...notes, ...attributeSchema(field) }];
      return;
    case "block":
      yield [name, { ...notes, ...bodySchema(field.body, context) }];
      return;
    case "blocks":
      yield [
        name,
        {
          ...notes,
          type: "array",
          items: bodySchema(field.body, context),
          ...(field.minimum === undefined ? {} : { minItems: field.minimum }),
          ...(field.maximum === undefined ? {} : { maxItems: field.maximum }),
        },
      ];
      return;
    case "enum":
      for (const [kind, member] of field.members) {
        if (member.unsupportedReason !== undefined) continue;
        const description = member.documentation === "" ? notes : { ...notes, description: member.documentation };
        yield [`${name}.${kind}`, { ...description, type: "array", items: bodySchema(member, context) }];
      }
      return;
    case "map":
      yield [name, { ...notes, type: "object", additionalProperties: attributeSchema(field.element) }];
      return;
    case "raw":
      yield [name, { ...notes, type: "object" }];
  }
}

function attributeSchema(attribute: AnyAttribute): JsonSchema {
  const { defaultValue, minimum, maximum } = attribute;
  return {
    ...typeSchema(attribute),
    ...(defaultValue === undefined || defaultValue === null ? {} : { default: defaultValue }),
    ...limits(attribute.type.kind, minimum, maximum),
  };
}

function typeSchema({ type }: AnyAttribute): JsonSchema {
  switch (type.kind) {
    case "bool":
      return { type: "boolean" };
    case "int":
      return { type: "integer" };
    case "float":
      return { type: "number" };
    case "duration":
      return { type: "string", pattern: DURATION };
    case "regex":
      return { type: "string", format: "regex" };
    case "secret":
    case "optional_secret":
      return { type: "string", writeOnly: true };
    case "enum":
      return type.ignoreCase ? { type: "string", examples: type.values } : { type: "string", enum: type.values };
    case "any":
      return {};
    case "list":
      return { type: "array", items: attributeSchema(type.element) };
    case "map":
      return { type: "object", additionalProperties: attributeSchema(type.element) };
    case "targets":
      return { type: "array", items: { type: "object", additionalProperties: { type: "string" } } };
    case "object": {
      const fields = [...type.fields];
      const required = fields.filter(([, field]) => field.isRequired).map(([name]) => name);
      return {
        type: "object",
        properties: Object.fromEntries(fields.map(([name, field]) => [name, attributeSchema(field)])),
        ...(required.length === 0 ? {} : { required }),
        additionalProperties: false,
      };
    }
    case "consumer":
      return { type: "string", title: type.name };
    case "capsule":
      return { type: "string", title: type.capsule };
    default:
      return { type: "string" };
  }
}

/** JSON schema has a pair of limits for each type; for text with a meaning of its own there is none. */
function limits(kind: string, minimum: number | undefined, maximum: number | undefined): JsonSchema {
  const names: Readonly<Record<string, readonly [string, string]>> = {
    int: ["minimum", "maximum"],
    float: ["minimum", "maximum"],
    list: ["minItems", "maxItems"],
    targets: ["minItems", "maxItems"],
    map: ["minProperties", "maxProperties"],
    string: ["minLength", "maxLength"],
  };
  const pair = names[kind];
  if (pair === undefined) return {};
  return {
    ...(minimum === undefined ? {} : { [pair[0]]: minimum }),
    ...(maximum === undefined ? {} : { [pair[1]]: maximum }),
  };
}
