import type { AnyAttribute, AnyBody, Block, Blocks, Field, Written } from "./schema.ts";

/** A schema as data, in the form of the catalogue's JSON files: for comparison, reference pages and the API. */
export interface CatalogueBody {
  readonly arguments: readonly CatalogueArgument[];
  readonly blocks: readonly CatalogueBlock[];
}

export interface CatalogueArgument {
  readonly name: string;
  readonly type: string;
  readonly default: Written;
  readonly required: boolean;
  readonly documentation: string;
  readonly experimental: boolean;
  readonly deprecated: string | undefined;
  readonly unsupported: string | undefined;
  /** Why it changes nothing. */
  readonly noEffect: string | undefined;
  /** The values that the attribute takes, if they are a closed set. */
  readonly values: readonly string[] | undefined;
  /** The fields of object-typed attributes. */
  readonly fields: readonly CatalogueArgument[] | undefined;
}

export interface CatalogueBlock extends CatalogueBody {
  readonly name: string;
  readonly required: boolean;
  readonly repeatable: boolean;
  readonly label: boolean;
  readonly presentByDefault: boolean;
  /** The group of ordered blocks that it belongs to: `stage` for `stage.json`. */
  readonly enumOf: string | undefined;
  /** The body is a map of free names, or the module that somebody else reads. */
  readonly dynamic: boolean;
  /** The body is one that is being shown further out, and is left out here. */
  readonly recursive: boolean;
  readonly documentation: string;
  readonly experimental: boolean;
  readonly deprecated: string | undefined;
  readonly unsupported: string | undefined;
}

/** Arguments and blocks in the order of the schema, blocks nested. A body inside itself is shown once. */
export function schemaToCatalogue(body: AnyBody): CatalogueBody {
  return describeBody(body, []);
}

function describeBody(body: AnyBody, around: readonly AnyBody[]): CatalogueBody {
  const found: { arguments: CatalogueArgument[]; blocks: CatalogueBlock[] } = { arguments: [], blocks: [] };
  const path = [...around, body];
  for (const [name, field] of body.fields) {
    if (field.node === "attribute") found.arguments.push(describeArgument(name, field));
    else found.blocks.push(...describeBlocks(name, field, path));
  }
  return found;
}

function describeArgument(name: string, attribute: AnyAttribute): CatalogueArgument {
  const { type } = attribute;
  const inner = type.kind === "list" || type.kind === "map" ? type.element.type : type;
  return {
    name,
    type: attribute.typeText,
    default: (attribute.defaultValue as Written | undefined) ?? null,
    required: attribute.isRequired,
    documentation: attribute.documentation,
    experimental: attribute.isExperimental,
    deprecated: attribute.deprecation,
    unsupported: attribute.unsupportedReason,
    noEffect: attribute.noEffectReason,
    values: inner.kind === "enum" ? inner.values : undefined,
    fields: inner.kind === "object" ? [...inner.fields].map(([key, each]) => describeArgument(key, each)) : undefined,
  };
}

function describeBlocks(name: string, field: Exclude<Field, AnyAttribute>, path: readonly AnyBody[]): CatalogueBlock[] {
  const block: CatalogueBlock = {
    name,
    required: field.isRequired,
    repeatable: field.node === "blocks" || field.node === "enum",
    label: field.node === "block" || field.node === "blocks" ? field.isLabelled : false,
    presentByDefault: field.node === "block" && field.isPresentByDefault,
    enumOf: undefined,
    dynamic: field.node === "map" || field.node === "raw",
    recursive: false,
    documentation: field.documentation,
    experimental: field.isExperimental,
    deprecated: field.deprecation,
    unsupported: field.unsupportedReason,
    arguments: [],
    blocks: [],
  };
  if (field.node === "enum") {
    return [...field.members].map(([kind, member]) => ({
      ...block,
      name: `${name}.${kind}`,
      enumOf: name,
      documentation: member.documentation,
      experimental: block.experimental || member.isExperimental,
      unsupported: block.unsupported ?? member.unsupportedReason,
      ...innerBody(member, path),
    }));
  }
  if (field.node === "block" || field.node === "blocks") return [{ ...block, ...innerBody(bodyOf(field), path) }];
  return [block];
}

// biome-ignore lint/suspicious/noExplicitAny: the body's type does not matter here
function bodyOf(field: Block<any, any> | Blocks<any>): AnyBody {
  return field.body;
}

/** Bodies that contain themselves come from functions, which may build them anew: the fields tell them. */
function innerBody(body: AnyBody, path: readonly AnyBody[]): CatalogueBody & { readonly recursive: boolean } {
  const recursive = path.some((each) => each === body || each.fields === body.fields);
  return recursive ? { arguments: [], blocks: [], recursive } : { ...describeBody(body, path), recursive };
}
