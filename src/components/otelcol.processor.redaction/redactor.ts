import { createHmac, hash } from "node:crypto";
import type { Regex } from "#base/regex";
import { compileRegex } from "#base/regex";
import { type AnyValue, AttributeKey, KeyValues, ValueList } from "#formats/otlp/values";
import { attributeText, compareUtf8 } from "#kits/ottl/value";
import type { DatabaseCleaner } from "./database-text.ts";
import { withoutIds } from "./url-names.ts";

export type HashFunction = "" | "sha1" | "sha3" | "md5" | "hmac-sha256" | "hmac-sha512";

export interface RedactorOptions {
  /** Undefined for all. */
  readonly allowedKeys: readonly string[] | undefined;
  readonly ignoredKeys: readonly string[];
  readonly ignoredKeyPatterns: readonly Regex[];
  readonly blockedKeyPatterns: readonly Regex[];
  readonly allowedValues: readonly Regex[];
  readonly blockedValues: readonly Regex[];
  readonly redactAllTypes: boolean;
  readonly hash: HashFunction;
  readonly hmacKey: string;
  readonly summary: "debug" | "info" | "silent";
  /** Attributes with URLs; undefined if no URL is to be cleaned. */
  readonly urlAttributes: readonly string[] | undefined;
  readonly databases: DatabaseCleaner;
}

const MASK = "****";
const ANYTHING = compileRegex(".*");
const [DB_SYSTEM_NAME, DB_SYSTEM] = [new AttributeKey("db.system.name"), new AttributeKey("db.system")];

/** Where the summary of what was done goes. */
interface SummaryKeys {
  readonly keys: AttributeKey | undefined;
  readonly count: AttributeKey;
}
const summaryOf = (prefix: string, name: string): SummaryKeys => ({
  keys: name === "ignored" ? undefined : new AttributeKey(`${prefix}.${name}.keys`),
  count: new AttributeKey(`${prefix}.${name}.count`),
});
const summaries = (prefix: string) => ({
  redacted: summaryOf(prefix, "redacted"),
  masked: summaryOf(prefix, "masked"),
  allowed: summaryOf(prefix, "allowed"),
  ignored: summaryOf(prefix, "ignored"),
});
const OF_ATTRIBUTES = summaries("redaction");
const OF_BODY = summaries("redaction.body");
/** Of its own attributes upstream lets these pass a list of allowed keys. */
const OWN_KEYS = [OF_ATTRIBUTES.redacted, OF_ATTRIBUTES.masked, OF_ATTRIBUTES.ignored].flatMap(({ keys, count }) =>
  keys === undefined ? [count.text] : [keys.text, count.text],
);

/** The keys of what was removed, masked, let through and left alone. */
class Findings {
  readonly redacted: string[] = [];
  readonly masked: string[] = [];
  readonly allowed: string[] = [];
  readonly ignored: string[] = [];
}

/** Removes and masks attributes and parts of log bodies. Matches processor/redactionprocessor. */
export class Redactor {
  readonly #options: RedactorOptions;
  readonly #allowed: ReadonlySet<string> | undefined;
  readonly #ignored: ReadonlySet<string>;
  readonly #urlAttributes: ReadonlySet<string> | undefined;
  readonly #digest: (text: string) => string;

  constructor(options: RedactorOptions) {
    const { allowedKeys, ignoredKeys, urlAttributes } = options;
    this.#options = options;
    this.#allowed = allowedKeys && new Set([...allowedKeys, ...OWN_KEYS]);
    this.#ignored = new Set(ignoredKeys);
    this.#urlAttributes = urlAttributes && new Set(urlAttributes);
    this.#digest = digestOf(options.hash, options.hmacKey);
  }

  attributes(attributes: KeyValues): void {
    if (attributes.size === 0) return;
    const found = new Findings();
    const removed = new Set<number>();
    const system = databaseSystem(attributes);
    for (let i = 0; i < attributes.size; i++) {
      const key = attributes.keyAt(i);
      if (this.#isIgnored(key)) found.ignored.push(key);
      else if (!this.#isKeyAllowed(key)) {
        found.redacted.push(key);
        removed.add(i);
      } else this.#value(attributes, i, key, system, found);
    }
    if (removed.size > 0) attributes.removeIf((i) => removed.has(i));
    this.#summarize(found, attributes, OF_ATTRIBUTES);
  }

  #value(attributes: KeyValues, i: number, key: string, system: string, found: Findings): void {
    const value = attributes.valueAt(i);
    // Other types count as an empty text.
    const text = this.#options.redactAllTypes ? attributeText(value) : typeof value === "string" ? value : "";
    if (this.isAllowed(text)) {
      found.allowed.push(key);
      return;
    }
    const masked = this.#isKeyBlocked(key) ? this.#mask(text, ANYTHING) : this.#clean(text, key, system);
    if (masked === text && !this.#isKeyBlocked(key)) return;
    found.masked.push(key);
    attributes.setAt(i, masked);
  }
  #clean(text: string, key: string, system: string): string {
    let cleaned = this.#maskBlocked(text);
    if (this.#urlAttributes?.has(key)) cleaned = withoutIds(cleaned);
    return this.#options.databases.attribute(cleaned, key, system);
  }

  /** Redacts a log record's body; the summary goes to its attributes. Returns the body to put in its place. */
  body(body: AnyValue, attributes: () => KeyValues): AnyValue {
    const found = new Findings();
    const redacted = this.#part(body, undefined, found);
    // Upstream says nothing of a body that is a single value and is let through.
    if (found.allowed[0] !== "body" || isContainer(body)) this.#summarizeBody(found, attributes);
    return redacted;
  }
  #summarizeBody(found: Findings, attributes: () => KeyValues): void {
    const { redacted, masked, allowed, ignored } = found;
    if (redacted.length + masked.length + allowed.length + ignored.length === 0) return;
    this.#summarize(found, attributes(), OF_BODY);
  }

