import { compileRegex, type Regex, RegexError } from "#base/regex";
import { parseGoFloat } from "./go-number.ts";
import { GROK_PATTERNS } from "./grok-patterns.ts";

/** A pattern with a syntax error or with names that nobody knows. */
export class GrokError extends Error {
  override readonly name = "GrokError";
}

export type GrokValue = string | bigint | number | boolean;

/** `%{SYNTAX}`, `%{SYNTAX:name}`, `%{SYNTAX:name:type}`. */
const REFERENCE = /%\{(\w+(?::[\w+.]+(?::\w+)?)?)\}/g;
/** Stands for a dot in the name of a group. */
const DOT = "___";
/** So many rounds of filling in are enough for any library; more are a pattern that contains itself. */
const MOST_ROUNDS = 100;
const LONGEST = 1_000_000;

/** A compiled grok pattern. Matches github.com/elastic/go-grok, with a library of its own. */
export class Grok {
  readonly #regex: Regex;
  readonly #types = new Map<string, string>();

  /** Throws GrokError. `definitions` come before those of the library. */
  constructor(pattern: string, definitions: ReadonlyMap<string, string>, options: { readonly namedOnly: boolean }) {
    const expression = this.#expand(pattern, definitions, options.namedOnly);
    try {
      this.#regex = compileRegex(expression);
    } catch (error) {
      if (error instanceof RegexError) throw new GrokError(`invalid pattern: ${error.message}`);
      throw error;
    }
  }

  get hasNames(): boolean {
    return this.#regex.groupNames.some((name) => name !== "");
  }

  /** What the groups matched, by name; nothing if the text does not match. Throws GrokError for a value of another type. */
  match(text: string): ReadonlyMap<string, GrokValue> {
    const values = new Map<string, GrokValue>();
    const found = this.#regex.exec(text);
    if (found === null) return values;
    for (const [i, name] of this.#regex.groupNames.entries()) {
      const value = found[i];
      if (name === "" || value === undefined || value === "") continue;
      values.set(name.replaceAll(DOT, "."), this.#typed(value, name));
    }
    return values;
  }

  #typed(value: string, name: string): GrokValue {
    const type = this.#types.get(name);
    switch (type) {
      case undefined:
      case "string":
        return value;
      case "int":
      case "long":
        if (/^[+-]?[0-9]+$/.test(value)) return BigInt(value.replace("+", ""));
        break;
      case "float":
      case "double": {
        const parsed = parseGoFloat(value);
        if (parsed !== undefined) return parsed;
        break;
      }
      case "bool":
      case "boolean":
        if (/^(?:1|t|T|TRUE|true|True)$/.test(value)) return true;
        if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
    }
    throw new GrokError(`${JSON.stringify(value)} is no ${type}`);
  }

  #expand(pattern: string, definitions: ReadonlyMap<string, string>, namedOnly: boolean): string {
    let expression = pattern;
    for (let round = 0; expression.includes("%{"); round++) {
      if (round === MOST_ROUNDS || expression.length > LONGEST) throw new GrokError("a pattern contains itself");
      const before = expression;
      expression = expression.replace(REFERENCE, (_, reference: string) => {
        const [syntax, name, type] = reference.split(":") as [string, string?, string?];
        const known = definitions.get(syntax) ?? GROK_PATTERNS.get(syntax);
        if (known === undefined) {
          throw new GrokError(`there is no pattern ${syntax}; give it in pattern_definitions as "${syntax}=…"`);
        }
        if (name === undefined && namedOnly) return `(${known})`;
        const group = (name ?? syntax).replaceAll(".", DOT);
        if (type !== undefined) this.#types.set(group, type);
        return `(?P<${group}>${known})`;
      });
      if (expression === before) break;
    }
    return expression;
  }
}
