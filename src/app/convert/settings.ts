import { formatByteSize } from "#base/bytesize";
import { DurationError, formatDuration, parseDuration, parsePrometheusDuration } from "#base/duration";
import { quoteString } from "#lang/literal";
import { nearest } from "#lang/suggest";
import type { Text } from "./environment.ts";
import { listOf, objectOf } from "./output.ts";
import type { Report, Severity } from "./report.ts";
import { isNothing, type YamlField, type YamlMap, type YamlNode, type YamlScalar } from "./yaml-tree.ts";

/** A setting's value: how it is written in the output, and what it is unless parts come from the environment. */
export interface Value<T> {
  readonly expression: string;
  readonly fixed: T | undefined;
}

const TRUE = /^(?:y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON)$/;
const FALSE = /^(?:n|N|no|No|NO|false|False|FALSE|off|Off|OFF)$/;

/**
 * A map of the source, as settings: each is taken once, by its name and with its type, and what nobody took is named by
 * `rest`. What is of the wrong type is an error of the report, and taken as not given.
 */
export class Section {
  readonly path: string;
  readonly report: Report;
  readonly #map: YamlMap;
  readonly #taken = new Set<string>();

  constructor(map: YamlMap, path: string, report: Report) {
    this.#map = map;
    this.path = path;
    this.report = report;
  }