  /** `path` is that of the value, undefined for the body itself. Maps and lists are edited in place. */
  #part(value: AnyValue, path: string | undefined, found: Findings): AnyValue {
    if (value instanceof KeyValues) this.#map(value, path, found);
    else if (value instanceof ValueList) {
      for (const [i, item] of value.items.entries()) {
        const redacted = this.#part(item, below(path, `[${i}]`), found);
        if (redacted === item) continue;
        value.items[i] = redacted;
        value.edited = true;
      }
    } else return this.#scalar(value, path ?? "body", found);
    return value;
  }
  #map(map: KeyValues, path: string | undefined, found: Findings): void {
    const removed = new Set<number>();
    for (let i = 0; i < map.size; i++) {
      const key = map.keyAt(i);
      const at = below(path, key);
      if (this.#isIgnored(key)) found.ignored.push(at);
      else if (!this.#isKeyAllowed(key)) {
        removed.add(i);
        found.redacted.push(at);
      } else if (this.#isKeyBlocked(key)) {
        found.masked.push(at);
        const value = map.valueAt(i);
        map.setAt(i, this.#mask(typeof value === "string" ? value : "", ANYTHING));
      } else {
        const value = map.valueAt(i);
        const redacted = this.#part(value, at, found);
        if (redacted !== value) map.setAt(i, redacted);
      }
    }
    if (removed.size > 0) map.removeIf((i) => removed.has(i));
  }
  #scalar(value: AnyValue, path: string, found: Findings): AnyValue {
    const text = attributeText(value);
    if (this.isAllowed(text)) {
      found.allowed.push(path);
      return value;
    }
    let cleaned = this.#maskBlocked(text);
    if (this.#urlAttributes !== undefined) cleaned = withoutIds(cleaned);
    cleaned = this.#options.databases.text(cleaned);
    if (cleaned === text) return value;
    found.masked.push(path);
    return cleaned;
  }

  /** Whether a value is let through as it is. */
  isAllowed(text: string): boolean {
    return this.#options.allowedValues.some((each) => each.test(text));
  }
  #isIgnored(key: string): boolean {
    return this.#ignored.has(key) || this.#options.ignoredKeyPatterns.some((each) => each.test(key));
  }
  #isKeyAllowed(key: string): boolean {
    return this.#allowed === undefined || this.#allowed.has(key);
  }
  #isKeyBlocked(key: string): boolean {
    return this.#options.blockedKeyPatterns.some((each) => each.test(key));
  }

  #maskBlocked(text: string): string {
    let masked = text;
    for (const each of this.#options.blockedValues) if (each.test(masked)) masked = this.#mask(masked, each);
    return masked;
  }
  #mask(text: string, pattern: Regex): string {
    return pattern.replaceAllFunction(text, (match) => this.#digest(match[0]!));
  }

  #summarize(found: Findings, attributes: KeyValues, keys: typeof OF_ATTRIBUTES): void {
    const { summary } = this.#options;
    if (summary === "silent") return;
    for (const name of ["redacted", "masked", "allowed", "ignored"] as const) {
      const { keys: listKey, count: countKey } = keys[name];
      let all = found[name];
      let count = BigInt(all.length);
      if (count === 0n) continue;
      if (summary === "debug" && listKey !== undefined) {
        const before = attributes.get(listKey);
        if (typeof before === "string" && before !== "") all = [...all, ...before.split(",")];
        attributes.set(listKey, all.sort(compareUtf8).join(","));
      }
      const before = attributes.get(countKey);
      if (typeof before === "bigint") count = BigInt.asIntN(64, count + before);
      attributes.set(countKey, count);
    }
  }
}

function below(path: string | undefined, key: string): string {
  return path === undefined ? key : `${path}.${key}`;
}
function isContainer(value: AnyValue): boolean {
  return value instanceof KeyValues || value instanceof ValueList;
}

/** What attributes say of the database, in lower case; "" for nothing. */
export function databaseSystem(attributes: KeyValues): string {
  for (const key of [DB_SYSTEM_NAME, DB_SYSTEM]) {
    const value = attributes.get(key);
    if (typeof value === "string" && value !== "") return value.toLowerCase();
  }
  return "";
}

function digestOf(name: HashFunction, hmacKey: string): (text: string) => string {
  switch (name) {
    case "":
      return () => MASK;
    case "sha1":
    case "md5":
      return (text) => hash(name, text);
    case "sha3":
      return (text) => hash("sha3-256", text);
    default: {
      const algorithm = name.slice("hmac-".length);
      return (text) => createHmac(algorithm, hmacKey).update(text).digest("hex");
    }
  }
}
