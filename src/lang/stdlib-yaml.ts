import { isAlias, isMap, isScalar, isSeq, type ParsedNode, parseDocument, type Scalar } from "yaml";
import { float, formatNumber, int, isNumber, uint } from "./number.ts";
import { decodeBase64 } from "./stdlib-text.ts";
import { type Value, ValueError } from "./value.ts";

/** Aliases may repeat what they stand for up to this many values in all; beyond it a text of some lines fills the memory. */
const MOST_VALUES = 1_000_000;

/**
 * The value of the first document of a YAML text, scalars resolved as Go's yaml.v3 (resolve.go) does: YAML 1.2 booleans
 * and nulls, octals of 1.1 and 1.2, merge keys, timestamps as RFC 3339 text. Keys that are not text become text.
 * Throws a ValueError that does not quote the text.
 */
export function parseYaml(text: string): Value {
  const document = parseDocument(text, {
    schema: "failsafe",
    version: "1.2",
    merge: false,
    logLevel: "silent",
    strict: false,
    resolveKnownTags: false,
  });
  const error = document.errors.find((each) => each.code !== "MULTIPLE_DOCS");
  if (error !== undefined) {
    const line = error.linePos?.[0].line;
    throw new ValueError(
      `invalid YAML: ${error.code.toLowerCase().replaceAll("_", " ")}${line ? ` at line ${line}` : ""}`,
    );
  }
  const root = document.contents;
  return root === null ? null : new Converter((alias) => alias.resolve(document)).convert(root as ParsedNode);
}

type Alias = Extract<ParsedNode, { source: string; resolve: unknown }>;

class Converter {
  readonly #resolve: (alias: Alias) => unknown;
  readonly #sizes = new Map<unknown, number>();
  readonly #values = new Map<unknown, Value>();
  readonly #open = new Set<unknown>();
  #total = 0;

  constructor(resolve: (alias: Alias) => unknown) {
    this.#resolve = resolve;
  }

  convert(node: ParsedNode | null): Value {
    if (node === null) return null;
    if (isAlias(node)) return this.#alias(node as unknown as Alias);
    const before = this.#total;
    this.#count(1);
    this.#open.add(node);
    const value = this.#value(node);
    this.#open.delete(node);
    if ((node as { anchor?: string }).anchor !== undefined) {
      this.#sizes.set(node, this.#total - before);
      this.#values.set(node, value);
    }
    return value;
  }

  #value(node: ParsedNode): Value {
    if (isScalar(node)) return scalarValue(node as Scalar);
    if (isSeq(node)) return node.items.map((item) => this.convert(item as ParsedNode));
    if (isMap(node)) return this.#map(node.items as readonly { key: ParsedNode; value: ParsedNode | null }[]);
    throw new ValueError("invalid YAML: unexpected node");
  }

  #alias(alias: Alias): Value {
    const target = this.#resolve(alias);
    if (target === undefined) throw new ValueError(`invalid YAML: unknown anchor`);
    if (this.#open.has(target)) throw new ValueError("invalid YAML: an anchor contains itself");
    this.#count(this.#sizes.get(target) ?? 1);
    return this.#values.get(target) ?? this.convert(target as ParsedNode);
  }

  #count(values: number): void {
    this.#total += values;
    if (this.#total > MOST_VALUES) throw new ValueError("invalid YAML: document contains excessive aliasing");
  }

  #map(items: readonly { key: ParsedNode; value: ParsedNode | null }[]): Value {
    const map = new Map<string, Value>();
    const merged: Value[] = [];
    for (const { key, value } of items) {
      if (isMergeKey(key)) merged.push(this.convert(value));
      else map.set(this.#key(key), this.convert(value));
    }
    for (const source of merged.flatMap((each) => (Array.isArray(each) ? (each as readonly Value[]) : [each]))) {
      if (!(source instanceof Map))
        throw new ValueError("invalid YAML: map merge requires map or sequence of maps as the value");
      for (const [key, value] of source as ReadonlyMap<string, Value>) if (!map.has(key)) map.set(key, value);
    }
    return map;
  }

  #key(node: ParsedNode): string {
    const key = this.convert(node);
    if (typeof key === "string") return key;
    if (isNumber(key)) return formatNumber(key);
    if (key === null || typeof key === "boolean") return String(key);
    throw new ValueError("invalid YAML: a map or a list cannot be a key");
  }
}

function isMergeKey(node: ParsedNode): boolean {
  return isScalar(node) && node.value === "<<" && node.type === "PLAIN" && node.tag === undefined;
}

