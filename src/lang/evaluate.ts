import { Labels } from "#base/labels";
import type {
  AccessExpression,
  Body,
  CallExpression,
  Expression,
  IndexExpression,
  LiteralExpression,
  Span,
} from "./ast.ts";
import { ConversionError, typeName, type ValuePath, wrongType } from "./convert.ts";
import { type Diagnostic, DiagnosticError } from "./diagnostic.ts";
import { numberLiteralValue, stringLiteralValue } from "./literal.ts";
import { float, isNumber, plain, toInt64 } from "./number.ts";
import { binaryOperation, unaryOperation } from "./operators.ts";
import { nearest } from "./suggest.ts";
import { type FunctionValue, isObjectValue, type Value, ValueError } from "./value.ts";

/**
 * The names that an expression can use. A name that a scope does not know is looked up in its parent; the outermost is
 * the standard library's (`standardScope` in stdlib.ts).
 */
export interface Scope {
  readonly parent?: Scope | undefined;
  lookup(name: string): Value | undefined;
}

/** A use of a name, with the fields that are accessed right behind it: `local.file.x.content` gives four parts. */
export interface Reference {
  readonly path: readonly string[];
  readonly span: Span;
}

/**
 * The value of an expression. Throws a DiagnosticError with the span of the innermost expression at fault; secrets are
 * never in its text. Follows Alloy's `syntax/vm/vm.go`.
 */
export function evaluateExpression(expression: Expression, scope: Scope): Value {
  try {
    return plain(evaluate(expression, scope));
  } catch (error) {
    // The stack or the longest possible string: a value of the user's making, not a fault of ours.
    if (!(error instanceof RangeError)) throw error;
    const message = `${sourceOf(expression)} is too large or nested too deeply`;
    throw failure("expression.too_large", message, expression.span);
  }
}

function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.kind) {
    case "literal":
      return literalValue(expression);
    case "array":
      return expression.elements.map((element) => evaluate(element, scope));
    case "object":
      return new Map(expression.fields.map((field) => [field.name.name, evaluate(field.value, scope)]));
    case "identifier":
      return identifierValue(expression.name, expression.span, scope);
    case "access":
      return access(expression, evaluate(expression.value, scope));
    case "index":
      return index(expression, evaluate(expression.value, scope), evaluate(expression.index, scope));
    case "call":
      return call(expression, scope);
    case "paren":
      return evaluate(expression.inner, scope);
    case "unary": {
      const value = evaluate(expression.value, scope);
      return located([expression.value], () => unaryOperation(expression.operator, value));
    }
    case "binary": {
      const left = evaluate(expression.left, scope);
      const right = evaluate(expression.right, scope);
      return located([expression.left, expression.right], () => binaryOperation(left, expression.operator, right));
    }
  }
}

function literalValue(literal: LiteralExpression): Value {
  switch (literal.type) {
    case "null":
      return null;
    case "bool":
      return literal.raw === "true";
    case "string":
      return stringLiteralValue(literal.raw);
    case "number":
    case "float": {
      const value = numberLiteralValue(literal.raw);
      if (value === Number.POSITIVE_INFINITY) {
        throw failure("expression.number_range", `${literal.raw} value out of range`, literal.span);
      }
      return literal.type === "float" ? float(Number(value)) : value;
    }
  }
}

function identifierValue(name: string, span: Span, scope: Scope): Value {
  for (let each: Scope | undefined = scope; each !== undefined; each = each.parent) {
    const value = each.lookup(name);
    if (value !== undefined) return value;
  }
  throw failure("expression.unknown_name", `identifier "${name}" does not exist`, span, {
    why: "no component, no argument and no function of the standard library has this name",
  });
}

function access(expression: AccessExpression, value: Value): Value {
  const { name } = expression.name;
  if (!isObjectValue(value)) {
    const message = `cannot access field "${name}" on value of type ${typeName(value)}`;
    throw failure("expression.wrong_type", `${sourceOf(expression.value)} ${message}`, expression.value.span);
  }
  const field = value.get(name);
  if (field === undefined) {
    const names = value instanceof Labels ? [...value].map(([each]) => each) : [...value.keys()];
    const suggestion = nearest(name, names);
    throw failure("expression.unknown_field", `field "${name}" does not exist`, expression.name.span, {
      ...(suggestion === undefined ? {} : { hint: `did you mean "${suggestion}"?` }),
    });
  }
  return field;
}

/** Arrays by number; objects by text, where a missing key gives null. */
function index(expression: IndexExpression, value: Value, at: Value): Value {
  const faulty = (part: Expression, message: string, code = "expression.wrong_type") =>
    failure(code, `${sourceOf(part)} ${message}`, part.span);
  if (Array.isArray(value)) {
    const items = value as readonly Value[];
    if (!isNumber(at)) throw faulty(expression.index, wrongType("number", at).message);
    const position = Number(toInt64(at));
    if (position < 0 || position >= items.length) {
      const message = `index ${position} is out of range of array with length ${items.length}`;
      throw faulty(expression.index, message, "expression.index_range");
    }
    return items[position]!;
  }
  if (isObjectValue(value)) {
    if (typeof at !== "string") throw faulty(expression.index, wrongType("string", at).message);
    return value.get(at) ?? null;
  }
  throw faulty(expression.value, `expected object or array, got ${typeName(value)}`);
}

