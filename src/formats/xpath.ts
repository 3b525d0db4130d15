import { XmlError } from "./xml-reader.ts";
import type { XmlNode } from "./xml-tree.ts";
import { axisOf, type NodeTest, stepThrough } from "./xpath-axes.ts";
import { xpathCall } from "./xpath-functions.ts";
import {
  type Comparison,
  compareValues,
  isItems,
  toBoolean,
  toNumber,
  XPathBudget,
  type XPathExpression,
  type XPathItem,
} from "./xpath-value.ts";

export type { XPathItem } from "./xpath-value.ts";

/** An expression of XPath 1.0, compiled. Names are compared with their prefix as it is written. */
export class XPath {
  readonly #expression: XPathExpression;

  /** Throws XmlError for a text that is no XPath. */
  constructor(text: string) {
    this.#expression = new Parser(text).whole();
  }

  /**
   * The nodes that the expression selects in a document, in the order in which its steps come to them; none for an
   * expression that gives no nodes. Throws XmlError for an expression that takes too long or fails.
   */
  select(document: XmlNode): readonly XPathItem[] {
    const value = this.#expression({
      item: document,
      position: 1,
      size: 1,
      root: document,
      budget: new XPathBudget(),
    });
    return isItems(value) ? value : [];
  }
}

const TOKEN = new RegExp(
  [
    String.raw`\s*(?:`,
    `("[^"]*"|'[^']*')`,
    String.raw`|([0-9]+(?:\.[0-9]*)?|\.[0-9]+)`,
    String.raw`|((?:[\p{L}_][\p{L}\p{N}\p{M}_.·-]*:(?!:))?(?:[\p{L}_][\p{L}\p{N}\p{M}_.·-]*|(?<=:)\*))`,
    String.raw`|(::|\.\.|//|!=|<=|>=|[/@.()[\]*+\-=<>|,])`,
    ")",
  ].join(""),
  "uy",
);
/** Deeper nesting is refused: the parser calls itself. */
const DEEPEST = 100;
const NODE_TYPES = ["node", "text", "comment", "processing-instruction"];

