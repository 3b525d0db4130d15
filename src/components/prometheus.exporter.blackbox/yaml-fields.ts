import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument, type Scalar } from "yaml";
import { parseByteSize } from "#base/bytesize";
import { parseDuration } from "#base/duration";
import { compileRegex, type Regex } from "#base/regex";
import { nearest } from "#lang/suggest";
import { Secret } from "#lang/value";

/**
 * A YAML text as typed fields, each with its line. Scalars mean what gopkg.in/yaml.v3 makes of them for a field of that
 * type, and quotes around a number or a truth value are passed over; a field that nobody asked for is an error, as with its `KnownFields`.
 */

type YamlNode =
  | { readonly kind: "scalar"; readonly text: string; readonly plain: boolean; readonly line: number }
  | { readonly kind: "map"; readonly fields: ReadonlyMap<string, YamlField>; readonly line: number }
  | { readonly kind: "list"; readonly items: readonly YamlNode[]; readonly line: number };
interface YamlField {
  readonly value: YamlNode;
  readonly line: number;
}

/** A module file that cannot be used. The message names the line and the field, and quotes no value of a secret. */
export class ModuleFileError extends Error {
  override readonly name = "ModuleFileError";
}

/** Aliases may repeat what they stand for; so many nodes in all are a configuration, more are an attack. */
const MOST_NODES = 200_000;
const DEEPEST = 50;

/** The fields of a text whose first document is a map. Throws a ModuleFileError. */
export function readYamlFields(text: string): YamlFields {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: "failsafe",
    merge: false,
    logLevel: "silent",
    resolveKnownTags: false,
    lineCounter: lines,
  });
  const error = document.errors.find((each) => each.code !== "MULTIPLE_DOCS");
  if (error !== undefined) {
    const place = error.linePos === undefined ? "" : `line ${error.linePos[0].line}: `;
    throw new ModuleFileError(`${place}this is no valid YAML: ${error.code.toLowerCase().replaceAll("_", " ")}`);
  }
  const anchors = new Map<string, ParsedNode>();
  let count = 0;
  const read = (node: ParsedNode | null, depth: number, near: number): YamlNode => {
    const line = node?.range ? lines.linePos(node.range[0]).line : near;
    if (++count > MOST_NODES || depth > DEEPEST) throw new ModuleFileError(`line ${line}: too large or too deep`);
    if (node === null) return { kind: "scalar", text: "", plain: true, line };
    if (isAlias(node)) {
      const target = anchors.get((node as unknown as { source: string }).source);
      if (target === undefined) throw new ModuleFileError(`line ${line}: there is no such anchor`);
      return read(target, depth + 1, line);
    }
    // The latest one of a name counts, as nodes are read in their order.
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) anchors.set(anchor, node);
    if (isSeq(node)) {
      return { kind: "list", items: node.items.map((item) => read(item as ParsedNode | null, depth + 1, line)), line };
    }
    if (isMap(node)) {
      const pairs = node.items as unknown as readonly { key: ParsedNode; value: ParsedNode | null }[];
      return readMap(
        pairs.map(({ key, value }) => [read(key, depth + 1, line), read(value, depth + 1, line)]),
        line,
      );
    }
    const scalar = node as Scalar;
    return {
      kind: "scalar",
      text: String(scalar.value ?? ""),
      plain: isScalar(node) && scalar.type === "PLAIN" && !scalar.tag,
      line,
    };
  };
  const root = read(document.contents as ParsedNode | null, 0, 1);
  return new YamlFields(isNothing(root) ? { kind: "map", fields: new Map(), line: 1 } : asMap(root, "the file"), "");
}

function readMap(pairs: readonly (readonly [YamlNode, YamlNode])[], line: number): YamlNode {
  const fields = new Map<string, YamlField>();
  const merged: YamlNode[] = [];
  for (const [key, value] of pairs) {
    if (key.kind !== "scalar") throw new ModuleFileError(`line ${key.line}: a list or a map cannot be a key`);
    if (key.text === "<<" && key.plain) merged.push(...(value.kind === "list" ? value.items : [value]));
    else fields.set(key.text, { value, line: key.line });
  }
  for (const source of merged) {
    const { fields: more } = asMap(source, "what `<<` merges");
    for (const [name, field] of more) if (!fields.has(name)) fields.set(name, field);
  }
  return { kind: "map", fields, line };
}

function isNothing(node: YamlNode): boolean {
  return node.kind === "scalar" && node.plain && /^(|~|null|Null|NULL)$/.test(node.text);
}

function asMap(node: YamlNode, place: string): YamlNode & { kind: "map" } {
  if (node.kind !== "map") throw new ModuleFileError(`line ${node.line}: ${place} must be a map`);
  return node;
}

const TRUE = /^(true|True|TRUE|y|Y|yes|Yes|YES|on|On|ON)$/;
const FALSE = /^(false|False|FALSE|n|N|no|No|NO|off|Off|OFF)$/;

/** The fields of one map, which know which of them were asked for. All methods throw a ModuleFileError for a wrong value. */
export class YamlFields {
  readonly #fields: ReadonlyMap<string, YamlField>;
  readonly #place: string;
  readonly #line: number;
  readonly #known = new Set<string>();

  constructor(node: YamlNode & { readonly kind: "map" }, place: string) {
    this.#fields = node.fields;
    this.#place = place;
    this.#line = node.line;
  }

