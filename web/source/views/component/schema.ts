import { ask } from "../../agent.ts";

/** The reference from `schema.json`: what components and blocks take and give, as JSON schemas (tools/generate-docs.ts). */
export interface ReferenceJson {
  readonly version: string;
  readonly components: Readonly<Record<string, ComponentReference>>;
  readonly blocks: Readonly<Record<string, JsonSchema>>;
}

export interface ComponentReference {
  readonly summary: string;
  readonly stability: string;
  readonly example?: string;
  readonly arguments: JsonSchema;
  readonly exports?: JsonSchema;
}

export interface JsonSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly deprecated?: boolean;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly examples?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly writeOnly?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly $ref?: string;
}

export interface ArgumentReference {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

export interface BlockReference {
  readonly name: string;
  readonly description: string;
  readonly isRequired: boolean;
  readonly isRepeated: boolean;
  /** Undefined for a block that takes the blocks around it. */
  readonly body: BodyReference | undefined;
}

export interface BodyReference {
  readonly arguments: readonly ArgumentReference[];
  readonly blocks: readonly BlockReference[];
}

let asked: Promise<ReferenceJson> | undefined;

/** Asked for once, when somebody wants to read it. Rejects as `ask` does; the next call then asks again. */
export function askReference(): Promise<ReferenceJson> {
  asked ??= ask<ReferenceJson>("schema.json").catch((error: unknown) => {
    asked = undefined;
    throw error;
  });
  return asked;
}

/** Attributes and blocks of a body. In these schemas an object with named properties is always a block. */
export function bodyOf(schema: JsonSchema): BodyReference {
  const args: ArgumentReference[] = [];
  const blocks: BlockReference[] = [];
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const isRequired = schema.required?.includes(name) ?? false;
    const isRepeated = property.type === "array";
    const inner = isRepeated ? property.items : property;
    if (inner?.properties === undefined && inner?.$ref === undefined) {
      args.push({ name, schema: property, isRequired });
      continue;
    }
    blocks.push({
      name,
      description: property.description ?? "",
      isRequired: isRequired || (property.minItems ?? 0) > 0,
      isRepeated,
      body: inner.$ref === undefined ? bodyOf(inner) : undefined,
    });
  }
  return { arguments: args, blocks };
}

/** The type as the reference pages write it: `list(string)`, `duration`. */
export function typeText(schema: JsonSchema): string {
  const { type, items, additionalProperties, format, pattern, writeOnly, title } = schema;
  switch (type) {
    case "array":
      return `list(${typeText(items ?? {})})`;
    case "object":
      return `map(${typeof additionalProperties === "object" ? typeText(additionalProperties) : "any"})`;
    case "integer":
      return "int";
    case "number":
      return "float";
    case "boolean":
      return "bool";
    case "string":
      if (title !== undefined) return title;
      if (writeOnly) return "secret";
      return format === "regex" ? "regex" : pattern === undefined ? "string" : "duration";
    default:
      return "any";
  }
}