interface Token {
  readonly kind: "string" | "number" | "name" | "symbol" | "end";
  readonly text: string;
}
const KINDS = ["string", "number", "name", "symbol"] as const;

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(trimmed);
    if (found === null) {
      throw new XmlError(`${JSON.stringify(trimmed.slice(at, at + 10))} is no part of an XPath`);
    }
    const group = KINDS.findIndex((_, i) => found[i + 1] !== undefined);
    tokens.push({ kind: KINDS[group]!, text: found[group + 1]! });
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  whole(): XPathExpression {
    const expression = this.#expression();
    if (this.#token.kind !== "end") throw this.#unexpected();
    return expression;
  }

  get #token(): Token {
    return this.#ahead(0);
  }
  #ahead(by: number): Token {
    return this.#tokens[this.#next + by] ?? { kind: "end", text: "" };
  }
  #is(text: string): boolean {
    return this.#token.kind === "symbol" && this.#token.text === text;
  }
  #try(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#next += 1;
    return true;
  }
  #take(text: string): void {
    if (!this.#try(text)) throw this.#unexpected();
  }
  #unexpected(): XmlError {
    const { kind, text } = this.#token;
    return new XmlError(kind === "end" ? "the XPath ends too early" : `unexpected ${text} in the XPath`);
  }

  #expression(): XPathExpression {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new XmlError(`the XPath nests more than ${DEEPEST} deep`);
    const result = this.#or();
    this.#depth -= 1;
    return result;
  }
  #or(): XPathExpression {
    let left = this.#and();
    while (this.#tryOperatorName("or")) {
      const [a, b] = [left, this.#and()];
      left = (focus) => toBoolean(a(focus)) || toBoolean(b(focus));
    }
    return left;
  }
  #and(): XPathExpression {
    let left = this.#comparison(["=", "!="], () => this.#comparison(["<", "<=", ">", ">="], () => this.#sum()));
    while (this.#tryOperatorName("and")) {
      const [a, b] = [
        left,
        this.#comparison(["=", "!="], () => this.#comparison(["<", "<=", ">", ">="], () => this.#sum())),
      ];
      left = (focus) => toBoolean(a(focus)) && toBoolean(b(focus));
    }
    return left;
  }
  #tryOperatorName(name: string): boolean {
    if (this.#token.kind !== "name" || this.#token.text !== name) return false;
    this.#next += 1;
    return true;
  }
  #comparison(operators: readonly Comparison[], one: () => XPathExpression): XPathExpression {
    let left = one();
    for (;;) {
      const operator = operators.find((each) => this.#try(each));
      if (operator === undefined) return left;
      const [a, b] = [left, one()];
      left = (focus) => compareValues(a(focus), b(focus), operator, focus.budget);
    }
  }
  #sum(): XPathExpression {
    let left = this.#product();
    for (;;) {
      const sign = this.#try("+") ? 1 : this.#try("-") ? -1 : 0;
      if (sign === 0) return left;
      const [a, b] = [left, this.#product()];
      left = (focus) => toNumber(a(focus), focus.budget) + sign * toNumber(b(focus), focus.budget);
    }
  }
  #product(): XPathExpression {
    let left = this.#negation();
    for (;;) {
      const apply = this.#try("*")
        ? (x: number, y: number) => x * y
        : this.#tryOperatorName("div")
          ? (x: number, y: number) => x / y
          : this.#tryOperatorName("mod")
            ? (x: number, y: number) => x % y
            : undefined;
      if (apply === undefined) return left;
      const [a, b] = [left, this.#negation()];
      left = (focus) => apply(toNumber(a(focus), focus.budget), toNumber(b(focus), focus.budget));
    }
  }
  #negation(): XPathExpression {
    let isNegative = false;
    let isNumber = false;
    while (this.#try("-")) {
      isNegative = !isNegative;
      isNumber = true;
    }
    const value = this.#union();
    if (!isNumber) return value;
    return (focus) => (isNegative ? -1 : 1) * toNumber(value(focus), focus.budget);
  }
  #union(): XPathExpression {
    let left = this.#path();
    while (this.#try("|")) {
      const [a, b] = [left, this.#path()];
      left = (focus) => unique([...nodes(a, focus), ...nodes(b, focus)]);
    }
    return left;
  }

  #path(): XPathExpression {
    if (this.#isPrimary()) {
      let value = this.#primary();
      while (this.#is("[")) value = filtered(value, this.#predicate());
      return this.#isSlash() ? this.#relative(value) : value;
    }
    if (this.#is("/") && !this.#stepFollows(1)) {
      this.#next += 1;
      return ({ root }) => [root];
    }
    if (this.#isSlash()) return this.#relative(({ root }) => [root]);
    return this.#relative(this.#step(({ item }) => [item], false));
  }
  #isSlash(): boolean {
    return this.#is("/") || this.#is("//");
  }
  #stepFollows(by: number): boolean {
    const { kind, text } = this.#ahead(by);
    return kind === "name" || (kind === "symbol" && [".", "..", "@", "*", "("].includes(text));
  }
  #relative(start: XPathExpression): XPathExpression {
    let input = start;
    while (this.#isSlash()) {
      const isDeep = this.#is("//");
      this.#next += 1;
      input = this.#step(input, isDeep);
    }
    return input;
  }
  #step(input: XPathExpression, isDeep: boolean): XPathExpression {
    const deep = isDeep ? stepThrough(input, "descendant-or-self", { kind: "node" }, []) : input;
    if (this.#try("(")) {
      const options = [this.#step(deep, false)];
      while (this.#try(",")) options.push(this.#step(deep, false));
      this.#take(")");
      return (focus) => unique(options.flatMap((each) => nodes(each, focus)));
    }
    const { axis, test } = this.#axisAndTest();
    const predicates: XPathExpression[] = [];
    while (this.#is("[")) predicates.push(this.#predicate());
    // `//a` as one step, so that what it selects comes in the order of the document.
    if (isDeep && axis === "child" && predicates.length === 0) return stepThrough(input, "descendant", test, []);
    return stepThrough(deep, axis, test, predicates);
  }
  #axisAndTest(): { axis: string; test: NodeTest } {
    if (this.#try(".")) return { axis: "self", test: { kind: "node" } };
    if (this.#try("..")) return { axis: "parent", test: { kind: "node" } };
    let axis = "child";
    if (this.#try("@")) axis = "attribute";
    else if (this.#token.kind === "name" && this.#ahead(1).text === "::") {
      axis = axisOf(this.#token.text);
      this.#next += 2;
    }
    return { axis, test: this.#nodeTest() };
  }
  #nodeTest(): NodeTest {
    if (this.#try("*")) return { kind: "name", prefix: undefined, local: undefined };
    const { kind, text } = this.#token;
    if (kind !== "name") throw this.#unexpected();
    this.#next += 1;
    if (NODE_TYPES.includes(text) && this.#try("(")) {
      let target: string | undefined;
      if (text === "processing-instruction" && this.#token.kind === "string") {
        target = this.#token.text.slice(1, -1);
        this.#next += 1;
      }
      this.#take(")");
      return { kind: text as "node" | "text" | "comment" | "processing-instruction", target };
    }
    const colon = text.indexOf(":");
    const local = text.slice(colon + 1);
    return { kind: "name", prefix: colon < 0 ? "" : text.slice(0, colon), local: local === "*" ? undefined : local };
  }
  #predicate(): XPathExpression {
    this.#take("[");
    const condition = this.#expression();
    this.#take("]");
    return condition;
  }

  #isPrimary(): boolean {
    const { kind, text } = this.#token;
    if (kind === "string" || kind === "number" || this.#is("(")) return true;
    return (
      kind === "name" && this.#ahead(1).text === "(" && this.#ahead(1).kind === "symbol" && !NODE_TYPES.includes(text)
    );
  }
  #primary(): XPathExpression {
    const { kind, text } = this.#token;
    this.#next += 1;
    if (kind === "string") return () => text.slice(1, -1);
    if (kind === "number") return () => Number(text);
    if (kind === "symbol") {
      const inner = this.#expression();
      this.#take(")");
      return inner;
    }
    const given: XPathExpression[] = [];
    this.#take("(");
    while (!this.#is(")")) {
      if (given.length > 0) this.#take(",");
      given.push(this.#expression());
    }
    this.#take(")");
    return xpathCall(text, given);
  }
}

function nodes(expression: XPathExpression, focus: Parameters<XPathExpression>[0]): readonly XPathItem[] {
  const value = expression(focus);
  if (!isItems(value)) throw new XmlError(`the XPath has a ${typeof value} where it needs nodes`);
  return value;
}
function unique(items: readonly XPathItem[]): XPathItem[] {
  const seen = new Set<object>();
  return items.filter((item) => {
    const identity = item.kind === "attribute" ? item.attribute : item;
    if (seen.has(identity)) return false;
    seen.add(identity);
    return true;
  });
}
function filtered(of: XPathExpression, predicate: XPathExpression): XPathExpression {
  return (focus) => {
    const all = nodes(of, focus);
    return all.filter((item, i) => {
      focus.budget.step();
      const value = predicate({ ...focus, item, position: i + 1, size: all.length });
      return typeof value === "number" ? value === i + 1 : toBoolean(value);
    });
  };
}