const TAG_PREFIX = "tag:yaml.org,2002:";

function scalarValue(scalar: Scalar): Value {
  const text = String(scalar.value ?? "");
  const tag = scalar.tag?.startsWith(TAG_PREFIX) ? scalar.tag.slice(TAG_PREFIX.length) : scalar.tag;
  if (tag === "binary") return decodeBase64(text.replace(/\s/g, ""), "standard");
  if (tag === "str" || ((tag === undefined || tag === "!") && scalar.type !== "PLAIN")) return text;
  const resolved = resolvePlain(text);
  if (tag === undefined || tag === "!") return resolved;
  if (!["bool", "int", "float", "null", "timestamp"].includes(tag)) return text;
  const kind = kindOf(resolved);
  if (tag === "float" && kind === "int") return float(Number(formatNumber(resolved)));
  if (tag !== kind && !(tag === "timestamp" && typeof resolved === "string")) {
    throw new ValueError(`invalid YAML: cannot decode a scalar as !!${tag}`);
  }
  return resolved;
}

function kindOf(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return "bool";
  if (!isNumber(value)) return "str";
  return typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value)) ? "int" : "float";
}

const CONSTANTS: ReadonlyMap<string, Value> = new Map<string, Value>([
  ...["true", "True", "TRUE"].map((name): [string, Value] => [name, true]),
  ...["false", "False", "FALSE"].map((name): [string, Value] => [name, false]),
  ...["", "~", "null", "Null", "NULL"].map((name): [string, Value] => [name, null]),
  ...[".nan", ".NaN", ".NAN"].map((name): [string, Value] => [name, Number.NaN]),
  ...[".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"].map((name): [string, Value] => [
    name,
    Number.POSITIVE_INFINITY,
  ]),
  ...["-.inf", "-.Inf", "-.INF"].map((name): [string, Value] => [name, Number.NEGATIVE_INFINITY]),
]);

function resolvePlain(text: string): Value {
  const constant = CONSTANTS.get(text);
  if (constant !== undefined) return constant;
  if (text.startsWith(".")) return /^\.[0-9]+([eE][-+]?[0-9]+)?$/.test(text) ? finiteFloat(text) : text;
  if (!/^[-+0-9]/.test(text)) return text;
  const plain = text.replaceAll("_", "");
  return timestamp(text) ?? integer(plain) ?? (FLOAT.test(plain) ? finiteFloat(plain, text) : text);
}

const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** Go refuses floats that overflow, which leaves the text. */
function finiteFloat(text: string, otherwise = text): Value {
  const value = Number(text);
  return Number.isFinite(value) ? float(value) : otherwise;
}

function integer(text: string): Value | undefined {
  const match = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]([0-7]+)|0([0-7]+)|(0|[1-9][0-9]*))$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hex, binary, octal, oldOctal, decimal] = match;
  const magnitude = BigInt(
    hex !== undefined
      ? `0x${hex}`
      : binary !== undefined
        ? `0b${binary}`
        : (octal ?? oldOctal) !== undefined
          ? `0o${octal ?? oldOctal}`
          : decimal!,
  );
  const value = sign === "-" ? -magnitude : magnitude;
  if (BigInt.asIntN(64, value) === value) return int(value);
  return sign === "" && BigInt.asUintN(64, value) === value ? uint(value) : undefined;
}

const TIMESTAMP =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt](\d\d?):(\d\d?):(\d\d?)(\.\d+)?(Z|[-+]\d\d:\d\d)| (\d\d?):(\d\d?):(\d\d?)(\.\d+)?)?$/;

/** Timestamps become RFC 3339 text, as Go's `time.Time` does when it is turned into a string. */
function timestamp(text: string): string | undefined {
  const match = TIMESTAMP.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, h1, m1, s1, f1, zone, h2, m2, s2, f2] = match;
  const [hour, minute, second] = [h1 ?? h2 ?? "0", m1 ?? m2 ?? "0", s1 ?? s2 ?? "0"];
  const lastDay = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
  if (Number(month) < 1 || Number(month) > 12 || Number(day) < 1 || Number(day) > lastDay) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const two = (part: string | undefined) => part!.padStart(2, "0");
  const fraction = (f1 ?? f2 ?? "").slice(0, 10).replace(/\.?0+$/, "");
  const offset = zone === undefined || /^[-+]00:00$/.test(zone) ? "Z" : zone;
  return `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}${fraction}${offset}`;
}
