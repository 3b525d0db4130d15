import {
  type AttributeStatement,
  type BlockStatement,
  type Body,
  blockName,
  type Expression,
  type Span,
  type Statement,
} from "./ast.ts";
import { ConversionError, type ValuePath } from "./convert.ts";
import { decodeValue, defaultOf } from "./decode-value.ts";
import { type Diagnostic, DiagnosticError } from "./diagnostic.ts";
import {
  environmentVariables,
  evaluateExpression,
  references,
  type Scope,
  valueDiagnostic,
  writtenPart,
} from "./evaluate.ts";
import type {
  AnyAttribute,
  AnyBody,
  Block,
  Blocks,
  BodySchema,
  EnumBlocks,
  Field,
  FieldOptions,
  MapBlock,
} from "./schema.ts";
import { standardNameDiagnostic } from "./stdlib.ts";
import { nearest } from "./suggest.ts";
import { Secret } from "./value.ts";

export { decodeValue, defaultOf } from "./decode-value.ts";
export { encodeBody, encodeValue, sameArguments, sameValue } from "./encode.ts";
export { type Reference, referencesOf } from "./evaluate.ts";

export type StabilityLevel = "experimental" | "public-preview" | "generally-available";

export interface DecodeOptions {
  /** What the body belongs to, such as `prometheus.scrape`: for messages. */
  readonly name: string;
  /** The block around the body: where what is missing is reported. */
  readonly block?: BlockStatement | undefined;
  /** The least stable level that the user allows; `generally-available` unless given. */
  readonly minimumStability?: StabilityLevel | undefined;
}

/** `value` is undefined if a diagnostic is an error; warnings may come with a value. */
export interface Decoded<T> {
  readonly value: T | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Evaluates a body's expressions in `scope` and decodes it as its schema says, nested blocks included. Reports every
 * problem of the body, not just the first; rules across fields are checked once the fields themselves are right.
 */
export function decodeBody<T>(schema: BodySchema<T>, body: Body, scope: Scope, options: DecodeOptions): Decoded<T> {
  const decoder = new BodyDecoder(scope, options.minimumStability ?? "generally-available");
  const place = { name: options.name, header: options.block === undefined ? undefined : headerOf(options.block) };
  const value = decoder.body(schema, body, place);
  return { value: decoder.errors > 0 ? undefined : (value as T), diagnostics: decoder.diagnostics };
}

/** What a body without any statement decodes to; fields that are required are undefined in it. */
export function defaultsOf<T>(schema: BodySchema<T>): T {
  const value: Record<string, unknown> = {};
  for (const [name, field] of schema.fields) value[name] = absent(field);
  return value as T;
}

function absent(field: Field): unknown {
  switch (field.node) {
    case "attribute":
      return defaultOf(field);
    case "block":
      return field.isPresentByDefault ? { ...defaultsOf(field.body), ...field.overrides } : undefined;
    case "blocks":
    case "enum":
      return [];
    case "map":
      return new Map();
    case "raw":
      return undefined;
  }
}

/** The block that a body belongs to, for messages. */
interface Place {
  readonly name: string;
  readonly header: Span | undefined;
}

/** The block's name and label. */
function headerOf(block: BlockStatement): Span {
  return { ...block.span, end: block.label?.span.end ?? block.name.at(-1)!.span.end };
}

class BodyDecoder {
  readonly diagnostics: Diagnostic[] = [];
  errors = 0;
  readonly #scope: Scope;
  readonly #minimumStability: StabilityLevel;

  constructor(scope: Scope, minimumStability: StabilityLevel) {
    this.#scope = scope;
    this.#minimumStability = minimumStability;
  }

  body(schema: AnyBody, body: Body, place: Place): unknown {
    const before = this.errors;
    const value = defaultsOf(schema) as Record<string, unknown>;
    const written = new Map<string, Span>();
    const counts = new Map<string, number>();
    const seen = new Map<string, Span>();
    for (const statement of body) {
      if (statement.kind === "attribute") this.#attribute(schema, statement, value, seen, written);
      else this.#block(schema, statement, value, seen, written, counts);
    }
    for (const [name, field] of schema.fields) this.#checkPresence(name, field, written, counts.get(name) ?? 0, place);
    if (this.errors === before) this.#checkRules(schema, value, body, place);
    if (this.errors === before) this.#warn(schema, value, body, place);
    return value;
  }

