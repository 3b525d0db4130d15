import { compileRegex } from "#base/regex";
import { float, int, isNumber, numberKind, toFloat, toInt64 } from "./number.ts";
import { compareText } from "./operators.ts";
import { parseJson } from "./stdlib-json.ts";
import { type Equation, type Fragment, NOTHING, type Operand, type Path, parsePath } from "./stdlib-jsonpath-parser.ts";
import type { Value } from "./value.ts";

/**
 * Everything in a JSON text that a path leads to. Follows the Go library ojg (package jp, get.go and script.go), but
 * the members of objects come in the order of the text, where Go's order is random. Throws a ValueError.
 */
export function queryJson(json: string, path: string): Value {
  const parsed = parsePath(path);
  const root = parseJson(json, "as-ints");
  return select(parsed, root, root);
}

function select(path: Path, start: Value, root: Value): Value[] {
  const results: Value[] = [];
  if (path.length > 0) new Selection(path, root, results).apply(0, start);
  return results;
}

class Selection {
  readonly #path: Path;
  readonly #root: Value;
  readonly #results: Value[];

  constructor(path: Path, root: Value, results: Value[]) {
    this.#path = path;
    this.#root = root;
    this.#results = results;
  }

  apply(at: number, value: Value): void {
    const fragment = this.#path[at]!;
    const isLast = at === this.#path.length - 1;
    const pass = (part: Value) => (isLast ? void this.#results.push(part) : this.apply(at + 1, part));
    switch (fragment.kind) {
      case "root":
        pass(this.#root);
        return;
      case "at":
        pass(value);
        return;
      case "descent":
        this.#descend(at, value, isLast);
        if (isLast) this.#results.push(value);
        return;
      default:
        for (const part of partsOf(fragment, value, this.#root)) {
          if (isLast || fragment.kind === "filter" || isContainer(part)) pass(part);
        }
    }
  }

  /** Inner values before outer ones; at the end of a path all members, outer ones first. */
  #descend(at: number, value: Value, isLast: boolean): void {
    const children = childrenOf(value);
    if (isLast) this.#results.push(...children);
    for (const child of children) if (isContainer(child)) this.#descend(at, child, isLast);
    if (!isLast) this.apply(at + 1, value);
  }
}

function isContainer(value: Value): boolean {
  return Array.isArray(value) || value instanceof Map;
}

function childrenOf(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value as readonly Value[];
  return value instanceof Map ? [...(value as ReadonlyMap<string, Value>).values()] : [];
}

function partsOf(fragment: Fragment, value: Value, root: Value): readonly Value[] {
  switch (fragment.kind) {
    case "child":
      return member(value, fragment.name);
    case "nth":
      return member(value, fragment.index);
    case "union":
      return fragment.members.flatMap((each) => member(value, each));
    case "wildcard":
      return childrenOf(value);
    case "slice":
      return Array.isArray(value) ? slice(value as readonly Value[], fragment) : [];
    case "filter":
      return childrenOf(value).filter((each) => matches(fragment.equation, each, root));
    default:
      return [];
  }
}

function member(value: Value, key: string | number): readonly Value[] {
  if (typeof key === "string") {
    const item = value instanceof Map ? (value as ReadonlyMap<string, Value>).get(key) : undefined;
    return item === undefined ? [] : [item];
  }
  if (!Array.isArray(value)) return [];
  const item = (value as readonly Value[]).at(key);
  return item === undefined ? [] : [item];
}

function slice(items: readonly Value[], range: Extract<Fragment, { kind: "slice" }>): readonly Value[] {
  const { step } = range;
  const start = range.start < 0 ? Math.max(items.length + range.start, 0) : range.start;
  let end = range.end < 0 ? items.length + range.end : range.end;
  if (step === 0 || items.length <= start) return [];
  end = Math.min(end, items.length);
  const result: Value[] = [];
  if (step > 0) for (let i = start; i < end; i += step) result.push(items[i]!);
  else for (let i = start; i > Math.max(end, -1); i += step) result.push(items[i]!);
  return result;
}

/** What an equation is worth for one candidate. `found` marks values that a path led to: these count as true. */
interface Result {
  readonly value: Value | typeof NOTHING | Operand;
  readonly found: boolean;
}

function matches(equation: Equation, candidate: Value, root: Value): boolean {
  if (equation.operand?.kind === "path") return select(equation.operand.path, candidate, root).length > 0;
  const paths = new Map<Operand, readonly Value[]>();
  collectPaths(equation, candidate, root, paths);
  // A path that leads to several values matches if any combination does.
  const choices = [...paths].map(([operand, values]) => ({ operand, values }));
  const combinations = choices.reduce((product, { values }) => product * Math.max(values.length, 1), 1);
  for (let i = 0; i < combinations; i++) {
    let rest = i;
    const chosen = new Map<Operand, Value | typeof NOTHING>();
    for (const { operand, values } of choices) {
      chosen.set(operand, values.length === 0 ? NOTHING : values[rest % values.length]!);
      rest = Math.floor(rest / Math.max(values.length, 1));
    }
    const result = evaluate(equation, chosen, candidate, root);
    if (result.found || result.value === true) return true;
  }
  return false;
}

function collectPaths(
  equation: Equation | undefined,
  candidate: Value,
  root: Value,
  into: Map<Operand, readonly Value[]>,
): void {
  if (equation === undefined) return;
  if (equation.operand?.kind === "path") into.set(equation.operand, select(equation.operand.path, candidate, root));
  if (equation.operator !== "count") collectPaths(equation.left, candidate, root, into);
  collectPaths(equation.right, candidate, root, into);
}

function evaluate(
  equation: Equation | undefined,
  chosen: ReadonlyMap<Operand, Value | typeof NOTHING>,
  candidate: Value,
  root: Value,
): Result {
  if (equation === undefined) return { value: null, found: false };
  const { operand, operator } = equation;
  if (operand !== undefined) {
    if (operand.kind === "value") return { value: operand.value, found: false };
    if (operand.kind !== "path") return { value: operand, found: false };
    const value = chosen.get(operand) ?? null;
    return { value, found: value !== NOTHING };
  }
  if (operator === "count") {
    const path = equation.left?.operand?.kind === "path" ? equation.left.operand.path : undefined;
    const found = path === undefined ? [] : select(path, candidate, root);
    return { value: found.length === 0 ? NOTHING : found.length, found: false };
  }
  const left = evaluate(equation.left, chosen, candidate, root);
  const right = evaluate(equation.right, chosen, candidate, root);
  return { value: operate(operator!, left, right), found: false };
}

type Operated = Result["value"];

function operate(operator: string, left: Result, right: Result): Operated {
  const l = left.value;
  const r = right.value;
  switch (operator) {
    case "(":
      return l;
    case "==":
      return same(l, r);
    case "!=":
      return !same(l, r);
    case "<":
      return order(l, r, (n) => n < 0);
    case ">":
      return order(l, r, (n) => n > 0);
    case "<=":
      return order(l, r, (n) => n <= 0);
    case ">=":
      return order(l, r, (n) => n >= 0);
    case "||":
      return truthy(left) || truthy(right);
    case "&&":
      return truthy(left) && truthy(right);
    case "!":
      return !truthy(left);
    case "+":
      return typeof l === "string" && typeof r === "string" ? l + r : arithmetic(operator, l, r);
    case "-":
    case "*":
    case "/":
      return arithmetic(operator, l, r);
    case "in":
      return isOperand(r) && r.kind === "list" && r.items.some((item) => identical(l, item));
    case "empty":
      return typeof r === "boolean" && isSized(l) && r === (sizeOf(l) === 0);
    case "has":
    case "exists":
      return typeof r === "boolean" && r === (l !== NOTHING);
    case "length":
      return isSized(l) ? sizeOf(l) : NOTHING;
    case "match":
      return typeof l === "string" && typeof r === "string" && r !== "" ? test(anchored(r), l, NOTHING) : NOTHING;
    case "search":
      return typeof l === "string" && typeof r === "string" && r !== "" ? test(r, l, NOTHING) : NOTHING;
    default: // ~= and =~
      if (typeof l !== "string") return false;
      if (isOperand(r)) return r.kind === "regex" && r.regex.test(l);
      return typeof r === "string" && test(r, l, false);
  }
}

function isOperand(value: Operated): value is Operand {
  return (
    typeof value === "object" && value !== null && "kind" in value && (value.kind === "list" || value.kind === "regex")
  );
}

function truthy(result: Result): boolean {
  return result.found || result.value === true;
}

function isSized(value: Operated): value is Value {
  return typeof value === "string" || Array.isArray(value) || value instanceof Map;
}

/** Texts are as long as their UTF-8. */
function sizeOf(value: Value): number {
  if (typeof value === "string") return new TextEncoder().encode(value).length;
  return Array.isArray(value) ? value.length : (value as ReadonlyMap<string, Value>).size;
}

/** Scalars of one kind; a list or an object equals nothing. */
function identical(a: Operated, b: Operated): boolean {
  if (isNumeric(a) && isNumeric(b)) return numberKind(a) === numberKind(b) && same(a, b);
  return (a === null || typeof a !== "object") && a === b;
}

function isNumeric(value: Operated): value is Value {
  return typeof value !== "symbol" && !isOperand(value) && isNumber(value);
}

function same(a: Operated, b: Operated): boolean {
  return isNumeric(a) && isNumeric(b) ? toFloat(a) === toFloat(b) : identical(a, b);
}

function order(a: Operated, b: Operated, holds: (order: number) => boolean): boolean {
  if (typeof a === "string" && typeof b === "string") return holds(compareText(a, b));
  return isNumeric(a) && isNumeric(b) && holds(toFloat(a) - toFloat(b));
}

function arithmetic(operator: string, a: Operated, b: Operated): Operated {
  if (!isNumeric(a) || !isNumeric(b)) return NOTHING;
  if (operator === "/" && toFloat(b) === 0) return NOTHING;
  const isFloat = numberKind(a) === "float" || numberKind(b) === "float";
  if (isFloat) {
    const [x, y] = [toFloat(a), toFloat(b)];
    return float(operator === "+" ? x + y : operator === "-" ? x - y : operator === "*" ? x * y : x / y);
  }
  const [x, y] = [toInt64(a), toInt64(b)];
  return int(operator === "+" ? x + y : operator === "-" ? x - y : operator === "*" ? x * y : x / y);
}

function anchored(pattern: string): string {
  return `${pattern.startsWith("^") ? "" : "^"}${pattern}${pattern.endsWith("$") ? "" : "$"}`;
}

function test(pattern: string, text: string, otherwise: Operated): Operated {
  try {
    return compileRegex(pattern).test(text);
  } catch {
    return otherwise;
  }
}
