import type { Labels } from "#base/labels";
import type { Regex } from "#base/regex";
import type { Body } from "./ast.ts";
import type { Secret, Value } from "./value.ts";

/**
 * The typed schema of a block's body: one description from which decoding, static types, defaults, reference pages,
 * editor completion and the comparison with the catalogue come.
 *
 * A schema is plain data and immutable: every modifier returns a copy. Decoding is in decode.ts, so that a schema costs
 * nothing until somebody uses it.
 */

/** The static type of consumers by signal. Augmented by the layer that defines them (pipeline/consumer.ts). */
// biome-ignore lint/suspicious/noEmptyInterface: filled in by declaration merging
export interface ConsumerTypes {}

/** A default as it would be written in a configuration: `"30s"`, `["a"]`, `{ key: "value" }`. */
export type Written = null | boolean | number | string | readonly Written[] | { readonly [key: string]: Written };

export type AttributeType =
  | { readonly kind: "string" }
  | { readonly kind: "secret" }
  | { readonly kind: "optional_secret" }
  | { readonly kind: "bool" }
  | { readonly kind: "int" }
  | { readonly kind: "float" }
  | { readonly kind: "duration" }
  | { readonly kind: "byte_size" }
  | { readonly kind: "regex"; readonly anchored: boolean }
  | { readonly kind: "enum"; readonly values: readonly string[]; readonly ignoreCase: boolean }
  | { readonly kind: "any" }
  | { readonly kind: "list"; readonly element: AnyAttribute }
  | { readonly kind: "map"; readonly element: AnyAttribute }
  | { readonly kind: "object"; readonly fields: ReadonlyMap<string, AnyAttribute> }
  | { readonly kind: "targets" }
  /** `name` is what the catalogue calls it, `capsule` what Alloy's messages call it. */
  | { readonly kind: "consumer"; readonly signal: string; readonly name: string; readonly capsule: string }
  | { readonly kind: "capsule"; readonly capsule: string };

const CONSUMERS: Readonly<Record<string, { readonly name: string; readonly capsule: string }>> = {
  logs: { name: "loki.LogsReceiver", capsule: "loki.LogsReceiver" },
  metrics: { name: "prometheus.MetricsReceiver", capsule: "storage.Appendable" },
  otlp: { name: "otelcol.Consumer", capsule: "otelcol.Consumer" },
  profiles: { name: "pyroscope.ProfilesReceiver", capsule: "pyroscope.Appendable" },
};

/** What may be said of every field. */
export interface FieldOptions {
  readonly isRequired: boolean;
  readonly documentation: string;
  readonly isExperimental: boolean;
  /** What to use instead. */
  readonly deprecation: string | undefined;
  /** Why this agent refuses the field. */
  readonly unsupportedReason: string | undefined;
  /** Why other values than the default change nothing here. */
  readonly noEffectReason: string | undefined;
}

const REQUIRED: FieldOptions = {
  isRequired: true,
  documentation: "",
  isExperimental: false,
  deprecation: undefined,
  unsupportedReason: undefined,
  noEffectReason: undefined,
};
const OPTIONAL: FieldOptions = { ...REQUIRED, isRequired: false };

/** What attributes and blocks have in common. `T` is what the field decodes to. */
export abstract class FieldBase<T> implements FieldOptions {
  declare readonly typeOf: T;
  readonly isRequired: boolean;
  readonly documentation: string;
  readonly isExperimental: boolean;
  readonly deprecation: string | undefined;
  readonly unsupportedReason: string | undefined;
  readonly noEffectReason: string | undefined;

  constructor(options: FieldOptions) {
    this.isRequired = options.isRequired;
    this.documentation = options.documentation;
    this.isExperimental = options.isExperimental;
    this.deprecation = options.deprecation;
    this.unsupportedReason = options.unsupportedReason;
    this.noEffectReason = options.noEffectReason;
  }

  protected abstract copy(options: FieldOptions): this;

