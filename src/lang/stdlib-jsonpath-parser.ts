import { compileRegex, type Regex } from "#base/regex";
import { float, int } from "./number.ts";
import { type Value, ValueError } from "./value.ts";

/** JSONPath as the Go library ojg (package jp, parse.go) reads it: its extensions, its gaps and its order of operators. */

export type Fragment =
  | { readonly kind: "root" }
  | { readonly kind: "at" }
  | { readonly kind: "wildcard" }
  | { readonly kind: "descent" }
  | { readonly kind: "child"; readonly name: string }
  | { readonly kind: "nth"; readonly index: number }
  | { readonly kind: "slice"; readonly start: number; readonly end: number; readonly step: number }
  | { readonly kind: "union"; readonly members: readonly (string | number)[] }
  | { readonly kind: "filter"; readonly equation: Equation };

export type Path = readonly Fragment[];

/** A value that is not there, as `Nothing` in filters. */
export const NOTHING = Symbol("Nothing");

export type Operand =
  | { readonly kind: "value"; readonly value: Value | typeof NOTHING }
  | { readonly kind: "path"; readonly path: Path }
  | { readonly kind: "list"; readonly items: readonly (Value | typeof NOTHING)[] }
  | { readonly kind: "regex"; readonly regex: Regex };

/** An operand, or an operator over one or two equations; `(` is a pair of parentheses. */
export interface Equation {
  operator?: string;
  operand?: Operand;
  left?: Equation | undefined;
  right?: Equation | undefined;
}

/** How tightly an operator binds: the lower, the tighter. Functions bind tightest. */
const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ...["!", "(", "length", "count", "match", "search"].map((name): [string, number] => [name, 0]),
  ...["*", "/"].map((name): [string, number] => [name, 1]),
  ...["+", "-"].map((name): [string, number] => [name, 2]),
  ...["==", "!=", "<", ">", "<=", ">=", "in", "empty", "~=", "=~", "has", "exists"].map((name): [string, number] => [
    name,
    3,
  ]),
  ...["||", "&&"].map((name): [string, number] => [name, 4]),
]);
const OPERATORS = [...PRECEDENCE.keys()].filter((name) => name !== "(");

