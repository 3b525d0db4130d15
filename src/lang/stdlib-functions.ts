import { ConversionError, toArray, toSecret, toText, within } from "./convert.ts";
import { formatNumber, isNumber } from "./number.ts";
import { coalesce, combineMaps, concat, groupBy, objectArgument } from "./stdlib-arrays.ts";
import { sprintf } from "./stdlib-format.ts";
import { formatJson, parseJson } from "./stdlib-json.ts";
import { queryJson } from "./stdlib-jsonpath.ts";
import * as text from "./stdlib-text.ts";
import { parseYaml } from "./stdlib-yaml.ts";
import { type FunctionValue, Secret, type Value, ValueError } from "./value.ts";

/** What the standard library needs to know about the machine. */
export interface Host {
  /** The value of an environment variable; undefined if it is not set. */
  environment(name: string): string | undefined;
  readonly hostname: string;
  /** As Go names them: `linux`, `darwin`, `windows`; `amd64`, `arm64`. */
  readonly os: string;
  readonly arch: string;
  /** The agent's version, with or without a `v`. */
  readonly version: string;
}

interface Definition {
  /** The number of arguments; `most` is Infinity for variadic functions. */
  readonly least: number;
  readonly most: number;
  /**
   * `taint`: secrets among the arguments are revealed to the function and everything in the result becomes a secret.
   * `keep`: the function passes values on without looking into them. `declassify`: the result is plain.
   */
  readonly secrets: "taint" | "keep" | "declassify";
  readonly call: (args: readonly Value[]) => Value;
}

function textArgument(args: readonly Value[], at: number): string {
  return ofArgument(at, () => toText(args[at]!));
}

function ofArgument<T>(at: number, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    throw error instanceof ConversionError ? error.ofArgument(at) : error;
  }
}

function fixed(count: number, call: Definition["call"]): Definition {
  return { least: count, most: count, secrets: "taint", call };
}

/** A function of text alone. */
function ofTexts(count: number, call: (...texts: string[]) => Value): Definition {
  return fixed(count, (args) => call(...args.map((_, i) => textArgument(args, i))));
}

/** All functions by their full names. Follows Alloy's `syntax/internal/stdlib/stdlib.go`. */
function definitions(host: Host): Readonly<Record<string, Definition>> {
  return {
    "array.concat": { least: 0, most: Number.POSITIVE_INFINITY, secrets: "keep", call: concat },
    "array.combine_maps": { least: 3, most: 4, secrets: "keep", call: combineMaps },
    "array.group_by": { least: 3, most: 3, secrets: "keep", call: groupBy },
    coalesce: { least: 0, most: Number.POSITIVE_INFINITY, secrets: "keep", call: coalesce },
    json_path: ofTexts(2, (json, path) => queryJson(json, path)),
    "convert.nonsensitive": {
      least: 1,
      most: 1,
      secrets: "declassify",
      call: (args) => ofArgument(0, () => toSecret(args[0]!)).reveal(),
    },
    "sys.env": ofTexts(1, (name) => host.environment(name) ?? ""),
    "file.path_join": {
      least: 0,
      most: Number.POSITIVE_INFINITY,
      secrets: "taint",
      call: (args) => text.joinPath(args.map((_, i) => textArgument(args, i))),
    },
    "encoding.from_base64": ofTexts(1, (value) => text.decodeBase64(value, "standard")),
    "encoding.from_URLbase64": ofTexts(1, (value) => text.decodeBase64(value, "url")),
    "encoding.to_base64": ofTexts(1, (value) => text.encodeBase64(value, "standard")),
    "encoding.to_URLbase64": ofTexts(1, (value) => text.encodeBase64(value, "url")),
    "encoding.url_encode": ofTexts(1, text.escapeQuery),
    "encoding.url_decode": ofTexts(1, text.unescapeQuery),
    "encoding.to_json": fixed(1, (args) => formatJson(objectArgument(args, 0))),
    "encoding.from_json": ofTexts(1, (json) => parseJson(json, "as-floats")),
    "encoding.from_yaml": ofTexts(1, parseYaml),
    "string.format": {
      least: 1,
      most: Number.POSITIVE_INFINITY,
      secrets: "taint",
      call: (args) => sprintf(textArgument(args, 0), args.slice(1)),
    },
    "string.join": fixed(2, (args) => {
      const items = ofArgument(0, () => toArray(args[0]!).map((item, i) => within(i, () => toText(item))));
      return items.join(textArgument(args, 1));
    }),
    "string.replace": ofTexts(3, (value, substring, replacement) => text.replaceAll(value, substring, replacement)),
    "string.split": ofTexts(2, (value, separator) => text.split(value, separator)),
    "string.to_lower": ofTexts(1, text.toLower),
    "string.to_upper": ofTexts(1, text.toUpper),
    "string.trim": ofTexts(2, (value, cutset) => text.trim(value, cutset)),
    "string.trim_prefix": ofTexts(2, (value, prefix) => text.trimPrefix(value, prefix)),
    "string.trim_suffix": ofTexts(2, (value, suffix) => text.trimSuffix(value, suffix)),
    "string.trim_space": ofTexts(1, text.trimSpace),
  };
}

/** The functions as values of the language, by their full names. */
export function standardFunctions(host: Host): ReadonlyMap<string, FunctionValue> {
  return new Map(
    Object.entries(definitions(host)).map(([name, definition]) => [name, functionValue(name, definition)]),
  );
}

function functionValue(name: string, definition: Definition): FunctionValue {
  return {
    kind: "function",
    name,
    call(args) {
      checkCount(definition, args.length);
      const tainted = definition.secrets === "taint" && args.some(containsSecret);
      try {
        return tainted ? taint(definition.call(args.map(reveal))) : definition.call(args);
      } catch (error) {
        if (error instanceof RangeError) throw new ValueError("failed: the result is too large");
        // A message about the shape of values is harmless; any other may quote the secret.
        if (tainted && error instanceof ValueError && !(error instanceof ConversionError)) {
          throw new ValueError("failed: the secret is not valid input");
        }
        throw error;
      }
    },
  };
}

function checkCount({ least, most }: Definition, count: number): void {
  if (count >= least && count <= most) return;
  const wanted =
    most === Number.POSITIVE_INFINITY ? `at least ${least}` : least === most ? least : `${least} or ${most}`;
  throw new ValueError(`expected ${wanted} args, got ${count}`);
}

function containsSecret(value: Value): boolean {
  if (value instanceof Secret) return true;
  if (Array.isArray(value)) return (value as readonly Value[]).some(containsSecret);
  return value instanceof Map && [...(value as ReadonlyMap<string, Value>).values()].some(containsSecret);
}

function mapScalars(value: Value, map: (scalar: Value) => Value): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map((item) => mapScalars(item, map));
  if (!(value instanceof Map)) return map(value);
  return new Map([...(value as ReadonlyMap<string, Value>)].map(([key, item]) => [key, mapScalars(item, map)]));
}

function reveal(value: Value): Value {
  return mapScalars(value, (each) => (each instanceof Secret ? each.reveal() : each));
}

/** Every scalar becomes a secret: numbers and bools too, since they may be all of a secret that there is. */
function taint(value: Value): Value {
  return mapScalars(value, (each) => {
    if (typeof each === "string") return new Secret(each);
    if (typeof each === "boolean") return new Secret(String(each));
    return isNumber(each) ? new Secret(formatNumber(each)) : each;
  });
}