  /** One sentence for reference pages and completion. */
  doc(text: string): this {
    return this.copy({ ...this.options, documentation: text });
  }
  /** Needs `--stability.level=experimental`. */
  experimental(): this {
    return this.copy({ ...this.options, isExperimental: true });
  }
  /** Writing the field gives a warning; `text` says what to use instead. */
  deprecated(text: string): this {
    return this.copy({ ...this.options, deprecation: text });
  }
  /** Alloy has the field, this agent refuses it and says why. */
  unsupported(reason: string): this {
    return this.copy({ ...this.options, unsupportedReason: reason });
  }
  /** Tunes an inside of Alloy that this agent does not have: accepted, with a warning if it is not the default. */
  withoutEffect(reason: string): this {
    return this.copy({ ...this.options, noEffectReason: reason });
  }

  protected get options(): FieldOptions {
    const { isRequired, documentation, isExperimental, deprecation, unsupportedReason, noEffectReason } = this;
    return { isRequired, documentation, isExperimental, deprecation, unsupportedReason, noEffectReason };
  }
}

interface AttributeValues<W> {
  readonly defaultValue?: W | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
}

/** An attribute, `name = value`. `T` is what it decodes to, `W` what a default of it looks like. */
export class Attribute<T, W = Written> extends FieldBase<T> {
  readonly node = "attribute";
  readonly type: AttributeType;
  /** As written in a configuration; undefined for none. */
  readonly defaultValue: W | undefined;
  /** Least value of numbers (milliseconds and bytes for durations and sizes), least length of lists, maps and strings. */
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;

  constructor(type: AttributeType, options: FieldOptions = REQUIRED, values: AttributeValues<W> = {}) {
    super(options);
    this.type = type;
    this.defaultValue = values.defaultValue;
    this.minimum = values.minimum;
    this.maximum = values.maximum;
  }

  /** The type as the catalogue and the reference pages write it: `list(map(string))`. */
  get typeText(): string {
    const { type } = this;
    switch (type.kind) {
      case "byte_size":
      case "regex":
      case "enum":
        return "string";
      case "targets":
        return "list(map(string))";
      case "list":
      case "map":
        return `${type.kind}(${type.element.typeText})`;
      case "consumer":
        return `capsule(${type.name})`;
      case "capsule":
        return `capsule(${type.capsule})`;
      default:
        return type.kind;
    }
  }

  protected override copy(options: FieldOptions): this {
    return new Attribute<T, W>(this.type, options, this) as this;
  }

