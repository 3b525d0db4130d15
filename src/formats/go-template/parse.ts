import type { TimeZone } from "../go-time/zone.ts";
import { unquoteGo } from "../logql.ts";

/** The syntax of Go's package text/template (text/template/parse). */

export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** Go's `time.Time`. */
export interface GoTime {
  readonly ms: number;
  /** Nanoseconds beyond the milliseconds. */
  readonly ns: number;
  readonly zone: TimeZone;
}

/** What templates compute with: integers are bigints, floats are numbers. */
export type TemplateValue =
  | undefined
  | string
  | number
  | bigint
  | boolean
  | GoTime
  | TemplateValue[]
  | Map<string, TemplateValue>;

export type Operand =
  | { readonly kind: "literal"; readonly value: TemplateValue }
  /** `.a.b`, `$x.a`, `(…).a`; no base means the dot. */
  | { readonly kind: "chain"; readonly base: Operand | undefined; readonly fields: readonly string[] }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "function"; readonly name: string }
  | { readonly kind: "pipeline"; readonly pipeline: Pipeline };

export interface Pipeline {
  readonly variables: readonly string[];
  /** `=` rather than `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly (readonly Operand[])[];
}

export type TemplateNode =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly pipeline: Pipeline }
  | {
      readonly kind: "if" | "with" | "range";
      readonly pipeline: Pipeline;
      readonly body: readonly TemplateNode[];
      readonly otherwise: readonly TemplateNode[];
    }
  | { readonly kind: "break" | "continue" }
  | { readonly kind: "template"; readonly name: string; readonly pipeline: Pipeline | undefined };

export interface ParsedTemplate {
  readonly root: readonly TemplateNode[];
  readonly named: ReadonlyMap<string, readonly TemplateNode[]>;
}

interface Token {
  readonly kind: "text" | "open" | "close" | "word" | "field" | "variable" | "literal" | "symbol" | "space" | "end";
  readonly text: string;
  readonly value?: TemplateValue;
  readonly line: number;
}

/** Parses a template. `isFunction` says which names are functions. Throws TemplateError with Go's words. */
export function parseTemplate(source: string, isFunction: (name: string) => boolean): ParsedTemplate {
  return new Parser(tokenize(source), isFunction).parse();
}

const SPACE = /[ \t\r\n]/;

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  const push = (kind: Token["kind"], text: string, value?: TemplateValue) => {
    tokens.push({ kind, text, line, ...(value === undefined ? {} : { value }) });
  };
  let trimNext = false;
  for (;;) {
    const open = source.indexOf("{{", at);
    let text = source.slice(at, open === -1 ? source.length : open);
    if (trimNext) text = text.replace(/^[ \t\r\n]+/, "");
    const trims = open !== -1 && source[open + 2] === "-" && SPACE.test(source[open + 3] ?? "");
    if (trims) text = text.replace(/[ \t\r\n]+$/, "");
    if (text !== "") push("text", text);
    line += countLines(source.slice(at, open === -1 ? source.length : open));
    if (open === -1) break;
    at = open + (trims ? 3 : 2);
    const comment = /^[ \t\r\n]*\/\*[\s\S]*?\*\//.exec(source.slice(at))?.[0];
    if (comment !== undefined && (trims || comment.startsWith("/*"))) {
      line += countLines(comment);
      const close = /^(?:[ \t\r\n]+(-))?\}\}/.exec(source.slice(at + comment.length));
      if (close === null) throw new TemplateError(`template:${line}: comment ends before closing delimiter`);
      trimNext = close[1] === "-";
      at += comment.length + close[0].length;
      continue;
    }
    push("open", "{{");
    for (;;) {
      const rest = source.slice(at);
      const close = /^(?:[ \t\r\n]+(-))?\}\}/.exec(rest);
      if (close !== null) {
        push("close", "}}");
        trimNext = close[1] === "-";
        at += close[0].length;
        break;
      }
      if (rest === "") throw new TemplateError(`template:${line}: unclosed action`);
      const length = tokenizeInside(rest, push, line);
      line += countLines(rest.slice(0, length));
      at += length;
    }
  }
  push("end", "");
  return tokens;
}

const INSIDE: readonly (readonly [RegExp, Token["kind"]])[] = [
  [/^[ \t\r\n]+/, "space"],
  [/^\.[\p{L}_][\p{L}\p{Nd}_]*/u, "field"],
  [/^\$[\p{L}\p{Nd}_]*/u, "variable"],
  [/^[\p{L}_][\p{L}\p{Nd}_]*/u, "word"],
  [/^(?::=|=|\||\(|\)|,|\.(?!\d))/, "symbol"],
];