  /** `scrape_configs[0].journal (line 12)`. */
  get place(): string {
    return placeOf(this.path, this.#map.line);
  }

  /** The place of one setting. */
  at(name: string): string {
    const field = this.#map.fields.get(name);
    if (field?.origin !== undefined) return field.origin;
    return placeOf(this.path === "" ? name : `${this.path}.${name}`, field?.line ?? this.#map.line);
  }

  /** Whether it is there and not empty. */
  has(name: string): boolean {
    const field = this.#map.fields.get(name);
    return field !== undefined && !isNothing(field.value);
  }

  get names(): readonly string[] {
    return [...this.#map.fields.keys()];
  }

  isText(name: string): boolean {
    return this.#map.fields.get(name)?.value.kind === "scalar";
  }

  /** What nobody took yet, without what is empty. */
  get left(): readonly string[] {
    return this.names.filter((name) => !this.#taken.has(name) && this.has(name));
  }

  add(severity: Severity, name: string, message: string): void {
    this.report.add(severity, this.at(name), message);
  }

  text(name: string): Value<string> | undefined {
    const scalar = this.#scalar(name, "a text");
    return scalar && { expression: scalar.text.expression, fixed: scalar.text.fixed };
  }

  /** The text itself, for what is put together with other texts. */
  rawText(name: string): Text | undefined {
    return this.#scalar(name, "a text")?.text;
  }

  flag(name: string): Value<boolean> | undefined {
    const scalar = this.#scalar(name, "true or false");
    if (scalar === undefined) return undefined;
    const { fixed, expression } = scalar.text;
    if (fixed === undefined) return { expression: `${expression} == "true"`, fixed };
    if (TRUE.test(fixed)) return { expression: "true", fixed: true };
    if (FALSE.test(fixed)) return { expression: "false", fixed: false };
    return this.#wrong(name, "true or false");
  }

  /** Numbers from the environment are converted when the output is loaded. */
  number(name: string): Value<number> | undefined {
    const scalar = this.#scalar(name, "a number");
    if (scalar === undefined) return undefined;
    const { fixed, expression } = scalar.text;
    if (fixed === undefined) return { expression, fixed };
    const plain = fixed.replaceAll("_", "").trim();
    const value = /^[-+]?(?:0x[0-9a-fA-F]+|0o[0-7]+|[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+\.)$/.test(plain)
      ? Number(plain)
      : Number.NaN;
    if (!Number.isFinite(value)) return this.#wrong(name, "a number");
    return { expression: numberText(value), fixed: value };
  }

  /** Go's durations, and Prometheus's with days, weeks and years, which the output cannot have. */
  duration(name: string): Value<number> | undefined {
    const scalar = this.#scalar(name, "a duration such as 30s");
    if (scalar === undefined) return undefined;
    const { fixed, expression } = scalar.text;
    if (fixed === undefined) return { expression, fixed };
    const parsed = durationOf(fixed);
    if (parsed === undefined) return this.#wrong(name, "a duration such as 30s or 1h30m");
    return { expression: quoteString(parsed.text), fixed: parsed.ms };
  }

  /** Sizes as Promtail's `flagext.ByteSize`: powers of two, any case, `2M`, `2MB` and `2MiB`, bytes without a unit. */
  size(name: string): Value<number> | undefined {
    const scalar = this.#scalar(name, "a size such as 256KB");
    if (scalar === undefined) return undefined;
    const { fixed, expression } = scalar.text;
    if (fixed === undefined) {
      this.add(
        "Warning",
        name,
        "a size from the environment has to be written as 256KiB or 1MiB: capitals, and always a unit",
      );
      return { expression, fixed };
    }
    const bytes = sizeOf(fixed);
    if (bytes === undefined) return this.#wrong(name, "a size such as 256KB or 1MB");
    return { expression: quoteString(formatByteSize(bytes)), fixed: bytes };
  }

  /** As `size`, for arguments that are numbers. */
  bytes(name: string): Value<number> | undefined {
    const size = this.size(name);
    return size?.fixed === undefined ? size : { expression: numberText(size.fixed), fixed: size.fixed };
  }

  /** A number of bytes, for arguments that are sizes. */
  byteCount(name: string): Value<number> | undefined {
    const count = this.number(name);
    if (count?.fixed === undefined) return count && { expression: `${count.expression} + "B"`, fixed: undefined };
    return { expression: quoteString(formatByteSize(count.fixed)), fixed: count.fixed };
  }

  /** A list of texts; one text alone counts as a list where `single` says so. */
  texts(name: string, single = false): Value<readonly string[]> | undefined {
    const node = this.#take(name);
    if (node === undefined || isNothing(node)) return undefined;
    const items = node.kind === "list" ? node.items : single && node.kind === "scalar" ? [node] : undefined;
    if (items === undefined || !items.every((each) => each.kind === "scalar")) {
      return this.#wrong(name, "a list of texts");
    }
    const texts = items.map((each) => (each as YamlScalar).text);
    const fixed = texts.map((each) => each.fixed);
    return {
      expression: listOf(texts.map((each) => each.expression)),
      fixed: fixed.every((each) => each !== undefined) ? fixed : undefined,
    };
  }

  numbers(name: string): Value<readonly number[]> | undefined {
    const texts = this.texts(name);
    if (texts?.fixed === undefined) return texts && { expression: texts.expression, fixed: undefined };
    const fixed = texts.fixed.map(Number);
    if (!fixed.every(Number.isFinite)) return this.#wrong(name, "a list of numbers");
    return { expression: listOf(fixed.map(numberText)), fixed };
  }

  /** A map of texts; what has no value is an empty text. */
  textMap(name: string): ReadonlyMap<string, Text> | undefined {
    const node = this.#take(name);
    if (node === undefined || isNothing(node)) return undefined;
    return node.kind === "map" ? this.#textsOf(node, name) : this.#wrong(name, "a map of texts");
  }

  /** The whole section as a map of texts. */
  allTexts(): ReadonlyMap<string, Text> {
    for (const name of this.names) this.#taken.add(name);
    return this.#textsOf(this.#map, "");
  }

  #textsOf(map: YamlMap, name: string): ReadonlyMap<string, Text> {
    const out = new Map<string, Text>();
    for (const [key, { value, line }] of map.fields) {
      if (value.kind === "scalar") out.set(key, isNothing(value) ? value.text.map(() => "") : value.text);
      else this.report.add("Error", placeOf(join(join(this.path, name), key), line), "must be a text; it is left out");
    }
    return out;
  }

  section(name: string): Section | undefined {
    const node = this.#take(name);
    if (node === undefined || isNothing(node)) return undefined;
    if (node.kind !== "map") return this.#wrong(name, "a map of settings");
    return new Section(node, join(this.path, name), this.report);
  }

  /** As `section`, but there also when the setting is empty (`cri:`), and when it is missing undefined. */
  sectionOrEmpty(name: string): Section | undefined {
    const field = this.#map.fields.get(name);
    if (field === undefined) return undefined;
    if (!isNothing(field.value)) return this.section(name);
    this.#taken.add(name);
    return new Section({ kind: "map", fields: new Map(), line: field.line }, join(this.path, name), this.report);
  }

  sections(name: string): readonly Section[] {
    return this.items(name).flatMap((item, i) => {
      const path = `${join(this.path, name)}[${i}]`;
      if (item.kind === "map") return [new Section(item, path, this.report)];
      this.report.add("Error", placeOf(path, item.line), "must be a map of settings; it is left out");
      return [];
    });
  }

  /** The elements of a list, whatever they are. */
  items(name: string): readonly YamlNode[] {
    const node = this.#take(name);
    if (node === undefined || isNothing(node)) return [];
    return node.kind === "list" ? node.items : (this.#wrong(name, "a list") ?? []);
  }

  /** What the setting says, whatever it is; undefined for nothing. */
  node(name: string): YamlNode | undefined {
    const node = this.#take(name);
    return node === undefined || isNothing(node) ? undefined : node;
  }

  /** Takes a setting that has no counterpart; tells what that means if it is given, and nobody took it before. */
  tell(name: string, severity: Severity, message: string): void {
    if (this.#taken.has(name)) return;
    this.#taken.add(name);
    if (this.has(name)) this.add(severity, name, message);
  }

  /** Takes a setting without a word. */
  skip(...names: readonly string[]): void {
    for (const name of names) this.#taken.add(name);
  }

  /** Names what nobody took. Nothing of it is in the output. */
  rest(known: readonly string[] = []): void {
    for (const name of this.names.filter((each) => !this.#taken.has(each))) {
      const similar = nearest(name, [...this.#taken, ...known]);
      const hint = similar === undefined ? "" : `; is it meant to be ${similar}?`;
      this.add("Error", name, `this setting is not known, and is left out${hint}`);
    }
  }

  #take(name: string): YamlNode | undefined {
    this.#taken.add(name);
    return this.#map.fields.get(name)?.value;
  }

  #scalar(name: string, wanted: string): YamlScalar | undefined {
    const node = this.#take(name);
    if (node === undefined || isNothing(node)) return undefined;
    return node.kind === "scalar" ? node : this.#wrong(name, wanted);
  }

  /** Does not show the value, which may be a secret. */
  #wrong(name: string, wanted: string): undefined {
    this.add("Error", name, `must be ${wanted}; it is left out`);
  }
}

export function placeOf(path: string, line: number | undefined): string {
  if (line === undefined) return path;
  return path === "" ? `line ${line}` : `${path} (line ${line})`;
}

/** Sets a value as if the file had it, for flags, which are stronger than the file. */
export function setField(root: YamlMap, path: readonly string[], value: YamlNode, origin: string): void {
  let map = root;
  for (const name of path.slice(0, -1)) {
    let field = map.fields.get(name);
    if (field === undefined || field.value.kind !== "map") {
      field = { value: { kind: "map", fields: new Map(), line: undefined }, line: undefined, origin };
      map.fields.set(name, field);
    }
    map = (field as YamlField).value as YamlMap;
  }
  map.fields.set(path.at(-1)!, { value, line: undefined, origin });
}

function join(path: string, name: string): string {
  return path === "" || name === "" ? path + name : `${path}.${name}`;
}

function numberText(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? String(BigInt(value)) : String(value);
}

function durationOf(text: string): { text: string; ms: number } | undefined {
  try {
    const ms = parseDuration(text);
    return { text, ms };
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
  }
  try {
    const ms = parsePrometheusDuration(text);
    return { text: formatDuration(ms), ms };
  } catch (error) {
    if (!(error instanceof DurationError)) throw error;
    return undefined;
  }
}

const SIZE = /^([0-9]+) ?(?:([KMGTPE])I?)?B?$/;

function sizeOf(text: string): number | undefined {
  const [match, digits, unit] = SIZE.exec(text.trim().toUpperCase()) ?? [];
  if (match === undefined) return text.trim() === "" ? 0 : undefined;
  return Number(digits) * 1024 ** (unit === undefined ? 0 : "KMGTPE".indexOf(unit) + 1);
}

export function textMapExpression(texts: ReadonlyMap<string, Text>): string {
  return objectOf([...texts].map(([key, text]) => [key, text.expression]));
}
