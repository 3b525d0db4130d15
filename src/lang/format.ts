import { Labels } from "#base/labels";
import type { Expression, File, Source } from "./ast.ts";
import { Layout, unprotected } from "./layout.ts";
import { quoteString } from "./literal.ts";
import { parseExpression, parseFile } from "./parser.ts";
import { Printer } from "./printer.ts";
import { Scanner } from "./scanner.ts";
import { isIdentifier } from "./token.ts";
import { Capsule, Secret, type Value } from "./value.ts";

/**
 * A file in the one standard layout, comments included, ending with a newline. The output is that of `alloy fmt`
 * (`syntax/printer`) unless that would be another configuration: Alloy takes tabs and trailing blanks in raw strings for
 * layout of its own, escapes quoted field names once more each time, and puts some commas where they are syntax errors.
 * Strings are kept then; and what cannot be laid out without damage, such as a file with errors, comes back as it is.
 */
export function formatFile(file: File): string {
  const { source, comments } = file;
  const print = (safe: boolean) => {
    const printer = new Printer(source, comments, safe);
    new Layout(source, printer, safe).body(file.body);
    return `${safe ? unprotected(printer.finish()) : printer.finish()}\n`;
  };
  const isValid = (text: string) => parseFile({ name: "", text }).diagnostics.length === 0;
  const unchanged = source.text === "" || source.text.endsWith("\n") ? source.text : `${source.text}\n`;
  return safestOf(source, print, isValid, true) ?? unchanged;
}

/** An expression in the standard layout, without its comments and without a newline at the end; else as `formatFile`. */
export function formatExpression(expression: Expression): string {
  const { source, start, end } = expression.span;
  const print = (safe: boolean) => {
    const printer = new Printer(source, [], safe);
    new Layout(source, printer, safe).expression(expression);
    return safe ? unprotected(printer.finish()) : printer.finish();
  };
  const isValid = (text: string) => parseExpression({ name: "", text }).expression !== undefined;
  const written = source.text.slice(start, end);
  return safestOf({ name: "", text: written }, print, isValid, false) ?? written;
}

/**
 * An evaluated value as configuration text in the standard layout, as Alloy's `syntax/token/builder` writes it: keys
 * sorted, secrets as `(secret)`, capsules as `capsule("type")`, functions as `function`.
 */
export function formatValue(value: Value): string {
  const parts: string[] = [];
  write(value, parts, 0);
  const text = parts.join("");
  const { expression } = parseExpression({ name: "", text });
  // +Inf is no expression, and a value may be nested more deeply than a configuration.
  return expression === undefined ? text : formatExpression(expression);
}

/** Alloy's layout if it is valid and means the same, else the safe one if that does; undefined if neither does. */
function safestOf(
  source: Source,
  print: (safe: boolean) => string,
  isValid: (text: string) => boolean,
  comments: boolean,
): string | undefined {
  if (!isValid(source.text)) return undefined;
  const wanted = meaningOf(source, comments);
  for (const safe of [false, true]) {
    const text = print(safe);
    const found = meaningOf({ name: "", text }, comments);
    const same = found.length === wanted.length && found.every((token, index) => token === wanted[index]);
    if (same && isValid(text)) return text;
  }
  return undefined;
}

/**
 * The tokens that make a configuration what it is: without line ends, commas before closing brackets and empty labels;
 * of strings what is inside of the quotes. Comments come last, since they may move among the tokens.
 */
function meaningOf(source: Source, comments: boolean): readonly string[] {
  const tokens: string[] = [];
  const foundComments: string[] = [];
  const scanner = new Scanner(source, () => {});
  for (scanner.next(); scanner.kind !== "end of file"; scanner.next()) {
    const text = source.text.slice(scanner.start, scanner.end);
    switch (scanner.kind) {
      case "end of line":
        break;
      case "comment":
        if (comments) foundComments.push(text.replaceAll("\r", ""));
        break;
      case "string":
        tokens.push(text.slice(1, -1));
        break;
      case "{":
        if (tokens.at(-1) === "") tokens.pop();
        tokens.push(text);
        break;
      case "}":
      case "]":
      case ")":
        if (tokens.at(-1) === ",") tokens.pop();
        tokens.push(text);
        break;
      default:
        tokens.push(text);
    }
  }
  return [...tokens, ...foundComments];
}

/** Values come from outside, such as from JSON; deeper ones would exhaust the stack. */
const maxDepth = 500;

function write(value: Value, parts: string[], depth: number): void {
  if (depth > maxDepth) parts.push("…");
  else if (value === null || typeof value === "boolean" || typeof value === "bigint") parts.push(String(value));
  else if (typeof value === "number") parts.push(formatNumber(value));
  else if (typeof value === "string") parts.push(quoteString(value));
  else if (value instanceof Secret) parts.push("(secret)");
  else if (value instanceof Capsule) parts.push(`capsule(${quoteString(value.type)})`);
  else if (value instanceof Labels || value instanceof Map) writeObject(value, parts, depth + 1);
  else if (Array.isArray(value)) writeArray(value, parts, depth + 1);
  else parts.push("function");
}

function writeArray(value: readonly Value[], parts: string[], depth: number): void {
  parts.push("[");
  for (const [index, element] of value.entries()) {
    if (index > 0) parts.push(", ");
    write(element, parts, depth);
  }
  parts.push("]");
}

function writeObject(value: Iterable<readonly [string, Value]>, parts: string[], depth: number): void {
  parts.push("{\n");
  for (const [key, field] of [...value].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    parts.push(isIdentifier(key) ? key : quoteString(key), " = ");
    write(field, parts, depth);
    parts.push(",\n");
  }
  parts.push("}");
}

/** As Go's `strconv.FormatFloat(x, 'f', -1, 64)`: the shortest digits that give the number again, without an exponent. */
function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const shortest = Object.is(value, -0) ? "-0" : String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(shortest);
  if (match === null) return shortest;
  const [, sign, first, rest = "", exponent] = match;
  const digits = first + rest;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return sign + digits.padEnd(point, "0");
}
