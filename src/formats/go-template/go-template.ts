import { TEMPLATE_FUNCTIONS } from "./functions.ts";
import {
  type Operand,
  type ParsedTemplate,
  type Pipeline,
  parseTemplate,
  TemplateError,
  type TemplateNode,
  type TemplateValue,
} from "./parse.ts";
import { compareValues, formatValue, truth } from "./values.ts";

export { TemplateError, type TemplateValue } from "./parse.ts";

/** Templates must not run for ever: so many steps one execution may take. */
const MAX_STEPS = 1_000_000;
const MAX_DEPTH = 200;
const MAX_OUTPUT = 16 * 1024 * 1024;

/** A template of Go's package text/template with the functions of go-template-functions.ts. */
export class GoTemplate {
  readonly #parsed: ParsedTemplate;

  /** Parses; throws a TemplateError with Go's words, also for functions that there are not. */
  constructor(source: string) {
    this.#parsed = parseTemplate(source, (name) => TEMPLATE_FUNCTIONS.has(name));
  }

  /** Executes on a map. Throws a TemplateError where Go's execution fails. */
  execute(data: ReadonlyMap<string, TemplateValue>): string {
    return new Execution(this.#parsed, data as Map<string, TemplateValue>).run();
  }
}

class Jump {
  readonly kind: "break" | "continue";
  constructor(kind: "break" | "continue") {
    this.kind = kind;
  }
}

class Execution {
  readonly #parsed: ParsedTemplate;
  readonly #data: Map<string, TemplateValue>;
  #out = "";
  #steps = 0;
  #depth = 0;
  #variables: [name: string, value: TemplateValue][];

  constructor(parsed: ParsedTemplate, data: Map<string, TemplateValue>) {
    this.#parsed = parsed;
    this.#data = data;
    this.#variables = [["$", data]];
  }

  run(): string {
    this.#nodes(this.#parsed.root, this.#data);
    return this.#out;
  }

  #nodes(nodes: readonly TemplateNode[], dot: TemplateValue): void {
    for (const node of nodes) {
      this.#step();
      switch (node.kind) {
        case "text":
          this.#write(node.text);
          break;
        case "action": {
          const value = this.#pipeline(node.pipeline, dot);
          if (node.pipeline.variables.length === 0) this.#write(formatValue(value));
          break;
        }
        case "break":
        case "continue":
          throw new Jump(node.kind);
        case "template":
          this.#template(node.name, node.pipeline === undefined ? undefined : this.#pipeline(node.pipeline, dot));
          break;
        default:
          this.#scoped(() => this.#control(node, dot));
      }
    }
  }

