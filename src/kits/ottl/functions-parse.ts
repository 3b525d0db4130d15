import { CsvError, readCsvRow } from "#formats/csv-row";
import {
  type GoUrl,
  GoUrlError,
  goUrlText,
  hostName,
  parseGoUrl,
  percentDecode,
  portOf,
  userInfo,
} from "#formats/go-url";
import { Grok, GrokError } from "#formats/grok";
import { type AnyValue, AttributeKey, KeyValues, ValueList } from "#formats/otlp/values";
import { UserAgents } from "#formats/user-agent";
import * as p from "./parameters.ts";
import { define, listOf, type OttlFunction, optional } from "./parameters.ts";
import { keep, regexOf } from "./regex.ts";
import { OttlError, type OttlValue, typeOf } from "./value.ts";

/** Converters that take texts apart. Matches pkg/ottl/ottlfuncs and coreinternal/parseutils. */

/** Deeper JSON would not fit into a request: messages of OTLP nest 100 deep at most, three for each level. */
const DEEPEST_JSON = 28;

export function mapOf(entries: Iterable<readonly [string, AnyValue]>): KeyValues {
  const map = new KeyValues();
  for (const [key, value] of entries) map.set(new AttributeKey(key), value);
  return map;
}

function fromJson(value: unknown, depth: number): AnyValue {
  if (value === null) return undefined;
  if (value === Infinity || value === -Infinity) throw OttlError.of("the JSON has a number out of range");
  if (typeof value !== "object") return value as string | number | boolean;
  if (depth === 0) throw OttlError.of(`the JSON is nested more than ${DEEPEST_JSON} levels deep`);
  if (Array.isArray(value)) return new ValueList(value.map((item) => fromJson(item, depth - 1)));
  const map = new KeyValues();
  for (const [key, item] of Object.entries(value)) map.append(key, fromJson(item, depth - 1));
  return map;
}

const parseJson = define("ParseJSON", { target: p.text }, ({ target }) => (c) => {
  const text = target.get(c);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw OttlError.of("the text is not valid JSON");
  }
  if (typeof parsed !== "object" || parsed === null) throw OttlError.of("the JSON is neither an object nor an array");
  return fromJson(parsed, DEEPEST_JSON);
});

/** Splits at a delimiter outside of quotes, which are taken off. */
function splitQuoted(text: string, delimiter: string): string[] {
  const parts: string[] = [];
  let current = "";
  let quote = "";
  let escaped = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (quote === "" && text.startsWith(delimiter, i)) {
      if (current !== "") parts.push(current);
      current = "";
      i += delimiter.length - 1;
      continue;
    }
    if (escaped) escaped = false;
    else {
      if (quote === "" && (char === '"' || char === "'")) {
        quote = char;
        continue;
      }
      if (char === quote) {
        quote = "";
        continue;
      }
      escaped = char === "\\";
    }
    current += char;
  }
  if (quote !== "") throw OttlError.of("a quoted value does not end");
  if (current !== "") parts.push(current);
  return parts;
}

const parseKeyValue = define(
  "ParseKeyValue",
  { target: p.text, delimiter: optional(p.textLiteral), pair_delimiter: optional(p.textLiteral) },
  ({ target, delimiter = "=", pair_delimiter: pairDelimiter = " " }) => {
    if (delimiter === "" || pairDelimiter === "") throw OttlError.of("a delimiter is empty");
    if (delimiter === pairDelimiter) throw OttlError.of("the two delimiters are the same");
    return (c) => {
      const text = target.get(c);
      if (text === "") throw OttlError.of("the text is empty");
      const pairs = splitQuoted(text, pairDelimiter).map((pair) => {
        const at = pair.indexOf(delimiter);
        if (at < 0) throw OttlError.of(`${JSON.stringify(pair)} has no ${JSON.stringify(delimiter)}`);
        return [pair.slice(0, at).trim(), pair.slice(at + delimiter.length).trim()] as const;
      });
      return mapOf(pairs);
    };
  },
);