  #attribute(
    schema: AnyBody,
    statement: AttributeStatement,
    value: Record<string, unknown>,
    seen: Map<string, Span>,
    written: Map<string, Span>,
  ): void {
    const { name, span } = statement.name;
    const field = schema.fields.get(name);
    if (field === undefined) {
      this.#unknown("argument", name, span, schema);
      return;
    }
    if (field.node !== "attribute") {
      const message = `"${name}" must be a block, but is used as an attribute`;
      this.#error("config.not_a_block", message, span, { hint: `write ${name} { … }` });
      return;
    }
    const first = seen.get(name);
    if (first !== undefined) {
      this.#error("config.duplicate_argument", `attribute "${name}" may only be provided once`, span, {
        related: [{ message: "first given here", span: first }],
      });
      return;
    }
    seen.set(name, span);
    written.set(name, statement.value.span);
    if (!this.#allowed(name, field, span)) return;
    const decoded = this.#value(name, field, statement);
    value[name] = decoded;
    if (decoded instanceof Secret && decoded.reveal() === "") this.#warnEmpty(name, statement);
    if (field.noEffectReason === undefined || decoded === undefined || decoded === defaultOf(field)) return;
    const message = `"${name}" has no effect: ${field.noEffectReason}`;
    this.#report({ severity: "warning", code: "config.no_effect", message, span, hint: `remove "${name}"` });
  }

  /** Evaluates and decodes one attribute; what is wrong with it is reported and gives undefined. */
  #value(name: string, field: AnyAttribute, statement: AttributeStatement): unknown {
    for (const reference of references(statement.value)) {
      const diagnostic = standardNameDiagnostic(reference, this.#scope, this.#minimumStability);
      if (diagnostic !== undefined) this.#report(diagnostic);
    }
    try {
      return decodeValue(field, evaluateExpression(statement.value, this.#scope));
    } catch (error) {
      if (error instanceof DiagnosticError) for (const each of error.diagnostics) this.#report(each);
      else if (error instanceof ConversionError) this.#report(conversionDiagnostic(error, name, field, statement));
      else throw error;
      return undefined;
    }
  }

  #block(
    schema: AnyBody,
    statement: BlockStatement,
    value: Record<string, unknown>,
    seen: Map<string, Span>,
    written: Map<string, Span>,
    counts: Map<string, number>,
  ): void {
    const name = blockName(statement);
    const header = headerOf(statement);
    const direct = schema.fields.get(name);
    const [fieldName, field] = direct === undefined ? enumFieldOf(schema, name) : [name, direct];
    if (field === undefined) {
      this.#unknown("block", name, header, schema);
      return;
    }
    if (field.node === "attribute") {
      const message = `"${name}" must be an attribute, but is used as a block`;
      this.#error("config.not_an_argument", message, header, { hint: `write ${name} = …` });
      return;
    }
    const count = (counts.get(fieldName) ?? 0) + 1;
    counts.set(fieldName, count);
    const first = seen.get(fieldName);
    const once = field.node === "block" || field.node === "raw" || field.node === "map";
    if (once && first !== undefined) {
      this.#error("config.duplicate_block", `block "${name}" may only be specified once`, header, {
        related: [{ message: "first written here", span: first }],
      });
      return;
    }
    seen.set(fieldName, header);
    written.set(fieldName, header);
    if (!this.#allowed(name, field, header)) return;
    this.#checkLabel(statement, "isLabelled" in field && field.isLabelled, header);
    this.#blockValue(fieldName, field, statement, value, { name, header });
  }

  #blockValue(
    name: string,
    field: Exclude<Field, AnyAttribute>,
    statement: BlockStatement,
    value: Record<string, unknown>,
    place: Place,
  ): void {
    switch (field.node) {
      case "block":
        value[name] = this.#bodyOfBlock(field, statement, place);
        return;
      case "blocks":
        (value[name] as unknown[]).push(this.#bodyOfBlock(field, statement, place));
        return;
      case "enum": {
        const kind = place.name.slice(name.length + 1);
        const member = field.members.get(kind)!;
        const options = { ...member, deprecation: undefined, noEffectReason: undefined };
        if (!this.#allowed(place.name, options, place.header!)) return;
        (value[name] as unknown[]).push({ kind, args: this.body(member, statement.body, place) });
        return;
      }
      case "map":
        value[name] = this.#mapBlock(field, statement);
        return;
      case "raw":
        value[name] = statement.body;
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the body's type is known to the schema alone
  #bodyOfBlock(field: Block<any, any> | Blocks<any>, statement: BlockStatement, place: Place): unknown {
    const value = this.body(field.body, statement.body, place) as Record<string, unknown>;
    return field.isLabelled ? { ...value, label: statement.label?.text ?? "" } : value;
  }

  /** A secret that is empty because an environment variable is: nothing else would say why credentials are refused. */
  #warnEmpty(name: string, { value }: AttributeStatement): void {
    const [variable] = environmentVariables(value).filter((each) => this.#isUnset(each));
    if (variable === undefined) return;
    const message = `"${name}" is empty: the environment variable ${variable.name} is not set`;
    const hint = `set ${variable.name} where the agent is started`;
    this.#report({ severity: "warning", code: "config.empty_secret", message, span: value.span, hint });
  }

  #isUnset({ call }: { readonly call: Expression }): boolean {
    try {
      return evaluateExpression(call, this.#scope) === "";
    } catch {
      return false;
    }
  }

  #mapBlock(field: MapBlock<unknown>, statement: BlockStatement): ReadonlyMap<string, unknown> {
    const items = new Map<string, unknown>();
    for (const each of statement.body) {
      if (each.kind === "block") {
        this.#error("config.unknown_block", "nested blocks not supported here", headerOf(each));
      } else {
        items.set(each.name.name, this.#value(each.name.name, field.element, each));
      }
    }
    return items;
  }

  #checkLabel(statement: BlockStatement, isLabelled: boolean, header: Span): void {
    const name = blockName(statement);
    if (isLabelled && statement.label === undefined) {
      this.#error("config.missing_label", `block "${name}" requires non-empty label`, header, {
        hint: `write ${name} "name" { … }`,
      });
    } else if (!isLabelled && statement.label !== undefined) {
      this.#error("config.unexpected_label", `block "${name}" does not support specifying labels`, header, {
        hint: "leave the label out",
      });
    }
  }

  #checkPresence(name: string, field: Field, written: ReadonlyMap<string, Span>, count: number, place: Place): void {
    if (!written.has(name)) {
      if (!field.isRequired) return;
      if (field.node === "attribute") {
        this.#error("config.missing_argument", `missing required attribute "${name}"`, place.header, {
          why: `${place.name} cannot do without it`,
          hint: `add ${name} = … (${field.typeText})`,
        });
      } else {
        const shown = field.node === "enum" ? [...field.members.keys()].map((kind) => `${name}.${kind}`) : [name];
        this.#error("config.missing_block", `missing required block "${name}"`, place.header, {
          hint: `add ${shown.join(" { … } or ")} { … }`,
        });
      }
      return;
    }
    const { minimum, maximum } = field.node === "attribute" ? {} : (field as Partial<EnumBlocks<unknown>>);
    if (minimum !== undefined && count < minimum) {
      const message = `block "${name}" must be specified at least ${minimum} times, but was specified ${count} times`;
      this.#error("config.range", message, written.get(name));
    }
    if (maximum !== undefined && count > maximum) {
      const message = `block "${name}" may be specified at most ${maximum} times, but was specified ${count} times`;
      this.#error("config.range", message, written.get(name));
    }
  }

  #checkRules(schema: AnyBody, value: unknown, body: Body, place: Place): void {
    for (const { field, message } of schema.rules.flatMap((find) => find(value))) {
      const found = fieldAt(field, body);
      const more = found?.value === undefined ? {} : this.#unsetVariable(found.value);
      this.#error("config.rule", `\`${field}\` ${message}`, found?.span ?? place.header, more);
    }
  }

  /** Names the environment variable that a refused value is empty for: the value itself shows no mistake. */
  #unsetVariable(value: Expression): Partial<Diagnostic> {
    const variable = environmentVariables(value).find((each) => this.#isUnset(each));
    if (variable === undefined) return {};
    return {
      why: `the environment variable ${variable.name} is not set`,
      hint: `set ${variable.name} where the agent is started`,
    };
  }

  #warn(schema: AnyBody, value: unknown, body: Body, place: Place): void {
    for (const { field, message, hint } of schema.suspicions.flatMap((find) => find(value))) {
      const span = fieldAt(field, body)?.span ?? place.header;
      const text = `\`${field}\` ${message}`;
      const more = { code: "config.suspicious", message: text, hint, ...(span === undefined ? {} : { span }) };
      this.#report({ severity: "warning", ...more });
    }
  }

  /** Whether a field that was written may be used; says why not. */
  #allowed(name: string, field: Omit<FieldOptions, "isRequired">, span: Span): boolean {
    if (field.unsupportedReason !== undefined) {
      this.#error("config.unsupported", `"${name}" is not supported`, span, {
        why: field.unsupportedReason,
        hint: `remove "${name}"`,
      });
      return false;
    }
    if (field.isExperimental && this.#minimumStability !== "experimental") {
      const below = `which is below the minimum allowed stability level "${this.#minimumStability}"`;
      this.#error("config.stability", `"${name}" is at stability level "experimental", ${below}`, span, {
        hint: 'use --stability.level=experimental command-line flag to enable "experimental" features',
      });
      return false;
    }
    if (field.deprecation !== undefined) {
      const message = `"${name}" is deprecated`;
      this.#report({ severity: "warning", code: "config.deprecated", message, span, hint: field.deprecation });
    }
    return true;
  }

  #unknown(what: "argument" | "block", name: string, span: Span, schema: AnyBody): void {
    const suggestion = nearest(name, what === "argument" ? schema.fields.keys() : blockNames(schema));
    const noun = what === "argument" ? "attribute" : "block";
    this.#error(`config.unknown_${what}`, `unrecognized ${noun} name "${name}"`, span, {
      ...(suggestion === undefined ? {} : { hint: `did you mean "${suggestion}"?` }),
    });
  }

  #error(code: string, message: string, span: Span | undefined, more: Partial<Diagnostic> = {}): void {
    this.#report({ severity: "error", code, message, ...(span === undefined ? {} : { span }), ...more });
  }

  #report(diagnostic: Diagnostic): void {
    if (diagnostic.severity === "error") this.errors += 1;
    this.diagnostics.push(diagnostic);
  }
}

