import { isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseAllDocuments, type Scalar } from "yaml";
import { type Environment, Text } from "./environment.ts";

/** What a YAML text says, with lines; scalars stay text, since only their setting says what they are. */
export type YamlNode = YamlScalar | YamlMap | YamlList;

export interface YamlScalar {
  readonly kind: "scalar";
  readonly text: Text;
  /** Written without quotes, so that `null` and `~` are nothing. */
  readonly plain: boolean;
  readonly line: number | undefined;
}

export interface YamlMap {
  readonly kind: "map";
  readonly fields: Map<string, YamlField>;
  readonly line: number | undefined;
}

export interface YamlField {
  readonly value: YamlNode;
  readonly line: number | undefined;
  /** What the field was set by instead of the file, such as a flag. */
  readonly origin?: string;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: readonly YamlNode[];
  readonly line: number | undefined;
}

/** A text that is no usable YAML; the message names the line. */
export class YamlError extends Error {
  override readonly name = "YamlError";
}

export interface YamlTree {
  readonly root: YamlNode | undefined;
  /** Lines where further documents begin; programs read the first one only. */
  readonly furtherDocuments: readonly number[];
  /** Keys that a map has twice, with the line of the one that counts. */
  readonly repeatedKeys: readonly { readonly key: string; readonly line: number | undefined }[];
}

/** Aliases may repeat what they stand for; so many nodes in all are a configuration, more are an attack. */
const MOST_NODES = 200_000;
const DEEPEST = 100;

/** Reads the first document. Throws a YamlError that does not quote the text, in which secrets may be. */
export function readYaml(environment: Environment): YamlTree {
  const lines = new LineCounter();
  const documents = parseAllDocuments(environment.text, {
    schema: "failsafe",
    version: "1.2",
    merge: false,
    uniqueKeys: false,
    strict: false,
    logLevel: "silent",
    resolveKnownTags: false,
    lineCounter: lines,
  });
  if (!Array.isArray(documents) || documents.length === 0) {
    return { root: undefined, furtherDocuments: [], repeatedKeys: [] };
  }
  const [first, ...further] = documents;
  const [error] = first!.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    const what = error.code.toLowerCase().replaceAll("_", " ");
    throw new YamlError(`this is no valid YAML${line === undefined ? "" : ` at line ${line}`}: ${what}`);
  }
  const reader = new Reader(environment, lines, (alias) => alias.resolve(first!));
  const root = first!.contents === null ? undefined : reader.read(first!.contents as ParsedNode, 0);
  return {
    root,
    furtherDocuments: further.flatMap(({ contents }) => {
      const empty = contents === null || (isScalar(contents) && contents.value === "");
      return empty ? [] : [lines.linePos(contents.range[0]).line];
    }),
    repeatedKeys: reader.repeatedKeys,
  };
}

type Alias = Extract<ParsedNode, { source: string; resolve: unknown }>;

class Reader {
  readonly repeatedKeys: { key: string; line: number | undefined }[] = [];
  readonly #environment: Environment;
  readonly #lines: LineCounter;
  readonly #resolve: (alias: Alias) => unknown;
  #count = 0;

  constructor(environment: Environment, lines: LineCounter, resolve: (alias: Alias) => unknown) {
    this.#environment = environment;
    this.#lines = lines;
    this.#resolve = resolve;
  }

  read(node: ParsedNode | null, depth: number): YamlNode {
    const line = node?.range ? this.#lines.linePos(node.range[0]).line : undefined;
    if (++this.#count > MOST_NODES || depth > DEEPEST) {
      throw new YamlError(`the YAML is too large or too deep${line === undefined ? "" : ` at line ${line}`}`);
    }
    if (node === null) return { kind: "scalar", text: new Text([""]), plain: true, line };
    if (isAlias(node)) {
      const target = this.#resolve(node as unknown as Alias);
      if (target === undefined) throw new YamlError(`the YAML has an unknown alias at line ${line}`);
      return this.read(target as ParsedNode, depth + 1);
    }
    if (isSeq(node)) {
      return { kind: "list", items: node.items.map((item) => this.read(item as ParsedNode | null, depth + 1)), line };
    }
    if (isMap(node)) return this.#map(node.items as unknown as readonly Pair[], line, depth);
    if (!isScalar(node)) throw new YamlError(`the YAML has an unknown form at line ${line}`);
    return this.#scalar(node as Scalar, line);
  }

  #scalar(node: Scalar, line: number | undefined): YamlScalar {
    const plain = node.type === "PLAIN" && node.tag === undefined;
    return { kind: "scalar", text: this.#environment.restore(String(node.value ?? "")), plain, line };
  }

  #map(items: readonly Pair[], line: number | undefined, depth: number): YamlMap {
    const fields = new Map<string, YamlField>();
    const merged: YamlNode[] = [];
    for (const { key, value } of items) {
      const name = this.read(key, depth + 1);
      if (name.kind !== "scalar" || name.text.fixed === undefined) {
        throw new YamlError(
          `the YAML has a key at line ${name.line} that is a list, a map or from the environment; ` +
            "a configuration can be converted only when its keys are fixed: replace it, for instance with envsubst",
        );
      }
      if (name.text.fixed === "<<" && name.plain) merged.push(this.read(value, depth + 1));
      else {
        if (fields.has(name.text.fixed)) this.repeatedKeys.push({ key: name.text.fixed, line: name.line });
        fields.set(name.text.fixed, { value: this.read(value, depth + 1), line: name.line });
      }
    }
    for (const source of merged.flatMap((each) => (each.kind === "list" ? each.items : [each]))) {
      if (source.kind !== "map") throw new YamlError(`the YAML merges something at line ${source.line} that is no map`);
      for (const [key, field] of source.fields) if (!fields.has(key)) fields.set(key, field);
    }
    return { kind: "map", fields, line };
  }
}

interface Pair {
  readonly key: ParsedNode;
  readonly value: ParsedNode | null;
}

export function isNothing(node: YamlNode): boolean {
  return node.kind === "scalar" && node.plain && ["", "~", "null", "Null", "NULL"].includes(node.text.fixed ?? "x");
}
