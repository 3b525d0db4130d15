import { hash } from "node:crypto";
import type { Regex } from "#base/regex";
import { parseGoFloat } from "#formats/go-number";
import { type AnyValue, AttributeKey, copyValue, type KeyValues } from "#formats/otlp/values";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import { type Fault, type Infer, s } from "#lang/schema";
import type { OtlpClient } from "#pipeline/batch";
import { parseInteger } from "../ottl/parameters.ts";
import { attributeText, truncate } from "../ottl/value.ts";
import { regexArgument } from "../regex-argument.ts";
import { valueFromConfig } from "./config-value.ts";

/**
 * Actions on attributes. Matches internal/coreinternal/attraction of the Collector's contrib repository and
 * config_attraction.go of Alloy.
 */

const ACTIONS = ["insert", "update", "upsert", "delete", "hash", "extract", "convert"] as const;
const SETTERS: readonly string[] = ["insert", "update", "upsert"];
const CONTEXT_PREFIX = "metadata.";
const AUTH_PREFIX = "auth.";

const text = (doc: string) => s.string().default("").doc(doc);
export const actionSchema = s.object({
  key: text("Attribute to work on; `delete` and `hash` may have a `pattern` instead."),
  value: s.any().optional().doc("Value to set. A whole number becomes an int, also one that is written as 1.0."),
  pattern: text(
    "Regular expression: of keys for `delete` and `hash`; of the value for `extract`, which makes an attribute of each named group.",
  ),
  from_attribute: text("Attribute whose value is set; nothing happens where it is missing."),
  from_context: text(
    "What is known of the client: metadata, joined by semicolons, such as `metadata.x-tenant`, which needs `include_metadata` at the receiver; `auth.username`, which needs `otelcol.auth.basic` there; or `client.address`.",
  ),
  converted_type: text(
    "Type to which `convert` converts: `string`, `int` or `double`. What cannot be converted stays.",
  ),
  action: s
    .oneOf(ACTIONS, { ignoreCase: true })
    .doc("What to do; `hash` puts the SHA-256 of a value in its place, in hexadecimal digits."),
});
export type ActionArguments = Infer<typeof actionSchema>;

/** Changes attributes in place. */
export type AttributeEdit = (attributes: KeyValues, client: OtlpClient) => void;

/** What is wrong with the actions, one thing of each. */
export function actionFaults(actions: readonly ActionArguments[]): Fault[] {
  return faultsOf(actions.map((action, i) => () => within(`action[${i}]`, () => compileAction(action))));
}

/** All actions as one edit. The arguments were judged by `actionFaults`. */
export function compileActions(actions: readonly ActionArguments[]): AttributeEdit {
  const edits = actions.map(compileAction);
  if (edits.length === 1) return edits[0]!;
  return (attributes, client) => {
    for (let i = 0; i < edits.length; i++) edits[i]!(attributes, client);
  };
}

/** Throws ArgumentError. */
function compileAction(given: ActionArguments): AttributeEdit {
  const { action, key: name } = given;
  const mayHavePattern = action === "delete" || action === "hash";
  if (name === "" && !(mayHavePattern && given.pattern !== "")) {
    throw new ArgumentError(`needs ${mayHavePattern ? "`key` or `pattern`" : "`key`"}`);
  }
  refuseUseless(given);
  const key = new AttributeKey(name);
  switch (action) {
    case "insert":
    case "update":
    case "upsert":
      return setter(action, key, sourceOf(given));
    case "delete":
      return given.pattern === "" ? (attributes) => void attributes.remove(key) : deletion(key, pattern(given));
    case "hash":
      return given.pattern === "" ? hashing(key, undefined) : hashing(key, pattern(given));
    case "extract":
      return extraction(key, pattern(given));
    case "convert":
      return conversion(key, given.converted_type);
  }
}

/** Arguments that an action does not look at are mistakes. Upstream lets `from_context` of `delete` and `hash` through. */
function refuseUseless(given: ActionArguments): void {
  const { action } = given;
  const isSetter = SETTERS.includes(action);
  const useless: (keyof ActionArguments)[] = [];
  if (!isSetter) useless.push("value", "from_attribute", "from_context");
  if (isSetter || action === "convert") useless.push("pattern");
  if (action !== "convert") useless.push("converted_type");
  for (const argument of useless) {
    if (given[argument] === "" || isNothing(given[argument])) continue;
    throw new ArgumentError(`means nothing to \`${action}\`: leave it out`, argument);
  }
}
function isNothing(value: ActionArguments["value"]): boolean {
  return value === undefined || value === null;
}

export function pattern({ pattern: source }: ActionArguments): Regex {
  return within("pattern", () => regexArgument(source));
}

/** What is to be set; ABSENT where there is nothing. */
type Source = (attributes: KeyValues, client: OtlpClient) => AnyValue | typeof ABSENT;
export const ABSENT = Symbol("absent");