function call(expression: CallExpression, scope: Scope): Value {
  const callee = evaluate(expression.value, scope);
  if (typeName(callee) !== "function") {
    const message = `${sourceOf(expression.value)} ${wrongType("function", callee).message}`;
    throw failure("expression.wrong_type", message, expression.value.span);
  }
  const args = expression.args.map((arg) => evaluate(arg, scope));
  return located(expression.args, () => (callee as FunctionValue).call(args), expression.value);
}

/** Runs an operation over operands; an error about one of them becomes a diagnostic at the part of its expression at fault. */
function located(operands: readonly Expression[], operation: () => Value, otherwise?: Expression): Value {
  try {
    return operation();
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    const operand = error.argument === undefined ? otherwise : operands[error.argument];
    const path = error instanceof ConversionError ? error.path : [];
    throw new DiagnosticError([valueDiagnostic(error.message, operand ?? operands[0]!, path)]);
  }
}

/**
 * A diagnostic about the value of an expression, or about the part of the value that `path` leads to: as far as the
 * path goes through array and object literals, the span is that of the part.
 */
export function valueDiagnostic(
  message: string,
  expression: Expression,
  path: ValuePath,
  code = "expression.wrong_type",
): Diagnostic {
  const [part, rest] = writtenPart(expression, path);
  const steps = rest.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  return { severity: "error", code, message: `${sourceOf(part)}${steps} ${message}`, span: part.span };
}

/** The expression that a path leads to, as far as it goes through literals, and the rest of the path. */
export function writtenPart(expression: Expression, path: ValuePath): [part: Expression, rest: ValuePath] {
  let part = expression;
  for (let i = 0; i < path.length; i++) {
    const inner = literalPart(part, path[i]!);
    if (inner === undefined) return [part, path.slice(i)];
    part = inner;
  }
  return [part, []];
}

function literalPart(expression: Expression, step: string | number): Expression | undefined {
  if (expression.kind === "paren") return literalPart(expression.inner, step);
  if (expression.kind === "array" && typeof step === "number") return expression.elements[step];
  if (expression.kind === "object") return expression.fields.findLast((field) => field.name.name === step)?.value;
  return undefined;
}

const LONGEST_SOURCE = 80;

/** An expression as written, on one line and not too long, for messages. */
function sourceOf(expression: Expression): string {
  const { source, start, end } = expression.span;
  const text = source.text.slice(start, end).replace(/\s+/g, " ");
  return text.length <= LONGEST_SOURCE ? text : `${text.slice(0, LONGEST_SOURCE - 1)}…`;
}

function failure(code: string, message: string, span: Span, more: Partial<Diagnostic> = {}): DiagnosticError {
  return new DiagnosticError([{ severity: "error", code, message, span, ...more }]);
}

/** The names that an expression uses, each with the fields accessed behind it. */
export function references(expression: Expression): readonly Reference[] {
  const found: Reference[] = [];
  collect(expression, found);
  return found;
}

/** The environment variables that an expression asks for by literal names, with the calls that do: `sys.env("X")`. */
export function environmentVariables(
  expression: Expression,
): readonly { readonly name: string; readonly call: CallExpression }[] {
  const found: { name: string; call: CallExpression }[] = [];
  const visit = (part: Expression): void => {
    if (part.kind === "call") {
      const path = accessPath(part.value)?.join(".");
      const [first] = part.args;
      if ((path === "sys.env" || path === "env") && first?.kind === "literal" && first.type === "string") {
        found.push({ name: stringLiteralValue(first.raw), call: part });
      }
    }
    for (const inner of partsOf(part)) visit(inner);
  };
  visit(expression);
  return found;
}

/** All references of a body, in order, those in nested blocks included. */
export function referencesOf(body: Body): readonly Reference[] {
  const found: Reference[] = [];
  const visit = (statements: Body) => {
    for (const statement of statements) {
      if (statement.kind === "attribute") collect(statement.value, found);
      else visit(statement.body);
    }
  };
  visit(body);
  return found;
}

function collect(expression: Expression, into: Reference[]): void {
  const path = accessPath(expression);
  if (path !== undefined) into.push({ path, span: expression.span });
  else for (const part of partsOf(expression)) collect(part, into);
}

function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "literal":
    case "identifier":
      return [];
    case "array":
      return expression.elements;
    case "object":
      return expression.fields.map((field) => field.value);
    case "access":
    case "unary":
      return [expression.value];
    case "index":
      return [expression.value, expression.index];
    case "call":
      return [expression.value, ...expression.args];
    case "paren":
      return [expression.inner];
    case "binary":
      return [expression.left, expression.right];
  }
}

function accessPath(expression: Expression): string[] | undefined {
  if (expression.kind === "identifier") return [expression.name];
  if (expression.kind !== "access") return undefined;
  const path = accessPath(expression.value);
  path?.push(expression.name.name);
  return path;
}

/** A scope over a map, for tests and for small sets of variables. */
export function scopeOf(variables: ReadonlyMap<string, Value>, parent?: Scope): Scope {
  return { parent, lookup: (name) => variables.get(name) };
}
