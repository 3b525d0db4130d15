import { isDeepStrictEqual } from "node:util";
import { GoLayout } from "../go-time/go-time.ts";
import { marshalJson } from "../json-fields.ts";
import { TemplateError, type TemplateValue } from "./parse.ts";
import {
  attempt,
  isTime,
  kindOf,
  list,
  type TemplateFunction,
  text,
  toInteger,
  truth,
  typed,
  typeName,
} from "./values.ts";

/** The functions of sprig (v3.3.0) that work on lists, maps and values of any kind, and tell of them. */

const RFC3339 = new GoLayout("2006-01-02T15:04:05.999999999Z07:00");

type TemplateMap = Map<string, TemplateValue>;
type Entry = [string, TemplateFunction];

function items(args: readonly TemplateValue[]): TemplateValue[] {
  return args.flatMap(list);
}
function unique(values: readonly TemplateValue[]): TemplateValue[] {
  return values.filter((each, i) => values.findIndex((other) => isDeepStrictEqual(other, each)) === i);
}
function contains(values: readonly TemplateValue[], wanted: TemplateValue): boolean {
  return values.some((each) => isDeepStrictEqual(each, wanted));
}
function chunks(size: number, values: readonly TemplateValue[]): TemplateValue[] {
  if (size < 1) throw new TemplateError("chunk: the size must be positive");
  return Array.from({ length: Math.ceil(values.length / size) }, (_, i) => values.slice(i * size, (i + 1) * size));
}
/** sprig's `slice`, which takes the place of text/template's: for lists only. */
function sliced(value: TemplateValue, ...bounds: TemplateValue[]): TemplateValue {
  const all = list(value);
  if (all.length === 0) return undefined;
  const from = bounds.length > 0 ? Number(toInteger(bounds[0])) : 0;
  const to = bounds.length > 1 ? Number(toInteger(bounds[1])) : all.length;
  if (!(from >= 0 && to >= from && to <= all.length)) throw new TemplateError(`index out of range: ${from}:${to}`);
  return all.slice(from, to);
}
/** A list's values as texts; one value is a list of one. */
function texts(value: TemplateValue): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.filter((each) => each !== undefined).map(text) : [text(value)];
}
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function dict(...args: TemplateValue[]): TemplateMap {
  const made: TemplateMap = new Map();
  for (let i = 0; i < args.length; i += 2) made.set(text(args[i]), i + 1 < args.length ? args[i + 1] : "");
  return made;
}
function picked(map: TemplateMap, keep: (key: string) => boolean): TemplateMap {
  return new Map([...map].filter(([key]) => keep(key)));
}
/** Takes what the first map lacks (or what the others have, with `overwrites`) from the others, in maps within maps too. */
function merge(overwrites: boolean) {
  return (into: TemplateMap, ...others: TemplateMap[]) => {
    for (const other of others) mergeInto(into, other, overwrites);
    return into;
  };
}
function mergeInto(into: TemplateMap, other: TemplateMap, overwrites: boolean): void {
  for (const [key, value] of other) {
    const own = into.get(key);
    if (own instanceof Map && value instanceof Map) mergeInto(own, value, overwrites);
    else if (overwrites ? value !== undefined : !truth(own)) into.set(key, value);
  }
}
function dig(args: readonly TemplateValue[]): TemplateValue {
  if (args.length < 3) throw new TemplateError("dig needs at least three arguments");
  let found: TemplateValue = args.at(-1);
  for (const key of args.slice(0, -2)) {
    if (!(found instanceof Map)) throw new TemplateError(`dig: ${kindOf(found)} is no map`);
    if (!found.has(text(key))) return args.at(-2);
    found = found.get(text(key));
  }
  return found;
}
function copied(value: TemplateValue): TemplateValue {
  if (Array.isArray(value)) return value.map(copied);
  return value instanceof Map ? new Map([...value].map(([key, each]) => [key, copied(each)])) : value;
}