/** Wrong types are told as Alloy tells them, by the expression; bad contents by the name of the field. */
function conversionDiagnostic(
  error: ConversionError,
  name: string,
  field: AnyAttribute,
  statement: AttributeStatement,
): Diagnostic {
  const code = error.code ?? "config.wrong_type";
  const located = valueDiagnostic(error.message, statement.value, error.path, code);
  const hint = error.hint ?? (error.code === undefined ? `\`${name}\` is of type ${field.typeText}` : undefined);
  const message = error.code === undefined ? located.message : `\`${name}${pathText(error.path)}\` ${error.message}`;
  return { ...located, message, ...(hint === undefined ? {} : { hint }) };
}

function pathText(path: ValuePath): string {
  return path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
}

/** The enum field that a block such as `stage.json` belongs to. */
function enumFieldOf(schema: AnyBody, name: string): [string, EnumBlocks<unknown>] | [string, undefined] {
  for (const [fieldName, field] of schema.fields) {
    if (field.node !== "enum" || !name.startsWith(`${fieldName}.`)) continue;
    if (field.members.has(name.slice(fieldName.length + 1))) return [fieldName, field];
  }
  return [name, undefined];
}

function blockNames(schema: AnyBody): string[] {
  return [...schema.fields].flatMap(([name, field]) =>
    field.node === "enum" ? [...field.members.keys()].map((kind) => `${name}.${kind}`) : [name],
  );
}