const parseCsv = define(
  "ParseCSV",
  {
    target: p.text,
    header: p.text,
    delimiter: optional(p.textLiteral),
    header_delimiter: optional(p.textLiteral),
    mode: optional(p.textLiteral),
  },
  ({ target, header, delimiter = ",", header_delimiter: headerDelimiter = delimiter, mode = "strict" }) => {
    for (const each of [delimiter, headerDelimiter]) {
      if (Array.from(each).length !== 1) throw OttlError.of("a delimiter must be a single character");
    }
    if (!["strict", "lazyQuotes", "ignoreQuotes"].includes(mode))
      throw OttlError.of(`unknown mode ${JSON.stringify(mode)}`);
    const read = (row: string): string[] => {
      if (mode === "ignoreQuotes") return row.split(delimiter);
      try {
        return readCsvRow(row, delimiter, { lazyQuotes: mode === "lazyQuotes" });
      } catch (error) {
        if (error instanceof CsvError) throw OttlError.of(error.message);
        throw error;
      }
    };
    return (c) => {
      const row = target.get(c);
      const names = header.get(c);
      if (names === "") throw OttlError.of("the header is empty");
      const headers = names.split(headerDelimiter);
      const fields = read(row);
      if (fields.length !== headers.length) {
        throw OttlError.of(`the row has ${fields.length} fields and the header ${headers.length}`);
      }
      return mapOf(fields.map((field, i) => [headers[i]!, field] as const));
    };
  },
);

const extractPatterns = define("ExtractPatterns", { target: p.text, pattern: p.text }, ({ target, pattern }) => {
  const regexFor = regexOf(pattern);
  return (c) => {
    const regex = regexFor(c);
    if (regex.groupNames.every((name) => name === "")) throw OttlError.of("the pattern has no named group");
    const found = regex.exec(target.get(c));
    const map = new KeyValues();
    if (found === null) return map;
    for (const [i, name] of regex.groupNames.entries()) {
      if (i > 0 && name !== "") map.set(new AttributeKey(name), found[i] ?? "");
    }
    return map;
  };
});

const extractGrok = define(
  "ExtractGrokPatterns",
  {
    target: p.text,
    pattern: p.text,
    named_captures_only: optional(p.boolLiteral),
    pattern_definitions: optional(listOf(p.textLiteral)),
  },
  ({ target, pattern, named_captures_only: namedOnly = false, pattern_definitions: given = [] }) => {
    const definitions = new Map<string, string>();
    for (const definition of given) {
      const equals = definition.indexOf("=");
      if (equals < 0) throw OttlError.of(`the definition ${JSON.stringify(definition)} must be NAME=pattern`);
      const name = definition.slice(0, equals);
      if (name.includes(":")) throw OttlError.of(`the name ${JSON.stringify(name)} of a pattern has a colon`);
      definitions.set(name, definition.slice(equals + 1));
    }
    const grokFor = keep(pattern, (text) => {
      const grok = attempt(() => new Grok(text, definitions, { namedOnly }));
      if (namedOnly && !grok.hasNames) throw OttlError.of("the pattern has no named group");
      return grok;
    });
    return (c) => {
      const grok = grokFor(c);
      const text = target.get(c);
      return mapOf(attempt(() => grok.match(text)));
    };
  },
);
function attempt<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof GrokError || error instanceof GoUrlError) throw OttlError.of(error.message);
    throw error;
  }
}

const url = define("URL", { uri: p.text }, ({ uri }) => (c) => {
  const text = uri.get(c);
  if (text === "") throw OttlError.of("the URL is empty");
  return attempt(() => (text.startsWith("?") ? queryParts(text.slice(1)) : urlParts(parseGoUrl(text))));
});