  /** The value when the attribute is left out, as it would be written. */
  default(value: W): Attribute<Exclude<T, undefined>, W> {
    const { minimum, maximum } = this;
    return new Attribute(this.type, { ...this.options, isRequired: false }, { defaultValue: value, minimum, maximum });
  }
  /** Undefined when left out. */
  optional(): Attribute<T | undefined, W> {
    const { minimum, maximum } = this;
    return new Attribute(this.type, { ...this.options, isRequired: false }, { minimum, maximum });
  }
  min(minimum: number): Attribute<T, W> {
    const { defaultValue, maximum } = this;
    return new Attribute(this.type, this.options, { defaultValue, minimum, maximum });
  }
  max(maximum: number): Attribute<T, W> {
    const { defaultValue, minimum } = this;
    return new Attribute(this.type, this.options, { defaultValue, minimum, maximum });
  }
  nonEmpty(): Attribute<T, W> {
    return this.min(1);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: an attribute of whatever type, where types are looked at only at run time
export type AnyAttribute = Attribute<any, any>;

/** A body, or a function that gives it, for bodies that contain themselves. */
export type BodySource<B> = BodySchema<B> | (() => BodySchema<B>);

const resolved = new WeakMap<() => unknown, unknown>();

/** What a function gives, asked for once: a body inside itself is then the same object on each level. */
function resolve<T extends object>(source: T | (() => T)): T {
  if (typeof source !== "function") return source;
  const thunk = source as () => T;
  let value = resolved.get(thunk) as T | undefined;
  if (value === undefined) resolved.set(thunk, (value = thunk()));
  return value;
}

interface BlockValues<B> {
  readonly isLabelled?: boolean;
  readonly isPresentByDefault?: boolean;
  readonly overrides?: Partial<B> | undefined;
}

/** A block that may be written at most once. `B` is its body's type, `T` what the field decodes to. */
export class Block<B, T = B | undefined> extends FieldBase<T> {
  readonly node = "block";
  readonly #body: BodySource<B>;
  readonly isLabelled: boolean;
  readonly isPresentByDefault: boolean;
  /** What differs from the body's own defaults while the block is left out. */
  readonly overrides: Partial<B> | undefined;

  constructor(body: BodySource<B>, options: FieldOptions = OPTIONAL, values: BlockValues<B> = {}) {
    super(options);
    this.#body = body;
    this.isLabelled = values.isLabelled ?? false;
    this.isPresentByDefault = values.isPresentByDefault ?? false;
    this.overrides = values.overrides;
  }

  get body(): BodySchema<B> {
    return resolve(this.#body);
  }

  protected override copy(options: FieldOptions): this {
    return new Block<B, T>(this.#body, options, this) as this;
  }

  required(): Block<B, B> {
    return new Block(this.#body, { ...this.options, isRequired: true }, this);
  }
  /**
   * Left out, the block has its body's defaults; `overrides` (as decoded, not as written) are defaults that the parent
   * sets differently, as Alloy's SetToDefault of a parent may.
   */
  presentByDefault(overrides?: Partial<B>): Block<B, B> {
    return new Block(this.#body, this.options, { isLabelled: this.isLabelled, isPresentByDefault: true, overrides });
  }
  /** The block takes a label, which is added to its value as `label`. */
  labelled(): Block<B & { readonly label: string }, T extends undefined ? T : T & { readonly label: string }> {
    // The decoder adds the label; the body's schema does not know it.
    const body = this.#body as BodySource<B & { readonly label: string }>;
    return new Block(body, this.options, { isLabelled: true });
  }
}

/** A block that may be repeated. */
export class Blocks<B> extends FieldBase<readonly B[]> {
  readonly node = "blocks";
  readonly #body: BodySource<B>;
  readonly isLabelled: boolean;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;

  constructor(
    body: BodySource<B>,
    options: FieldOptions = OPTIONAL,
    values: { isLabelled?: boolean; minimum?: number | undefined; maximum?: number | undefined } = {},
  ) {
    super(options);
    this.#body = body;
    this.isLabelled = values.isLabelled ?? false;
    this.minimum = values.minimum;
    this.maximum = values.maximum;
  }

  get body(): BodySchema<B> {
    return resolve(this.#body);
  }

  protected override copy(options: FieldOptions): this {
    return new Blocks<B>(this.#body, options, this) as this;
  }

  /** At least one is needed. */
  required(): Blocks<B> {
    return new Blocks(this.#body, { ...this.options, isRequired: true }, this);
  }
  min(minimum: number): Blocks<B> {
    return new Blocks(this.#body, this.options, { isLabelled: this.isLabelled, minimum, maximum: this.maximum });
  }
  max(maximum: number): Blocks<B> {
    return new Blocks(this.#body, this.options, { isLabelled: this.isLabelled, minimum: this.minimum, maximum });
  }
  /** The blocks take labels, which are added to their values as `label`. Two blocks may share one. */
  labelled(): Blocks<B & { readonly label: string }> {
    const body = this.#body as BodySource<B & { readonly label: string }>;
    return new Blocks(body, this.options, { isLabelled: true, minimum: this.minimum, maximum: this.maximum });
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a body of whatever type
export type AnyBody = BodySchema<any>;
type EnumMembers = Readonly<Record<string, AnyBody>>;
export type EnumValue<M extends EnumMembers> = {
  [K in keyof M & string]: { readonly kind: K; readonly args: Infer<M[K]> };
}[keyof M & string];

/** Blocks such as `stage.json {}` and `stage.drop {}`, whose order among each other is kept. */
export class EnumBlocks<V> extends FieldBase<readonly V[]> {
  readonly node = "enum";
  readonly #members: EnumMembers | (() => EnumMembers);
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;

  constructor(
    members: EnumMembers | (() => EnumMembers),
    options: FieldOptions = OPTIONAL,
    values: { minimum?: number | undefined; maximum?: number | undefined } = {},
  ) {
    super(options);
    this.#members = members;
    this.minimum = values.minimum;
    this.maximum = values.maximum;
  }

  /** The bodies by kind: `json` for `stage.json`. */
  get members(): ReadonlyMap<string, AnyBody> {
    return new Map(Object.entries(resolve(this.#members)));
  }

  protected override copy(options: FieldOptions): this {
    return new EnumBlocks<V>(this.#members, options, this) as this;
  }

  required(): EnumBlocks<V> {
    return new EnumBlocks(this.#members, { ...this.options, isRequired: true }, this);
  }
  /** How many of them, of whatever kind, may be there. */
  max(maximum: number): EnumBlocks<V> {
    return new EnumBlocks(this.#members, this.options, { minimum: this.minimum, maximum });
  }
}

/** A block whose body is somebody else's to read: the modules' `declare` and `template`. Decodes to the syntax. */
export class RawBlock<T = Body | undefined> extends FieldBase<T> {
  readonly node = "raw";
  protected override copy(options: FieldOptions): this {
    return new RawBlock<T>(options) as this;
  }
  required(): RawBlock<Body> {
    return new RawBlock({ ...this.options, isRequired: true });
  }
}

/** A block of attributes with names of the user's choice. Decodes to a map. */
export class MapBlock<V> extends FieldBase<ReadonlyMap<string, V>> {
  readonly node = "map";
  readonly element: Attribute<V>;
  constructor(element: Attribute<V>, options: FieldOptions = OPTIONAL) {
    super(options);
    this.element = element;
  }
  protected override copy(options: FieldOptions): this {
    return new MapBlock<V>(this.element, options) as this;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a field of whatever type
export type Field = AnyAttribute | Block<any, any> | Blocks<any> | EnumBlocks<any> | RawBlock<any> | MapBlock<any>;
export type Fields = Readonly<Record<string, Field>>;

/**
 * What is wrong with arguments that are right one by one: `message` completes "`field` …". The field is a dotted path, with a
 * number for one of several blocks or values: `rule[1].source_labels[0]` is the first label of the second rule.
 */
export interface Fault {
  readonly field: string;
  readonly message: string;
}
/** Something that is allowed and hardly ever meant. */
export interface Suspicion extends Fault {
  readonly hint: string;
}
type Rule<T> = (args: T) => readonly Fault[];
type Suspect<T> = (args: T) => readonly Suspicion[];

/** What the body of a component or block holds. `T` is what it decodes to: an object with exactly these keys. */
export class BodySchema<T> {
  declare readonly typeOf: T;
  readonly fields: ReadonlyMap<string, Field>;
  readonly rules: readonly Rule<T>[];
  /** For members of enum blocks, which have no field of their own to say it. */
  readonly documentation: string;
  readonly unsupportedReason: string | undefined;
  readonly isExperimental: boolean;
  /** Each says what looks wrong in arguments that keep all rules. */
  readonly suspicions: readonly Suspect<T>[];

  constructor(
    fields: ReadonlyMap<string, Field>,
    rules: readonly Rule<T>[] = [],
    more: Partial<Pick<BodySchema<T>, "documentation" | "unsupportedReason" | "isExperimental" | "suspicions">> = {},
  ) {
    this.fields = fields;
    this.rules = rules;
    this.documentation = more.documentation ?? "";
    this.unsupportedReason = more.unsupportedReason;
    this.isExperimental = more.isExperimental ?? false;
    this.suspicions = more.suspicions ?? [];
  }

  /** Adds a rule that spans fields: `check` is true when all is well; `message` completes "`field` …" otherwise. */
  rule(
    field: (keyof T & string) | `${keyof T & string}.${string}`,
    check: (args: T) => boolean,
    message: string | ((args: T) => string),
  ): BodySchema<T> {
    const text = (args: T) => (typeof message === "function" ? message(args) : message);
    return this.refuse((args) => (check(args) ? [] : [{ field, message: text(args) }]));
  }
  /** Adds a rule that says itself where the fault is, such as in the third of several blocks. */
  refuse(find: Rule<T>): BodySchema<T> {
    return new BodySchema(this.fields, [...this.rules, find], this);
  }
  doc(text: string): BodySchema<T> {
    return new BodySchema(this.fields, this.rules, { ...this, documentation: text });
  }
  experimental(): BodySchema<T> {
    return new BodySchema(this.fields, this.rules, { ...this, isExperimental: true });
  }
  unsupported(reason: string): BodySchema<T> {
    return new BodySchema(this.fields, this.rules, { ...this, unsupportedReason: reason });
  }

  /** Has what `find` gives shown as warnings when a configuration is loaded. */
  suspect(find: Suspect<T>): BodySchema<T> {
    return new BodySchema(this.fields, this.rules, { ...this, suspicions: [...this.suspicions, find] });
  }
}

/** What a schema, an attribute or a block decodes to. */
export type Infer<S> = S extends { readonly typeOf: infer T } ? T : never;
export type InferFields<F> = { readonly [K in keyof F]: Infer<F[K]> };
type AttributeFields = Readonly<Record<string, AnyAttribute>>;

/** The builder. See `docs/` for the language's types and conversions. */
export const s = {
  object<const F extends Fields>(fields: F): BodySchema<InferFields<F>> {
    return new BodySchema(new Map(Object.entries(fields)));
  },

  string: () => new Attribute<string, string>({ kind: "string" }),
  /** A string that is never shown. */
  secret: () => new Attribute<Secret, string>({ kind: "secret" }),
  /** A secret or a plain string, as the user gave it. */
  optionalSecret: () => new Attribute<Secret | string, string>({ kind: "optional_secret" }),
  bool: () => new Attribute<boolean, boolean>({ kind: "bool" }),
  /** A whole number; beyond 2^53 it is the nearest double. */
  int: (minimum?: number, maximum?: number) =>
    new Attribute<number, number>({ kind: "int" }, REQUIRED, { minimum, maximum }),
  float: (minimum?: number, maximum?: number) =>
    new Attribute<number, number>({ kind: "float" }, REQUIRED, { minimum, maximum }),
  /** Go's duration text; decodes to milliseconds. */
  duration: () => new Attribute<number, string>({ kind: "duration" }),
  /** Such as `"20MiB"`; decodes to bytes. */
  byteSize: () => new Attribute<number, string>({ kind: "byte_size" }),
  /** RE2; `anchored` (the default is not) wraps it in `^(?:…)$`. */
  regex: (options: { readonly anchored?: boolean } = {}) =>
    new Attribute<Regex, string>({ kind: "regex", anchored: options.anchored ?? false }),
  /** One of some strings; with `ignoreCase`, it decodes to the spelling in the list. */
  oneOf: <const V extends string>(values: readonly V[], options: { readonly ignoreCase?: boolean } = {}) =>
    new Attribute<V, V>({ kind: "enum", values, ignoreCase: options.ignoreCase ?? false }),
  any: () => new Attribute<Value, Written>({ kind: "any" }),
  list: <T, W>(element: Attribute<T, W>) => new Attribute<readonly T[], readonly W[]>({ kind: "list", element }),
  map: <T, W>(element: Attribute<T, W>) =>
    new Attribute<ReadonlyMap<string, T>, Readonly<Record<string, W>>>({ kind: "map", element }),
  /** An attribute whose value is an object with known keys: `name = { key = value }`. */
  record: <const F extends AttributeFields>(fields: F) =>
    new Attribute<InferFields<F>, Readonly<Record<string, Written>>>({
      kind: "object",
      fields: new Map(Object.entries(fields)),
    }),
  targets: () => new Attribute<readonly Labels[], readonly Readonly<Record<string, string>>[]>({ kind: "targets" }),
  /** The receiving end of an edge; `forward_to` is `s.list(s.consumer("logs"))`. */
  consumer<S extends keyof ConsumerTypes>(signal: S): Attribute<ConsumerTypes[S], never> {
    return new Attribute<ConsumerTypes[S], never>({ kind: "consumer", signal, ...CONSUMERS[signal]! });
  },
  /** A value that only passes through; `capsule` is the catalogue's name of it, such as `RelabelRules`. */
  capsule: <T>(capsule: string) => new Attribute<T, never>({ kind: "capsule", capsule }),

  block: <B>(body: BodySource<B>) => new Block<B>(body),
  blocks: <B>(body: BodySource<B>) => new Blocks<B>(body),
  /** `s.object({ stage: s.enumBlocks({ json, drop }) })` is for `stage.json {}` and `stage.drop {}`, in order. */
  enumBlocks: <const M extends EnumMembers>(members: M | (() => M)) => new EnumBlocks<EnumValue<M>>(members),
  rawBlock: () => new RawBlock(OPTIONAL),
  mapBlock: <V>(element: Attribute<V>) => new MapBlock<V>(element),
};
