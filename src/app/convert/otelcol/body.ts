import type { AnyAttribute, AnyBody, Block, Blocks, Field } from "#lang/schema";
import { Body } from "../output.ts";
import type { Section, Value } from "../settings.ts";
import type { Signal } from "./catalogue.ts";
import type { SettingsTree } from "./settings-tree.ts";
import { defaultOf, readValue } from "./values.ts";

/** How an argument is made of a setting whose type is another one. */
export type Convert = (section: Section, name: string, context: BodyContext) => Value<unknown> | undefined;

/** Writes a block of which the source has no section of the same shape. */
export type Write = (tree: SettingsTree, out: Body, context: BodyContext) => void;

/** What of a body is otherwise in the Collector's YAML than in the component's arguments. */
export interface BodyRules {
  /** Settings of arguments and blocks that have another name or place: `protocols::grpc`; `.` is the section itself. */
  readonly from?: Readonly<Record<string, string>>;
  /** Expressions of arguments whose default is another in the Collector; written where the setting is missing. */
  readonly defaults?: Readonly<Record<string, string>>;
  readonly convert?: Readonly<Record<string, Convert>>;
  readonly write?: Readonly<Record<string, Write>>;
  readonly blocks?: Readonly<Record<string, BlockRules>>;
  /** Settings of the Collector that the component has no argument for. */
  readonly missing?: readonly string[];
  /** Settings that mean nothing here, with what is to be said. */
  readonly info?: Readonly<Record<string, string>>;
  /** The block is there also where the source has nothing of it. */
  readonly always?: boolean;
  /** The block is there also for a setting without a value, `grpc:`. */
  readonly isSwitch?: boolean;
}

/** Rules of a block, or what gives them from the settings around it. */
export type BlockRules = BodyRules | ((around: SettingsTree) => BodyRules);

export interface BodyContext {
  readonly component: string;
  /** What comes to the component and goes from it. */
  readonly signals: readonly Signal[];
  /** The `handler` of an extension, by its name in the source; undefined, with a finding, if there is none. */
  handlerOf(section: Section, name: string): Value<unknown> | undefined;
  /** What is in a file, whose path is an expression, as an expression. */
  contentOf(path: string): string;
}

/** Blocks that are the same wherever they are, by name. */
export type SharedBlocks = Readonly<Record<string, BlockRules>>;

const WRITTEN_ELSEWHERE = ["output", "debug_metrics"];

/** Walks a component's schema and takes for each argument and block what the source says of it. */
export class BodyConverter {
  readonly #context: BodyContext;
  readonly #shared: SharedBlocks;

  constructor(context: BodyContext, shared: SharedBlocks) {
    this.#context = context;
    this.#shared = shared;
  }