/** Where a field is written; `value` is there for attributes. */
interface FieldPlace {
  readonly span: Span;
  readonly value?: Expression;
}

/**
 * The value of an attribute or the header of a block, by a path such as `endpoint[1].tls_config.ca_file` or `tags[2]`; the
 * innermost of it that is written.
 */
function fieldAt(path: string, body: Body): FieldPlace | undefined {
  let statements = body;
  let place: FieldPlace | undefined;
  let rest = path;
  while (rest !== "") {
    const found = statements.filter((each) => leadsTo(rest, each));
    const [first] = found;
    if (first === undefined) return place;
    if (first.kind === "attribute") {
      const [value] = writtenPart(first.value, valuePath(rest.slice(first.name.name.length)));
      return { span: value.span, value };
    }
    const [, number, inner] = /^(?:\[(\d+)\])?\.?(.*)$/.exec(rest.slice(blockName(first).length))!;
    const block = found[Number(number ?? 0)];
    if (block?.kind !== "block") return place;
    place = { span: headerOf(block) };
    rest = inner!;
    statements = block.body;
  }
  return place;
}
/** Whether a path begins with what a statement writes; that of ordered blocks may be their kind: `stage` for `stage.json`. */
function leadsTo(path: string, statement: Statement): boolean {
  const name = statement.kind === "block" ? blockName(statement) : statement.name.name;
  if (statement.kind === "block" && name.startsWith(`${path}.`)) return true;
  return path.startsWith(name) && ["", ".", "["].includes(path.charAt(name.length));
}
/** Steps inside a value: `[2].name` are 2 and "name". */
function valuePath(text: string): ValuePath {
  return Array.from(text.matchAll(/\[(\d+)\]|\.([^.[]+)/g), ([, number, key]) => key ?? Number(number));
}