function urlParts(parsed: GoUrl): KeyValues {
  const parts: [string, AnyValue][] = [
    ["url.original", goUrlText(parsed)],
    ["url.domain", hostName(parsed.host)],
    ["url.scheme", parsed.scheme],
    ["url.path", parsed.path],
  ];
  const port = portOf(parsed.host);
  if (port !== "") parts.push(["url.port", BigInt(port)]);
  if (parsed.fragment !== "") parts.push(["url.fragment", parsed.fragment]);
  if (parsed.user !== undefined) {
    parts.push(["url.user_info", userInfo(parsed.user)]);
    if (parsed.user.name !== "") parts.push(["url.username", parsed.user.name]);
    if (parsed.user.password !== undefined) parts.push(["url.password", parsed.user.password]);
  }
  if (parsed.rawQuery !== "") parts.push(["url.query", parsed.rawQuery]);
  const dot = parsed.path.lastIndexOf(".");
  if (dot >= 0 && dot < parsed.path.length - 1) parts.push(["url.extension", parsed.path.slice(dot + 1)]);
  return mapOf(parts);
}
/** A query by itself: `?a=1&a=2` is `{query: {a: ["1", "2"]}}`. */
function queryParts(query: string): KeyValues {
  const values = new Map<string, string[]>();
  for (const pair of query.split("&")) {
    if (pair.includes(";")) throw new GoUrlError("invalid semicolon separator in query");
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const plain = (part: string) => percentDecode(part.replaceAll("+", " "));
    const key = plain(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : plain(pair.slice(equals + 1));
    const known = values.get(key);
    if (known === undefined) values.set(key, [value]);
    else known.push(value);
  }
  if (values.size === 0) return new KeyValues();
  return mapOf([["query", mapOf([...values].map(([key, list]) => [key, new ValueList(list)] as const))]]);
}

const userAgent = define("UserAgent", { user_agent: p.text }, ({ user_agent: header }) => {
  const userAgents = new UserAgents();
  return (c) => {
    const text = header.get(c);
    const { browser, system } = userAgents.parse(text);
    const parts: [string, AnyValue][] = [
      ["user_agent.name", browser.family],
      ["user_agent.original", text],
      ["user_agent.version", browser.version],
      ["os.name", system.family],
    ];
    if (system.version !== "") parts.push(["os.version", system.version]);
    return mapOf(parts);
  };
});

interface Criterion {
  readonly texts: ReadonlySet<string>;
  readonly range: { readonly min: bigint; readonly max: bigint } | undefined;
}
const RANGES: ReadonlyMap<string, { readonly min: bigint; readonly max: bigint }> = new Map([
  ["2xx", { min: 200n, max: 299n }],
  ["3xx", { min: 300n, max: 399n }],
  ["4xx", { min: 400n, max: 499n }],
  ["5xx", { min: 500n, max: 599n }],
]);

function entries(map: KeyValues): readonly (readonly [string, AnyValue])[] {
  return Array.from({ length: map.size }, (_, i) => [map.keyAt(i), map.valueAt(i)] as const);
}
function criterion(value: AnyValue): Criterion {
  if (!(value instanceof KeyValues)) throw OttlError.of("each criterion of a severity must be a map");
  const given = new Map(entries(value));
  const equals = given.get("equals");
  const texts = equals === undefined ? [] : equals instanceof ValueList ? equals.items : undefined;
  if (texts === undefined || !texts.every((each) => typeof each === "string")) {
    throw OttlError.of("equals must be a list of strings");
  }
  return { texts: new Set(texts), range: given.has("range") ? rangeOf(given.get("range")) : undefined };
}
function rangeOf(value: AnyValue): { readonly min: bigint; readonly max: bigint } {
  const known = typeof value === "string" ? RANGES.get(value) : undefined;
  if (known !== undefined) return known;
  if (!(value instanceof KeyValues)) throw OttlError.of('a range must be a map with min and max, or "2xx" to "5xx"');
  const given = new Map(entries(value));
  const min = given.get("min");
  const max = given.get("max");
  if (typeof min !== "bigint" || typeof max !== "bigint") throw OttlError.of("min and max of a range must be ints");
  return { min, max };
}

type Levels = readonly (readonly [level: string, criteria: readonly Criterion[]])[];

function levelsOf(mapping: p.Typed<KeyValues>): Levels {
  if (mapping.literal === undefined) throw OttlError.of("the mapping must stand here literally");
  return entries(mapping.literal.value).map(([level, list]) => {
    if (!(list instanceof ValueList)) throw OttlError.of(`the criteria of ${level} must be a list`);
    return [level, list.items.map(criterion)] as const;
  });
}

const parseSeverity = define("ParseSeverity", { target: p.any, mapping: p.map }, ({ target, mapping }) => {
  let levels: Levels;
  try {
    levels = levelsOf(mapping);
  } catch (fault) {
    // Upstream takes such a statement and fails with every item.
    return () => {
      throw fault;
    };
  }
  const fits = (value: OttlValue, { texts, range }: Criterion): boolean => {
    if (typeof value === "string") return texts.has(value);
    if (typeof value === "bigint") return range !== undefined && value >= range.min && value <= range.max;
    throw OttlError.of(`a ${typeOf(value)} is no severity; it must be a string or an int`);
  };
  return (c) => {
    const value = target.get(c);
    const found = levels.find(([, criteria]) => criteria.some((each) => fits(value, each)));
    if (found === undefined) throw OttlError.of("no severity of the mapping fits the value");
    return found[0];
  };
});

export const parsingConverters: readonly OttlFunction[] = [
  parseJson,
  parseKeyValue,
  parseCsv,
  extractPatterns,
  extractGrok,
  url,
  userAgent,
  parseSeverity,
];