  convert(tree: SettingsTree, schema: AnyBody, rules: BodyRules, out: Body): void {
    for (const [name, field] of schema.fields) {
      const write = rules.write?.[name];
      if (write !== undefined) write(tree, out, this.#context);
      else if (!WRITTEN_ELSEWHERE.includes(name)) this.#field(tree, name, field, rules, out);
    }
    for (const name of rules.missing ?? []) {
      const message = `${this.#context.component} has no argument for this, in Alloy neither; it is left out`;
      tree.section.tell(name, "Error", message);
    }
    for (const [name, message] of Object.entries(rules.info ?? {})) tree.section.tell(name, "Info", message);
  }

  #field(tree: SettingsTree, name: string, field: Field, rules: BodyRules, out: Body): void {
    const path = rules.from?.[name] ?? name;
    const inner = { ...rulesOf(this.#shared[name], tree), ...rulesOf(rules.blocks?.[name], tree) };
    if (field.node === "attribute") this.#attribute(tree, name, field, rules, out);
    else if (field.node === "block") this.#block(tree, path, name, field, inner, out);
    else if (field.node === "blocks") this.#blocks(tree, path, name, field, inner, out);
  }

  #attribute(tree: SettingsTree, name: string, attribute: AnyAttribute, rules: BodyRules, out: Body): void {
    const found = tree.find(rules.from?.[name] ?? name);
    const convert = rules.convert?.[name] ?? this.#handler(name, attribute) ?? valueConverter(attribute);
    const value = found && convert(found.tree.section, found.name, this.#context);
    if (found === undefined || value === undefined)
      out.attribute(name, rules.defaults?.[name] ?? this.#zero(found, attribute));
    else if (value.fixed !== undefined && isSame(value.fixed, defaultOf(attribute))) return;
    else if (attribute.unsupportedReason === undefined) out.attribute(name, value.expression);
    else found.tree.section.add("Error", found.name, `${attribute.unsupportedReason}; it is left out`);
  }

  /** Numbers and flags that Alloy requires are zero and false in the Collector where they are missing, but `enabled`. */
  #zero(found: ReturnType<SettingsTree["find"]>, { isRequired, type }: AnyAttribute): string | undefined {
    if (!isRequired || found === undefined || found.name === "enabled") return undefined;
    if (found.tree.section.has(found.name)) return undefined;
    if (type.kind === "bool") return "false";
    return type.kind === "int" || type.kind === "float" ? "0" : undefined;
  }

  /** `auth` and `storage` name extensions. */
  #handler(name: string, attribute: AnyAttribute): Convert | undefined {
    if (attribute.type.kind !== "capsule") return undefined;
    if (name !== "auth") return (section, setting) => this.#context.handlerOf(section, setting);
    return (section, setting) => {
      const inner = section.section(setting);
      const value = inner && this.#context.handlerOf(inner, "authenticator");
      inner?.rest();
      return value;
    };
  }

  // biome-ignore lint/suspicious/noExplicitAny: a block of whatever type
  #block(tree: SettingsTree, path: string, name: string, field: Block<any, any>, rules: BodyRules, out: Body): void {
    const inner = path === "." ? tree : this.#section(tree, path, field, rules);
    if (inner === undefined) return;
    const body = new Body();
    this.convert(inner, field.body, rules, body);
    // Without what it requires a block says as much as none.
    const isWhole = ![...field.body.fields.values()].some((each: Field) => each.isRequired);
    const isImplied = field.isPresentByDefault && (field.overrides === undefined || !isWhole);
    if (!body.isEmpty || !isImplied) out.attach(name, body);
  }

  /** The section of a block, unless the block is not to be written. */
  // biome-ignore lint/suspicious/noExplicitAny: a block of whatever type
  #section(tree: SettingsTree, path: string, field: Block<any, any>, rules: BodyRules): SettingsTree | undefined {
    const found = tree.find(path);
    if (field.unsupportedReason !== undefined) {
      found?.tree.section.tell(found.name, "Error", `${field.unsupportedReason}; it is left out`);
      return undefined;
    }
    const inner = found?.tree.child(found.name);
    if (found === undefined || inner === undefined) return rules.always === true ? tree.emptyChild(path) : undefined;
    const isEmpty = !found.tree.section.has(found.name);
    if (isEmpty && rules.always !== true && rules.isSwitch !== true) return undefined;
    if (field.body.fields.has("enabled")) return inner;
    const enabled = inner.section.flag("enabled");
    if (enabled !== undefined && enabled.fixed === undefined) {
      const message = "is there or not, which the environment cannot say in the output; it is left out, and is there";
      inner.section.add("Error", "enabled", message);
    }
    if (enabled?.fixed !== false) return inner;
    // Optional sections of the Collector have this setting beside their own.
    found.tree.section.add("Info", found.name, "is switched off by enabled, and left out with all that it says");
    inner.section.skip(...inner.section.names);
    return undefined;
  }

  // biome-ignore lint/suspicious/noExplicitAny: blocks of whatever type
  #blocks(tree: SettingsTree, path: string, name: string, field: Blocks<any>, rules: BodyRules, out: Body): void {
    const found = tree.find(path);
    if (found === undefined) return;
    for (const item of found.tree.children(found.name)) {
      const body = new Body();
      this.convert(item, field.body, rules, body);
      out.attach(name, body);
    }
  }
}

function rulesOf(rules: BlockRules | undefined, around: SettingsTree): BodyRules {
  return typeof rules === "function" ? rules(around) : (rules ?? {});
}

function valueConverter(attribute: AnyAttribute): Convert {
  return (section, name) => readValue(attribute, section, name);
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
