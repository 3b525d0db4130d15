import { compileRegex } from "#base/regex";
import { OttlError } from "./value.ts";

/** Patterns of replace_match and others: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`. Matches github.com/gobwas/glob. */

const LITERAL = /[.*+?^${}()|[\]\\]/g;
/** Deeper `{…}` are refused. */
const DEEPEST = 32;

/**
 * With a separator (one character), `*` and `?` stop at it and `**` does not. Throws OttlError for a pattern with a syntax
 * error.
 */
export function compileGlob(pattern: string, separator = ""): (text: string) => boolean {
  const parser = new GlobParser(Array.from(pattern), separator);
  const source = parser.sequence(0);
  const regex = compileRegex(source, { anchored: true });
  return (text) => regex.test(text);
}

class GlobParser {
  readonly #chars: readonly string[];
  /** What `?` stands for. */
  readonly #any: string;
  #at = 0;
  constructor(chars: readonly string[], separator: string) {
    this.#chars = chars;
    this.#any = separator === "" ? "." : `[^${separator.replace(LITERAL, "\\$&")}]`;
  }

  sequence(depth: number): string {
    let out = "";
    while (this.#at < this.#chars.length) {
      const char = this.#chars[this.#at]!;
      if (depth > 0 && (char === "," || char === "}")) return out;
      this.#at += 1;
      out += this.#one(char, depth);
    }
    if (depth > 0) throw OttlError.of("the pattern has a { without a }");
    return out;
  }

  #one(char: string, depth: number): string {
    switch (char) {
      case "*": {
        // Stars in a row are one, which keeps the expression from trying all ways at once.
        const isSuper = this.#chars[this.#at] === "*";
        while (this.#chars[this.#at] === "*") this.#at += 1;
        return isSuper ? ".*" : `${this.#any}*`;
      }
      case "?":
        return this.#any;
      case "\\": {
        const next = this.#chars[this.#at];
        if (next === undefined) throw OttlError.of("the pattern ends with a backslash");
        this.#at += 1;
        return next.replace(LITERAL, "\\$&");
      }
      case "[":
        return this.#class();
      case "{":
        return this.#alternatives(depth);
      default:
        return char.replace(LITERAL, "\\$&");
    }
  }

  #alternatives(depth: number): string {
    if (depth >= DEEPEST) throw OttlError.of("the pattern nests too many { }");
    const parts: string[] = [];
    for (;;) {
      parts.push(this.sequence(depth + 1));
      const end = this.#chars[this.#at];
      this.#at += 1;
      if (end === "}") return `(?:${parts.join("|")})`;
    }
  }

  #class(): string {
    const close = this.#chars.indexOf("]", this.#at);
    if (close < 0) throw OttlError.of("the pattern has a [ without a ]");
    let inner = this.#chars.slice(this.#at, close);
    this.#at = close + 1;
    const isNot = inner[0] === "!";
    if (isNot) inner = inner.slice(1);
    if (inner.length === 0) throw OttlError.of("the pattern has an empty [ ]");
    const quote = (char: string) => char.replace(/[\\\]^-]/g, "\\$&");
    const isRange = inner.length === 3 && inner[1] === "-";
    if (isRange && inner[0]! > inner[2]!) throw OttlError.of("the pattern has a range that ends before it begins");
    const body = isRange ? `${quote(inner[0]!)}-${quote(inner[2]!)}` : inner.map(quote).join("");
    return `[${isNot ? "^" : ""}${body}]`;
  }
}