function tokenizeInside(
  rest: string,
  push: (kind: Token["kind"], text: string, value?: TemplateValue) => void,
  line: number,
) {
  const quoted = /^(?:"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)+')/.exec(rest)?.[0];
  if (quoted !== undefined) {
    push("literal", quoted, unquoteLiteral(quoted, line));
    return quoted.length;
  }
  const number =
    /^[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\p{L}\d_])/u.exec(
      rest,
    )?.[0];
  if (number !== undefined) {
    const digits = number.replaceAll("_", "");
    const isInteger = /^[+-]?(?:0[xXoObB][0-9a-fA-F]+|\d+)$/.test(digits);
    const size = digits.replace(/^[+-]/, "");
    const integer = () => BigInt(/^0\d/.test(size) ? `0o${size.slice(1)}` : size) * (digits.startsWith("-") ? -1n : 1n);
    push("literal", number, isInteger ? integer() : Number(digits));
    return number.length;
  }
  for (const [pattern, kind] of INSIDE) {
    const found = pattern.exec(rest)?.[0];
    if (found === undefined) continue;
    push(kind, found);
    return found.length;
  }
  if (/^["'`]/.test(rest)) throw new TemplateError(`template:${line}: unterminated quoted string`);
  throw new TemplateError(`template:${line}: unexpected ${JSON.stringify(rest[0])} in command`);
}

function unquoteLiteral(quoted: string, line: number): TemplateValue {
  if (quoted[0] === "`") return quoted.slice(1, -1);
  const inner = quoted.slice(1, -1);
  const value = unquoteGo(quoted[0] === "'" ? inner.replace(/^\\'$/, "'").replace(/^"$/, '\\"') : inner);
  if (value === undefined) throw new TemplateError(`template:${line}: invalid syntax in ${quoted}`);
  return quoted[0] === "'" ? BigInt(value.codePointAt(0)!) : value;
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

const KEYWORDS = new Set(["if", "else", "end", "range", "with", "template", "define", "block", "break", "continue"]);

class Parser {
  readonly #tokens: readonly Token[];
  readonly #isFunction: (name: string) => boolean;
  readonly #named = new Map<string, readonly TemplateNode[]>();
  readonly #variables: string[] = ["$"];
  #at = 0;
  #loops = 0;

  constructor(tokens: readonly Token[], isFunction: (name: string) => boolean) {
    this.#tokens = tokens;
    this.#isFunction = isFunction;
  }

  parse(): ParsedTemplate {
    const root = this.#list([]);
    return { root, named: this.#named };
  }

  /** Nodes until an action with one of the given keywords, which is left to be read, or the end. */
  #list(until: readonly string[]): TemplateNode[] {
    const nodes: TemplateNode[] = [];
    for (;;) {
      const token = this.#tokens[this.#at]!;
      if (token.kind === "end") {
        if (until.length > 0) this.#fail("unexpected EOF");
        return nodes;
      }
      this.#at += 1;
      if (token.kind === "text") {
        nodes.push({ kind: "text", text: token.text });
        continue;
      }
      this.#space();
      const word = this.#tokens[this.#at]!;
      if (word.kind === "word" && KEYWORDS.has(word.text)) {
        if (until.includes(word.text)) return nodes;
        this.#at += 1;
        const node = this.#keyword(word.text);
        if (node !== undefined) nodes.push(node);
        continue;
      }
      const pipeline = this.#pipeline("command");
      this.#close();
      nodes.push({ kind: "action", pipeline });
    }
  }

  #keyword(word: string): TemplateNode | undefined {
    switch (word) {
      case "if":
      case "with":
      case "range":
        return this.#control(word);
      case "break":
      case "continue":
        if (this.#loops === 0) this.#fail(`{{${word}}} outside {{range}}`);
        this.#close();
        return { kind: word };
      case "template": {
        const name = this.#name("template clause");
        this.#space();
        const pipeline = this.#peek("close") ? undefined : this.#pipeline("template clause");
        this.#close();
        return { kind: "template", name, pipeline };
      }
      case "define":
      case "block": {
        const name = this.#name(`${word} clause`);
        this.#space();
        const pipeline = word === "block" ? this.#pipeline("block clause") : undefined;
        this.#close();
        const scope = this.#variables.splice(1);
        this.#named.set(name, this.#list(["end"]));
        this.#variables.splice(1, Infinity, ...scope);
        this.#end();
        return pipeline === undefined ? undefined : { kind: "template", name, pipeline };
      }
      default:
        return this.#fail(`unexpected {{${word}}}`);
    }
  }

  #control(kind: "if" | "with" | "range"): TemplateNode {
    const scope = this.#variables.length;
    const pipeline = this.#pipeline(kind);
    this.#close();
    if (kind === "range") this.#loops += 1;
    const body = this.#list(["else", "end"]);
    if (kind === "range") this.#loops -= 1;
    let otherwise: readonly TemplateNode[] = [];
    if (this.#tokens[this.#at]!.text === "else") {
      this.#at += 1;
      this.#space();
      const next = this.#tokens[this.#at]!;
      if (kind !== "range" && next.kind === "word" && next.text === kind) {
        this.#at += 1;
        otherwise = [this.#control(kind)]; // `else if` shares the `end`
        this.#variables.length = scope;
        return { kind, pipeline, body, otherwise };
      }
      this.#close();
      otherwise = this.#list(["end"]);
    }
    this.#end();
    this.#variables.length = scope;
    return { kind, pipeline, body, otherwise };
  }

  #pipeline(context: string): Pipeline {
    this.#space();
    const variables: string[] = [];
    let assigns = false;
    const start = this.#at;
    while (this.#peek("variable")) {
      const name = this.#tokens[this.#at++]!.text;
      this.#space();
      const next = this.#tokens[this.#at]!;
      if (next.kind === "symbol" && (next.text === ":=" || next.text === "=")) {
        this.#at += 1;
        variables.push(name);
        assigns = next.text === "=";
        if (assigns) this.#checkVariables(variables);
        break;
      }
      if (next.kind === "symbol" && next.text === "," && context === "range") {
        this.#at += 1;
        variables.push(name);
        this.#space();
        continue;
      }
      variables.length = 0;
      this.#at = start;
      break;
    }
    const commands: Operand[][] = [];
    for (;;) {
      const command = this.#command(context);
      if (commands.length > 0 && command[0]!.kind === "literal") this.#fail("non executable command in pipeline");
      commands.push(command);
      if (!this.#peek("symbol", "|")) break;
      this.#at += 1;
    }
    if (!assigns) this.#variables.push(...variables);
    return { variables, assigns, commands };
  }

  #command(context: string): Operand[] {
    const operands: Operand[] = [];
    for (;;) {
      this.#space();
      const operand = this.#operand();
      if (operand === undefined) break;
      operands.push(operand);
      if (!this.#peek("space")) break;
    }
    this.#space();
    if (operands.length === 0) this.#fail(`missing value for ${context}`);
    return operands;
  }

  #operand(): Operand | undefined {
    const token = this.#tokens[this.#at]!;
    let base: Operand | undefined;
    switch (token.kind) {
      case "literal":
        base = { kind: "literal", value: token.value };
        break;
      case "word":
        if (token.text === "true" || token.text === "false") base = { kind: "literal", value: token.text === "true" };
        else if (token.text === "nil") base = { kind: "literal", value: undefined };
        else if (!this.#isFunction(token.text)) this.#fail(`function ${JSON.stringify(token.text)} not defined`);
        else base = { kind: "function", name: token.text };
        break;
      case "variable":
        this.#checkVariables([token.text]);
        base = { kind: "variable", name: token.text };
        break;
      case "field":
        break;
      case "symbol":
        if (token.text === "(") {
          this.#at += 1;
          const pipeline = this.#pipeline("parenthesized pipeline");
          if (!this.#peek("symbol", ")")) this.#fail("unclosed left paren");
          base = { kind: "pipeline", pipeline };
          break;
        }
        if (token.text === ".") {
          this.#at += 1;
          return { kind: "chain", base: undefined, fields: [] };
        }
        return undefined;
      default:
        return undefined;
    }
    if (token.kind !== "field") this.#at += 1;
    const fields: string[] = [];
    while (this.#peek("field")) fields.push(this.#tokens[this.#at++]!.text.slice(1));
    if (base !== undefined && fields.length === 0) return base;
    if (base?.kind === "literal") this.#fail("unexpected . after a constant");
    return { kind: "chain", base, fields };
  }

  #name(context: string): string {
    this.#space();
    const token = this.#tokens[this.#at++]!;
    if (token.kind !== "literal" || typeof token.value !== "string")
      this.#fail(`unexpected ${token.text} in ${context}`);
    return token.value as string;
  }
  #checkVariables(names: readonly string[]): void {
    for (const name of names)
      if (!this.#variables.includes(name)) this.#fail(`undefined variable ${JSON.stringify(name)}`);
  }
  #peek(kind: Token["kind"], text?: string): boolean {
    const token = this.#tokens[this.#at]!;
    return token.kind === kind && (text === undefined || token.text === text);
  }
  #space(): void {
    while (this.#peek("space")) this.#at += 1;
  }
  #end(): void {
    this.#at += 1;
    this.#close();
  }
  #close(): void {
    this.#space();
    if (!this.#peek("close")) this.#fail(`unexpected ${JSON.stringify(this.#tokens[this.#at]!.text)} in action`);
    this.#at += 1;
  }
  #fail(problem: string): never {
    throw new TemplateError(`template:${this.#tokens[Math.min(this.#at, this.#tokens.length - 1)]!.line}: ${problem}`);
  }
}