/** Characters of names without quotes. */
const TOKEN = /[#%0-9;?A-Z^_a-z{|}~\u0080-\uffff]/;
/** Characters that operators begin with. */
const OPERATOR_START = /[!&*+\-/<=>ehi|~]/;
const MAX_END = Number.MAX_SAFE_INTEGER;

/** Throws a ValueError. */
export function parsePath(text: string): Path {
  const parser = new Parser(text);
  const path = parser.path();
  if (!parser.atEnd) parser.fail("parse error");
  return path;
}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  fail(message: string): never {
    throw new ValueError(`invalid JSON path: ${message} at ${this.#at + 1} in ${this.#text}`);
  }

  path(): Path {
    const fragments: Fragment[] = [];
    for (;;) {
      const fragment = this.#fragment(fragments.length === 0, fragments.at(-1)?.kind === "descent");
      if (fragment === undefined) return fragments;
      fragments.push(fragment);
    }
  }

  #next(): string {
    return this.#text[this.#at++] ?? this.fail("not terminated");
  }
  #skipSpaces(): string {
    while (this.#text[this.#at] === " ") this.#at += 1;
    return this.#text[this.#at] ?? "";
  }
  #nextVisible(): string {
    this.#skipSpaces();
    return this.#next();
  }

  #fragment(first: boolean, afterDescent: boolean): Fragment | undefined {
    const char = this.#text[this.#at];
    switch (char) {
      case undefined:
      case "]":
        return undefined;
      case "$":
      case "@":
        this.#at += 1;
        return first ? { kind: char === "$" ? "root" : "at" } : undefined;
      case ".":
        this.#at += 1;
        return this.#afterDot();
      case "*":
        this.#at += 1;
        return { kind: "wildcard" };
      case "[":
        this.#at += 1;
        return this.#bracket();
      default:
        if (!TOKEN.test(char) || !(first || afterDescent)) return undefined;
        return first ? this.#afterDot() : { kind: "child", name: this.#token() };
    }
  }

  #afterDot(): Fragment {
    const char = this.#next();
    if (char === "*") return { kind: "wildcard" };
    if (char === ".") return { kind: "descent" };
    if (!TOKEN.test(char)) this.fail(`an expression fragment can not start with a '${char}'`);
    this.#at -= 1;
    return { kind: "child", name: this.#token() };
  }

  #token(): string {
    const start = this.#at;
    while (!this.atEnd && TOKEN.test(this.#text[this.#at]!)) this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  #bracket(): Fragment {
    const char = this.#nextVisible();
    if (char === "*") {
      if (this.#nextVisible() !== "]") this.fail("not terminated");
      return { kind: "wildcard" };
    }
    if (char === "'" || char === '"') {
      const name = this.#quoted(char);
      const next = this.#nextVisible();
      if (next === "]") return { kind: "child", name };
      return next === "," ? this.#union(name) : this.fail("invalid bracket fragment");
    }
    if (char === ":") return this.#slice(0);
    if (char === "?") return this.#filter();
    if (!/[-0-9]/.test(char)) this.fail("parse error");
    this.#at -= 1;
    const index = this.#integer();
    const next = this.#nextVisible();
    if (next === "]") return { kind: "nth", index };
    if (next === ",") return this.#union(index);
    return next === ":" ? this.#slice(index) : this.fail("invalid bracket fragment");
  }

  #integer(): number {
    const match = /^-?[0-9]+/.exec(this.#text.slice(this.#at, this.#at + 20));
    if (match === null) this.fail("expected a number");
    this.#at += match[0].length;
    return Number(match[0]);
  }

  /** Behind the first colon. No spaces are allowed but before the end. */
  #slice(start: number): Fragment {
    let end = MAX_END;
    let step = 1;
    if (this.#text[this.#at] === "]") {
      this.#at += 1;
      return { kind: "slice", start, end, step };
    }
    let next = this.#nextVisible();
    if (next !== ":") {
      this.#at -= 1;
      end = this.#integer();
      next = this.#next();
    }
    if (next === ":") {
      if (this.#text[this.#at] !== "]") step = this.#integer();
      next = this.#next();
    }
    if (next !== "]") this.fail("invalid slice syntax");
    return { kind: "slice", start, end, step };
  }

  /** Behind the first comma. */
  #union(first: string | number): Fragment {
    const members = [first];
    for (;;) {
      const char = this.#nextVisible();
      if (char === "'" || char === '"') members.push(this.#quoted(char));
      else {
        this.#at -= 1;
        if (!/[-0-9]/.test(char)) this.fail("invalid union syntax");
        members.push(this.#integer());
      }
      const next = this.#nextVisible();
      if (next === "]") return { kind: "union", members };
      if (next !== ",") this.fail("invalid union syntax");
    }
  }

  #quoted(quote: string): string {
    let out = "";
    for (;;) {
      const char = this.#next();
      if (char === quote) return out;
      out += char === "\\" ? this.#escape() : char;
    }
  }

  #escape(): string {
    const char = this.#next();
    const simple = { b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", '"': '"', "'": "'", "\\": "\\" }[char];
    if (simple !== undefined) return simple;
    const length = char === "x" ? 2 : char === "u" || char === "U" ? 4 : this.fail("invalid escape");
    const hex = this.#text.slice(this.#at, this.#at + length);
    if (hex.length < length || !/^[0-9a-fA-F]+$/.test(hex)) this.fail("invalid hexadecimal character");
    this.#at += length;
    return String.fromCharCode(Number.parseInt(hex, 16));
  }

  #filter(): Fragment {
    const equation = reduceGroups(orderByPrecedence(this.#equation()), undefined);
    if (this.#skipSpaces() !== "]") this.fail("not terminated");
    this.#at += 1;
    return { kind: "filter", equation: equation! };
  }

  #equation(): Equation {
    let equation = this.#term();
    while (!this.atEnd) {
      const char = this.#skipSpaces();
      if (char === "," || char === ")" || char === "]" || char === "") break;
      equation = { left: equation, operator: this.#operator(), right: this.#equation() };
    }
    return equation;
  }

  #term(): Equation {
    const char = this.#skipSpaces();
    if (char === "!") {
      this.#at += 1;
      return { operator: "!", left: this.#equation() };
    }
    if (/[-0-9]/.test(char)) return value(this.#number());
    if (char === "'" || char === '"') {
      this.#at += 1;
      return value(this.#quoted(char));
    }
    if (char === "@" || char === "$") return { operand: { kind: "path", path: this.path() } };
    if (char === "(") {
      this.#at += 1;
      const left = this.#equation();
      this.#expect(")");
      return { operator: "(", left };
    }
    if (char === "[") return { operand: { kind: "list", items: this.#list() } };
    if (char === "/") return { operand: { kind: "regex", regex: this.#regex() } };
    if (this.#text.startsWith("Nothing", this.#at)) {
      this.#at += "Nothing".length;
      return value(NOTHING);
    }
    return this.#word();
  }

  #expect(char: string): void {
    if (this.#skipSpaces() !== char) this.fail("not terminated");
    this.#at += 1;
  }

  #word(): Equation {
    const word = /^[a-z]*/.exec(this.#text.slice(this.#at))![0];
    if (word === "true" || word === "false" || word === "null") {
      this.#at += word.length;
      return value(word === "null" ? null : word === "true");
    }
    if (!OPERATORS.includes(word)) this.fail(`'${word}' is not a value or function`);
    this.#at += word.length;
    if (this.#text[this.#at] !== "(") this.fail(`expected a ${word} function`);
    this.#at += 1;
    const left = this.#equation();
    let right: Equation | undefined;
    if (this.#skipSpaces() === ",") {
      this.#at += 1;
      right = this.#equation();
    }
    this.#expect(")");
    return { operator: word, left, right };
  }

  #number(): Value {
    const match = /^-?[0-9]*(\.[0-9]*)?([eE][+-]?[0-9]*)?/.exec(this.#text.slice(this.#at))![0];
    this.#at += match.length;
    if (/[.eE]/.test(match)) return float(Number(match));
    if (!/[0-9]/.test(match)) this.fail("expected a number");
    return int(BigInt(match));
  }

  #list(): (Value | typeof NOTHING)[] {
    this.#at += 1;
    const items: (Value | typeof NOTHING)[] = [];
    for (;;) {
      const { operand } = this.#equation();
      if (operand?.kind === "value") items.push(operand.value);
      const next = this.#nextVisible();
      if (next === "]") return items;
      if (next !== ",") this.fail("expected a comma or an array close");
    }
  }

  #regex(): Regex {
    const start = (this.#at += 1);
    for (;;) {
      const char = this.#next();
      if (char === "/") break;
      if (char === "\\") this.#at += 1;
    }
    try {
      return compileRegex(this.#text.slice(start, this.#at - 1));
    } catch (error) {
      return this.fail((error as Error).message);
    }
  }

  #operator(): string {
    let token = "";
    let char = this.#skipSpaces();
    for (;;) {
      const continues = OPERATORS.some((each) => each.length > token.length && each.startsWith(token + char));
      if (!OPERATOR_START.test(char) && (token === "" || !continues)) break;
      token += char;
      if (char === "-" && token.length > 1) this.fail(`'${token}' is not a valid operation`);
      this.#at += 1;
      if (this.atEnd) this.fail("equation not terminated");
      char = this.#text[this.#at]!;
    }
    if (!OPERATORS.includes(token)) this.fail(`'${token}' is not a valid operation`);
    return token;
  }
}

function value(of: Value | typeof NOTHING): Equation {
  return { operand: { kind: "value", value: of } };
}

function precedence(equation: Equation): number {
  return PRECEDENCE.get(equation.operator!)!;
}

/** Turns the equation, which the parser nests to the right, round by precedence (ojg's precedentCorrect). */
function orderByPrecedence(equation: Equation | undefined): Equation | undefined {
  if (equation?.operator === undefined) return equation;
  if (equation.left !== undefined) equation.left = orderByPrecedence(equation.left);
  if (equation.right?.operator === undefined) return equation;
  if (precedence(equation) <= precedence(equation.right)) {
    const { right } = equation;
    equation.right = right.left;
    right.left = equation;
    return orderByPrecedence(right);
  }
  equation.right = orderByPrecedence(equation.right);
  const turned = equation.right?.operator !== undefined && precedence(equation) <= precedence(equation.right);
  return turned ? orderByPrecedence(equation) : equation;
}

/** Drops parentheses that say nothing (ojg's reduceGroups). */
function reduceGroups(equation: Equation | undefined, outer: Equation | undefined): Equation | undefined {
  if (equation?.operator === undefined) return equation;
  const { left } = equation;
  const inner = left?.operator === undefined ? undefined : precedence(left);
  if (equation.operator === "(" && (outer === undefined || (inner !== undefined && inner < precedence(outer)))) {
    return reduceGroups(left, outer);
  }
  equation.left = reduceGroups(left, equation);
  equation.right = reduceGroups(equation.right, equation);
  return equation;
}