  #control(node: Extract<TemplateNode, { kind: "if" | "with" | "range" }>, dot: TemplateValue): void {
    const value = this.#pipeline(node.pipeline, dot);
    if (node.kind === "range") this.#range(node, value, dot);
    else if (truth(value)) this.#nodes(node.body, node.kind === "with" ? value : dot);
    else this.#nodes(node.otherwise, dot);
  }

  #range(
    node: Extract<TemplateNode, { kind: "if" | "with" | "range" }>,
    value: TemplateValue,
    dot: TemplateValue,
  ): void {
    const items = rangeItems(value);
    if (items.length === 0) this.#nodes(node.otherwise, dot);
    const { variables } = node.pipeline;
    for (const [key, item] of items) {
      try {
        this.#scoped(() => {
          if (variables.length === 1) this.#set(variables[0]!, item, node.pipeline.assigns);
          else if (variables.length > 1) {
            this.#set(variables[0]!, key, node.pipeline.assigns);
            this.#set(variables[1]!, item, node.pipeline.assigns);
          }
          this.#nodes(node.body, item);
        });
      } catch (error) {
        if (!(error instanceof Jump)) throw error;
        if (error.kind === "break") return;
      }
    }
  }

  #template(name: string, dot: TemplateValue): void {
    const nodes = this.#parsed.named.get(name);
    if (nodes === undefined) throw new TemplateError(`template ${JSON.stringify(name)} not defined`);
    if (++this.#depth > MAX_DEPTH) throw new TemplateError("exceeded maximum template depth");
    const outer = this.#variables;
    this.#variables = [["$", dot]];
    this.#nodes(nodes, dot);
    this.#variables = outer;
    this.#depth -= 1;
  }

  #pipeline(pipeline: Pipeline, dot: TemplateValue): TemplateValue {
    let value: TemplateValue;
    for (const [i, command] of pipeline.commands.entries()) value = this.#command(command, dot, i > 0, value);
    for (const name of pipeline.variables) this.#set(name, value, pipeline.assigns);
    return value;
  }

  #command(command: readonly Operand[], dot: TemplateValue, piped: boolean, last: TemplateValue): TemplateValue {
    this.#step();
    const [first, ...rest] = command as [Operand, ...Operand[]];
    if (first.kind === "literal" && first.value === undefined) throw new TemplateError("nil is not a command");
    if (first.kind !== "function") {
      if (rest.length > 0 || piped) throw new TemplateError("can't give argument to non-function");
      return this.#operand(first, dot);
    }
    if (first.name === "and" || first.name === "or") return this.#shortCircuit(first.name, rest, dot, piped, last);
    const args = rest.map((operand) => this.#operand(operand, dot));
    if (piped) args.push(last);
    return callFunction(first.name, args);
  }

  /** `and` and `or` stop at the argument that decides. */
  #shortCircuit(name: "and" | "or", rest: readonly Operand[], dot: TemplateValue, piped: boolean, last: TemplateValue) {
    if (rest.length === 0 && !piped) throw new TemplateError(`wrong number of args for ${name}: want at least 1 got 0`);
    let value: TemplateValue;
    for (const operand of rest) {
      value = this.#operand(operand, dot);
      if (truth(value) === (name === "or")) return value;
    }
    return piped ? last : value;
  }

  #operand(operand: Operand, dot: TemplateValue): TemplateValue {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "variable":
        return this.#variables.findLast(([name]) => name === operand.name)?.[1];
      case "function":
        return callFunction(operand.name, []);
      case "pipeline":
        return this.#pipeline(operand.pipeline, dot);
      case "chain": {
        let value = operand.base === undefined ? dot : this.#operand(operand.base, dot);
        for (const field of operand.fields) value = this.#field(value, field);
        return value;
      }
    }
  }

  #field(value: TemplateValue, name: string): TemplateValue {
    if (value instanceof Map) return value.get(name);
    if (value === undefined) return undefined;
    throw new TemplateError(`can't evaluate field ${name} in a value that is no map`);
  }

  #set(name: string, value: TemplateValue, assigns: boolean): void {
    if (!assigns) {
      this.#variables.push([name, value]);
      return;
    }
    const known = this.#variables.findLast(([each]) => each === name);
    if (known !== undefined) known[1] = value;
  }

  #scoped(work: () => void): void {
    const { length } = this.#variables;
    try {
      work();
    } finally {
      this.#variables.length = length;
    }
  }

  #write(text: string): void {
    this.#out += text;
    if (this.#out.length > MAX_OUTPUT) throw new TemplateError("the output is too long");
  }
  #step(): void {
    if (++this.#steps > MAX_STEPS) throw new TemplateError("the template runs for too long");
  }
}

function rangeItems(value: TemplateValue): (readonly [TemplateValue, TemplateValue])[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, i) => [BigInt(i), item] as const);
  if (value instanceof Map) return [...value].sort((a, b) => (compareValues(a[0], b[0]) < 0 ? -1 : 1));
  if (typeof value === "bigint") {
    if (value > BigInt(MAX_STEPS)) throw new TemplateError("the range is too long");
    return Array.from({ length: Math.max(0, Number(value)) }, (_, i) => [BigInt(i), BigInt(i)] as const);
  }
  throw new TemplateError(`range can't iterate over ${formatValue(value)}`);
}

function callFunction(name: string, args: TemplateValue[]): TemplateValue {
  try {
    return TEMPLATE_FUNCTIONS.get(name)!(args);
  } catch (cause) {
    if (cause instanceof TemplateError) throw new TemplateError(`error calling ${name}: ${cause.message}`, { cause });
    throw cause;
  }
}