function parsedJson(source: string): TemplateValue {
  try {
    return fromJson(JSON.parse(source));
  } catch (cause) {
    throw new TemplateError((cause as Error).message, { cause });
  }
}
function fromJson(value: unknown): TemplateValue {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object" && value !== null) {
    return new Map(Object.entries(value).map(([key, each]) => [key, fromJson(each)]));
  }
  return value === null ? undefined : (value as string | number | boolean);
}
/** For JSON.stringify; the keys sorted, as Go's encoder has them. */
function toJson(value: TemplateValue): unknown {
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) {
    return Object.fromEntries([...value].sort(([a], [b]) => byBytes(a, b)).map(([key, each]) => [key, toJson(each)]));
  }
  if (typeof value === "bigint") return Number(value);
  return value === undefined ? null : isTime(value) ? RFC3339.format(value, value.zone) : value;
}
function prettyJson(value: TemplateValue): string {
  // Go writes what is empty on one line, and escapes as without the line breaks.
  return JSON.stringify(toJson(value), null, 2).replace(/[<>&\u2028\u2029]/g, (char) => marshalJson(char).slice(1, -1));
}

function urlParts(value: string): TemplateMap {
  const [, scheme = "", rest, fragment = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?([^#]*)(?:#(.*))?$/s.exec(value)!;
  const [, location, query = ""] = /^([^?]*)(?:\?(.*))?$/s.exec(rest!)!;
  const authority = /^\/\/(?:([^/@]*)@)?([^/]*)(.*)$/s.exec(location!);
  const isOpaque = scheme !== "" && authority === null && !location!.startsWith("/");
  const [host, pathText] = authority === null ? ["", isOpaque ? "" : location!] : [authority[2]!, authority[3]!];
  if (/[\0-\x1f\x7f]/.test(value) || /%(?![0-9a-fA-F]{2})/.test(pathText)) {
    throw new TemplateError(`unable to parse url: ${value}`);
  }
  return new Map(
    Object.entries({
      scheme: scheme.toLowerCase(),
      host,
      hostname: host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1"),
      path: decoded(pathText),
      query,
      opaque: isOpaque ? location! : "",
      fragment: decoded(fragment),
      userinfo: authority?.[1] ?? "",
    }),
  );
}
function decoded(value: string): string {
  return attempt(() => decodeURIComponent(value), value);
}
function joinedUrl(parts: TemplateMap): string {
  const part = (name: string) => {
    const value = parts.get(name) ?? "";
    if (typeof value !== "string") throw new TemplateError(`unable to parse ${name} key, must be of type string`);
    return value;
  };
  let url = part("scheme") === "" ? "" : `${part("scheme")}:`;
  if (part("opaque") !== "") url += part("opaque");
  else {
    const [host, user, where] = [part("host"), part("userinfo"), part("path")];
    if (host !== "" || user !== "") url += `//${user === "" ? "" : `${user}@`}${host}`;
    if (where !== "" && !where.startsWith("/") && host !== "") url += "/";
    url += encodeURI(where).replace(/[?#]/g, encodeURIComponent);
  }
  if (part("query") !== "") url += `?${part("query")}`;
  return part("fragment") === "" ? url : `${url}#${encodeURI(part("fragment"))}`;
}

function kindName(value: TemplateValue): string {
  return value === undefined ? "invalid" : kindOf(value);
}

/** The function, and the one that begins with `must`, which here are the same: both make the template fail. */
function both(name: string, entry: Entry): Entry[] {
  return [
    [name, entry[1]],
    [`must${name[0]!.toUpperCase()}${name.slice(1)}`, entry[1]],
  ];
}

export const SPRIG_VALUES: readonly Entry[] = [
  // Defaults and tests.
  typed("default", "aa*", (fallback, ...given) => (given.length === 0 || !truth(given[0]) ? fallback : given[0])),
  typed("empty", "a", (value) => !truth(value)),
  typed("coalesce", "a*", (...args) => args.find(truth)),
  typed("all", "a*", (...args) => args.every(truth)),
  typed("any", "a*", (...args) => args.some(truth)),
  typed("ternary", "aab", (yes, no, condition) => (condition ? yes : no)),
  typed("toString", "a", text),
  typed("typeOf", "a", typeName),
  typed("typeIs", "sa", (target, value) => target === typeName(value)),
  typed("typeIsLike", "sa", (target, value) => target === typeName(value) || `*${target}` === typeName(value)),
  typed("kindOf", "a", kindName),
  typed("kindIs", "sa", (target, value) => target === kindName(value)),
  typed("deepEqual", "aa", (a, b) => isDeepStrictEqual(a, b)),
  ...both("deepCopy", typed("", "a", copied)),
  typed("fail", "s", (message) => {
    throw new TemplateError(message);
  }),
  // Lists.
  typed("list", "a*", (...args) => args),
  typed("tuple", "a*", (...args) => args),
  ...both(
    "first",
    typed("", "a", (value) => list(value)[0]),
  ),
  ...both(
    "last",
    typed("", "a", (value) => list(value).at(-1)),
  ),
  ...both(
    "rest",
    typed("", "a", (value) => list(value).slice(1)),
  ),
  ...both(
    "initial",
    typed("", "a", (value) => list(value).slice(0, -1)),
  ),
  ...both(
    "append",
    typed("", "aa", (value, item) => [...list(value), item]),
  ),
  ...both(
    "push",
    typed("", "aa", (value, item) => [...list(value), item]),
  ),
  ...both(
    "prepend",
    typed("", "aa", (value, item) => [item, ...list(value)]),
  ),
  typed("concat", "a*", (...args) => items(args)),
  ...both(
    "reverse",
    typed("", "a", (value) => list(value).toReversed()),
  ),
  ...both(
    "uniq",
    typed("", "a", (value) => unique(list(value))),
  ),
  ...both(
    "without",
    typed("", "aa*", (value, ...omitted) => list(value).filter((each) => !contains(omitted, each))),
  ),
  ...both(
    "has",
    typed("", "aa", (wanted, value) => value !== undefined && contains(list(value), wanted)),
  ),
  ...both(
    "compact",
    typed("", "a", (value) => list(value).filter(truth)),
  ),
  ...both("slice", typed("", "aa*", sliced)),
  ...both(
    "chunk",
    typed("", "ia", (size, value) => chunks(size, list(value))),
  ),
  typed("join", "sa", (separator, value) => texts(value).join(separator)),
  typed("toStrings", "a", texts),
  typed("sortAlpha", "a", (value) => texts(value).sort(byBytes)),
  // Maps.
  typed("dict", "a*", dict),
  typed("get", "ms", (map, key) => (map.has(key) ? map.get(key) : "")),
  typed("set", "msa", (map, key, value) => map.set(key, value)),
  typed("unset", "ms", (map, key) => {
    map.delete(key);
    return map;
  }),
  typed("hasKey", "ms", (map, key) => map.has(key)),
  typed("pluck", "sm*", (key, ...maps) => maps.filter((each) => each.has(key)).map((each) => each.get(key))),
  typed("keys", "m*", (...maps) => maps.flatMap((each) => [...each.keys()])),
  typed("values", "m", (map) => [...map.values()]),
  typed("pick", "ms*", (map, ...keys) => picked(map, (key) => keys.includes(key))),
  typed("omit", "ms*", (map, ...keys) => picked(map, (key) => !keys.includes(key))),
  ...both("merge", typed("", "mm*", merge(false))),
  ...both("mergeOverwrite", typed("", "mm*", merge(true))),
  typed("dig", "a*", (...args) => dig(args)),
  // JSON and URLs.
  typed("fromJson", "s", (value) => attempt(() => parsedJson(value), undefined)),
  typed("mustFromJson", "s", parsedJson),
  ...both(
    "toJson",
    typed("", "a", (value) => marshalJson(toJson(value))),
  ),
  ...both("toPrettyJson", typed("", "a", prettyJson)),
  ...both(
    "toRawJson",
    typed("", "a", (value) => JSON.stringify(toJson(value))),
  ),
  typed("urlParse", "s", urlParts),
  typed("urlJoin", "m", joinedUrl),
];