function sourceOf(given: ActionArguments): Source {
  const sources = [!isNothing(given.value), given.from_attribute !== "", given.from_context !== ""];
  const count = sources.filter((isGiven) => isGiven).length;
  if (count !== 1) {
    const problem = count === 0 ? "needs" : "has more than one of `value`, `from_attribute` and `from_context`: give";
    throw new ArgumentError(`${problem} one of \`value\`, \`from_attribute\` and \`from_context\``);
  }
  if (given.from_context !== "") return contextSource(given.from_context);
  if (given.from_attribute !== "") {
    const from = new AttributeKey(given.from_attribute);
    return (attributes) => {
      const i = attributes.find(from);
      return i < 0 ? ABSENT : copyValue(attributes.valueAt(i));
    };
  }
  const value = constant(given);
  return typeof value === "object" ? () => copyValue(value) : () => value;
}
export function constant({ value }: ActionArguments): AnyValue {
  return within("value", () => valueFromConfig(value!));
}
/** What the client's context has; ABSENT where it has nothing. */
export function contextSource(from: string): Source {
  if (from === "client.address") return (_, client) => client.clientAddress ?? "";
  if (from.startsWith(AUTH_PREFIX)) {
    const name = from.slice(AUTH_PREFIX.length);
    return (_, client) => client.clientAttributes?.get(name) ?? ABSENT;
  }
  const header = (from.startsWith(CONTEXT_PREFIX) ? from.slice(CONTEXT_PREFIX.length) : from).toLowerCase();
  return (_, client) => {
    const values = client.clientMetadata?.get(header);
    return values === undefined || values.length === 0 ? ABSENT : values.join(";");
  };
}

function setter(action: "insert" | "update" | "upsert", key: AttributeKey, source: Source): AttributeEdit {
  return (attributes, client) => {
    const i = attributes.find(key);
    if (i < 0 ? action === "update" : action === "insert") return;
    const value = source(attributes, client);
    if (value === ABSENT) return;
    if (i < 0) attributes.append(key, value);
    else attributes.setAt(i, value);
  };
}

function deletion(key: AttributeKey, keys: Regex): AttributeEdit {
  return (attributes) => {
    attributes.remove(key);
    attributes.removeIf((i) => keys.test(attributes.keyAt(i)));
  };
}

/** What has a key that matches too is hashed twice, as upstream does. */
function hashing(key: AttributeKey, keys: Regex | undefined): AttributeEdit {
  return (attributes) => {
    const i = attributes.find(key);
    if (i >= 0) attributes.setAt(i, hashed(attributes.valueAt(i)));
    if (keys === undefined) return;
    for (let k = 0; k < attributes.size; k++) {
      if (keys.test(attributes.keyAt(k))) attributes.setAt(k, hashed(attributes.valueAt(k)));
    }
  };
}

/** The SHA-256 of a value; "" for bytes, maps, lists and nothing. */
export function hashed(value: AnyValue): string {
  switch (typeof value) {
    case "string":
      return hash("sha256", value);
    case "boolean":
      return hash("sha256", Buffer.of(value ? 1 : 0));
    case "bigint": {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(value);
      return hash("sha256", bytes);
    }
    case "number": {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(value);
      return hash("sha256", bytes);
    }
  }
  return "";
}

function extraction(key: AttributeKey, regex: Regex): AttributeEdit {
  const names = regex.groupNames.slice(1);
  if (names.length === 0) {
    throw new ArgumentError("has no groups: name each part to extract, as in `(?P<name>.*)`", "pattern");
  }
  if (names.includes("")) {
    throw new ArgumentError("has a group that has no name: write `(?P<name>…)`, or `(?:…)` for no group", "pattern");
  }
  const keys = names.map((name) => new AttributeKey(name));
  return (attributes) => {
    const i = attributes.find(key);
    if (i < 0) return;
    const value = attributes.valueAt(i);
    if (typeof value !== "string") return;
    const match = regex.exec(value);
    if (match === null) return;
    for (let k = 0; k < keys.length; k++) attributes.set(keys[k]!, match[k + 1] ?? "");
  };
}

/** By `converted_type`. */
export const CONVERSIONS: Readonly<Record<string, (value: AnyValue) => AnyValue>> = {
  string: attributeText,
  int: toInt,
  double: toDouble,
};
function conversion(key: AttributeKey, type: string): AttributeEdit {
  const convert = Object.hasOwn(CONVERSIONS, type) ? CONVERSIONS[type]! : undefined;
  if (convert === undefined) throw new ArgumentError('must be "string", "int" or "double"', "converted_type");
  return (attributes) => {
    const i = attributes.find(key);
    if (i < 0) return;
    const value = attributes.valueAt(i);
    const converted = convert(value);
    if (converted !== value) attributes.setAt(i, converted);
  };
}
function toInt(value: AnyValue): AnyValue {
  switch (typeof value) {
    case "number":
      return truncate(value);
    case "boolean":
      return value ? 1n : 0n;
    case "string":
      return parseInteger(value) ?? value;
  }
  return value;
}
function toDouble(value: AnyValue): AnyValue {
  switch (typeof value) {
    case "bigint":
      return Number(value);
    case "boolean":
      return value ? 1 : 0;
    case "string":
      return parseGoFloat(value) ?? value;
  }
  return value;
}