  /** Refuses whatever was not asked for. */
  finish(): void {
    for (const [name, { line }] of this.#fields) {
      if (this.#known.has(name)) continue;
      const similar = nearest(name, [...this.#known]);
      const hint = similar === undefined ? "" : `; did you mean \`${similar}\`?`;
      throw new ModuleFileError(`line ${line}: \`${this.#path(name)}\` is unknown${hint}`);
    }
  }

  /** An error about a field, or about the whole map if the field is not there. */
  error(name: string, problem: string): ModuleFileError {
    const line = this.#fields.get(name)?.line ?? this.#line;
    return new ModuleFileError(`line ${line}: \`${this.#path(name)}\` ${problem}`);
  }
  /** Refuses fields that other versions of blackbox_exporter know, or that mean nothing here. */
  refuse(names: readonly string[], why: string): void {
    for (const name of names) if (this.#get(name) !== undefined) throw this.error(name, why);
  }
  isGiven(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  section(name: string): YamlFields | undefined {
    const value = this.#get(name);
    return value && new YamlFields(asMap(value, `\`${this.#path(name)}\``), this.#path(name));
  }
  /** The entries of a map whose keys are free. */
  entries(name: string): readonly (readonly [key: string, value: YamlFields])[] {
    const value = this.#get(name);
    if (value === undefined) return [];
    const path = this.#path(name);
    return [...asMap(value, `\`${path}\``).fields].map(([key, { value: each, line }]) => {
      const empty = { kind: "map", fields: new Map<string, YamlField>(), line } as const;
      const map = isNothing(each) ? empty : asMap(each, `\`${path}.${key}\``);
      return [key, new YamlFields(map, `${path}.${key}`)];
    });
  }
  sections(name: string): readonly YamlFields[] {
    return this.#list(name).map((item, i) => {
      const path = `${this.#path(name)}[${i}]`;
      return new YamlFields(asMap(item, `\`${path}\``), path);
    });
  }

  text(name: string, otherwise = ""): string {
    const value = this.#get(name);
    return value === undefined ? otherwise : this.#text(name, value);
  }
  secret(name: string): Secret {
    return new Secret(this.text(name));
  }
  texts(name: string): readonly string[] {
    return this.#list(name).map((item) => this.#text(name, item));
  }
  /** A map of texts. */
  textMap(name: string): ReadonlyMap<string, string> {
    const value = this.#get(name);
    if (value === undefined) return new Map();
    const { fields } = asMap(value, `\`${this.#path(name)}\``);
    return new Map(
      [...fields].map(([key, field]) => [key, isNothing(field.value) ? "" : this.#text(key, field.value)]),
    );
  }
  /** A map of lists of texts. */
  textLists(name: string): ReadonlyMap<string, readonly string[]> {
    const lists = this.section(name);
    return new Map([...(lists === undefined ? [] : lists.#fields.keys())].map((key) => [key, lists!.texts(key)]));
  }
  flag(name: string, otherwise: boolean): boolean {
    const value = this.#get(name);
    if (value === undefined) return otherwise;
    const text = this.#text(name, value);
    if (!TRUE.test(text) && !FALSE.test(text)) throw this.error(name, "must be true or false");
    return TRUE.test(text);
  }
  int(name: string, otherwise: number): number {
    const value = this.#get(name);
    return value === undefined ? otherwise : this.#int(name, value);
  }
  ints(name: string): readonly number[] {
    return this.#list(name).map((item) => this.#int(name, item));
  }
  /** Milliseconds; 0 if it is not given. */
  duration(name: string): number {
    const text = this.text(name, "0");
    try {
      return parseDuration(text);
    } catch {
      throw this.error(name, "must be a duration with a unit, such as 5s");
    }
  }
  /** Bytes; 0 if it is not given. */
  byteSize(name: string): number {
    const text = this.text(name, "0");
    try {
      return parseByteSize(text);
    } catch {
      throw this.error(name, "must be a size with a unit, such as 10MB");
    }
  }
  regex(name: string): Regex | undefined {
    const value = this.#get(name);
    return value && this.#regex(name, this.#text(name, value));
  }
  regexes(name: string): readonly Regex[] {
    return this.texts(name).map((text) => this.#regex(name, text));
  }
  oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    const text = this.text(name, otherwise);
    const found = values.find((each) => each === text);
    if (found === undefined) throw this.error(name, `cannot be ${JSON.stringify(text)}: use ${values.join(", ")}`);
    return found;
  }

  #path(name: string): string {
    return this.#place === "" ? name : `${this.#place}.${name}`;
  }
  #get(name: string): YamlNode | undefined {
    this.#known.add(name);
    const field = this.#fields.get(name);
    return field === undefined || isNothing(field.value) ? undefined : field.value;
  }
  #list(name: string): readonly YamlNode[] {
    const value = this.#get(name);
    if (value === undefined) return [];
    if (value.kind !== "list") throw this.error(name, "must be a list");
    return value.items;
  }
  #text(name: string, value: YamlNode): string {
    if (value.kind !== "scalar") throw this.error(name, "must be a text");
    return value.text;
  }
  #int(name: string, value: YamlNode): number {
    const text = this.#text(name, value).replaceAll("_", "");
    // As YAML 1.1 has them, numbers that begin with a zero are octal.
    const number = Number(text.replace(/^([-+]?)0([0-7]+)$/, "$10o$2") || Number.NaN);
    if (!Number.isSafeInteger(number)) throw this.error(name, "must be a whole number");
    return number;
  }
  #regex(name: string, text: string): Regex {
    try {
      return compileRegex(text);
    } catch (error) {
      throw this.error(name, `has an expression that is not valid: ${(error as Error).message}`);
    }
  }
}
