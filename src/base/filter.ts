import { compileRegex, type Regex, RegexError } from "./regex.ts";

/**
 * The small language in which people say what they look for: in the live view, in `invar tap --where` and in the viewer.
 *
 * Terms are separated by spaces and must all hold:
 * - `timeout` or `"two words"`: the text occurs anywhere, whatever its case
 * - `name=value`, `name!=value`: a label, attribute or other field has just this value, or has not; `name=` asks for one
 *   that is missing or empty
 * - `name=~expression`, `name!~expression`: the field's value contains a match of the RE2 expression, or none
 * - `-term`: the term does not hold
 *
 * Values with spaces are quoted (`name="two words"`), and `\"` is a quote in them. `level` is compared without regard to
 * case. A quote that is left open lasts until the end, since filters are used while they are being typed.
 */
export interface Filter {
  readonly terms: readonly FilterTerm[];
  /** True if there is nothing to look for. */
  readonly empty: boolean;
  matches(item: Searchable): boolean;
}

export type FilterTerm =
  | { readonly kind: "word"; readonly negated: boolean; readonly word: string; readonly pattern: RegExp }
  | {
      readonly kind: "equal";
      readonly negated: boolean;
      readonly name: string;
      readonly value: string;
      readonly ignoreCase: boolean;
    }
  | { readonly kind: "match"; readonly negated: boolean; readonly name: string; readonly expression: Regex };

/** What a filter looks at. */
export interface Searchable {
  /** The value of a field; undefined if there is no such field. */
  field(name: string): string | undefined;
  /** Whether one of the item's texts has a match. */
  contains(pattern: RegExp): boolean;
}

/** The text is no filter; the message says why. */
export class FilterError extends Error {
  override readonly name = "FilterError";
}

/** A minus; then a name, an operator and its value, or a word; values in quotes, which may be left open, or up to the next space. */
const TERM = /(-?)(?:([^\s"=!]+)(=~|!~|!=|=)(?:"((?:\\"|[^"])*)(?:"|$)|(\S*))|"((?:\\"|[^"])*)(?:"|$)|(\S+))/g;

/** Throws a FilterError for regular expressions that are none. */
export function parseFilter(text: string): Filter {
  const terms: FilterTerm[] = [];
  for (const [, minus, name, operator, quotedValue, bareValue, quotedWord, bareWord] of text.matchAll(TERM)) {
    const negated = minus === "-";
    if (name === undefined) {
      const word = quotedWord === undefined ? bareWord! : unescaped(quotedWord);
      if (word !== "") terms.push({ kind: "word", negated, word, pattern: wordPattern(word) });
      continue;
    }
    const value = quotedValue === undefined ? bareValue! : unescaped(quotedValue);
    const turned = operator!.startsWith("!") !== negated;
    if (operator!.endsWith("~")) {
      terms.push({ kind: "match", negated: turned, name, expression: expressionOf(name, value) });
    } else {
      const ignoreCase = name === "level";
      terms.push({ kind: "equal", negated: turned, name, value: ignoreCase ? value.toLowerCase() : value, ignoreCase });
    }
  }
  return {
    terms,
    empty: terms.length === 0,
    matches: (item) => terms.every((term) => holds(term, item) !== term.negated),
  };
}

/** Labels (flat) and a text, as something to look at. */
export function searchable(labels: readonly string[], text: string): Searchable {
  return {
    field(name) {
      for (let i = 0; i < labels.length; i += 2) if (labels[i] === name) return labels[i + 1];
      return undefined;
    },
    contains(pattern) {
      if (pattern.test(text)) return true;
      for (let i = 1; i < labels.length; i += 2) if (pattern.test(labels[i]!)) return true;
      return false;
    },
  };
}

function holds(term: FilterTerm, item: Searchable): boolean {
  switch (term.kind) {
    case "word":
      return item.contains(term.pattern);
    case "equal": {
      const value = item.field(term.name) ?? "";
      return (term.ignoreCase ? value.toLowerCase() : value) === term.value;
    }
    case "match":
      return term.expression.test(item.field(term.name) ?? "");
  }
}

/** Without the flag `u`, so that an ASCII letter matches ASCII letters only, and the pattern may run over bytes. */
export function wordPattern(word: string): RegExp {
  return new RegExp(word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "i");
}

function unescaped(text: string): string {
  return text.replaceAll('\\"', '"');
}

function expressionOf(name: string, source: string): Regex {
  try {
    return compileRegex(source);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    throw new FilterError(`the regular expression for ${name} cannot be used: ${error.message}`);
  }
}
