import { Labels } from "#base/labels";
import type { BinaryOperator, UnaryExpression } from "./ast.ts";
import { type TypeName, toObject, typeName } from "./convert.ts";
import { float, int, type NumberKind, numberKind, toFloat, toInt64, toUint64, uint } from "./number.ts";
import { Capsule, Secret, type Value, ValueError } from "./value.ts";

/** What each operator takes, in the order in which Alloy's messages list it. Equality takes everything. */
const ALLOWED: Readonly<Record<Exclude<BinaryOperator, "==" | "!=">, readonly TypeName[]>> = {
  "||": ["bool"],
  "&&": ["bool"],
  "+": ["number", "string", "capsule"],
  "-": ["number"],
  "*": ["number"],
  "/": ["number"],
  "%": ["number"],
  "^": ["number"],
  "<": ["number", "string"],
  ">": ["number", "string"],
  "<=": ["number", "string"],
  ">=": ["number", "string"],
};

/**
 * A binary operator over evaluated operands: both sides have been evaluated already, since Alloy's `&&` and `||` do not
 * short-circuit. Text with a secret gives a secret. Throws a ValueError whose `argument` is 0 for the left side, 1 for
 * the right one. Follows Alloy's `syntax/internal/transform/binary.go`.
 */
export function binaryOperation(left: Value, operator: BinaryOperator, right: Value): Value {
  if (operator === "==") return equalValues(left, right);
  if (operator === "!=") return !equalValues(left, right);
  const [l, r] = alignSecrets(left, right);
  const leftType = typeName(l);
  const rightType = typeName(r);
  if (!ALLOWED[operator].includes(leftType)) throw unacceptable(operator, leftType, 0);
  if (!ALLOWED[operator].includes(rightType)) throw unacceptable(operator, rightType, 1);
  if (leftType !== rightType) {
    throw new ValueError(`should be ${leftType}, got ${rightType}`, { argument: 1 });
  }
  switch (operator) {
    case "||":
      return (l as boolean) || (r as boolean);
    case "&&":
      return (l as boolean) && (r as boolean);
    case "+":
      return leftType === "number" ? arithmetic(l, "+", r) : concatenate(l, r);
    case "<":
    case ">":
    case "<=":
    case ">=":
      return compare(l, operator, r);
    default:
      return arithmetic(l, operator, r);
  }
}

export function unaryOperation(operator: UnaryExpression["operator"], value: Value): Value {
  const wanted = operator === "!" ? "bool" : "number";
  if (typeName(value) !== wanted) {
    throw new ValueError(`should be ${wanted}, got ${typeName(value)}`, { argument: 0 });
  }
  if (operator === "!") return !value;
  return numberKind(value) === "float" ? float(-toFloat(value)) : int(-toInt64(value));
}

function unacceptable(operator: Exclude<BinaryOperator, "==" | "!=">, got: TypeName, argument: number): ValueError {
  const allowed = ALLOWED[operator].join(" ");
  return new ValueError(`should be one of [${allowed}] for binop ${operator}, got ${got}`, { argument });
}

/** Text beside a secret is a secret. */
function alignSecrets(left: Value, right: Value): readonly [Value, Value] {
  if (left instanceof Secret && typeof right === "string") return [left, new Secret(right)];
  if (typeof left === "string" && right instanceof Secret) return [new Secret(left), right];
  return [left, right];
}

function concatenate(left: Value, right: Value): Value {
  if (typeof left === "string") return left + (right as string);
  if (left instanceof Secret && right instanceof Secret) return new Secret(left.reveal() + right.reveal());
  throw new ValueError("could not perform binop + for unknown types lhs capsule rhs capsule", { argument: 0 });
}

/** uint with int is int, anything with float is float. */
function commonKind(left: Value, right: Value): NumberKind {
  const a = numberKind(left);
  const b = numberKind(right);
  if (a === "float" || b === "float") return "float";
  return a === "int" || b === "int" ? "int" : "uint";
}

function arithmetic(left: Value, operator: "+" | "-" | "*" | "/" | "%" | "^", right: Value): Value {
  if ((operator === "/" || operator === "%") && toFloat(right) === 0) {
    throw new ValueError("divide by zero error", { argument: 1 });
  }
  const kind = commonKind(left, right);
  if (kind === "float") return float(floatArithmetic(toFloat(left), operator, toFloat(right)));
  const [convert, make, bits] = kind === "int" ? [toInt64, int, BigInt.asIntN] : [toUint64, uint, BigInt.asUintN];
  const a = convert(left);
  const b = convert(right);
  switch (operator) {
    case "+":
      return make(a + b);
    case "-":
      return make(a - b);
    case "*":
      return make(a * b);
    case "/":
      return make(a / b);
    case "%":
      return make(a % b);
    case "^":
      return make(power(a, b, bits));
  }
}

function floatArithmetic(a: number, operator: "+" | "-" | "*" | "/" | "%" | "^", b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "^":
      // Go says 1 ^ anything and -1 ^ ±Inf are 1, where JavaScript says NaN.
      return a === 1 || (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) ? 1 : a ** b;
  }
}

/** Alloy's `intPow` with its overflow, by squaring: it multiplies once per unit of the exponent. A negative exponent gives the base. */
function power(base: bigint, exponent: bigint, wrap: (bits: number, value: bigint) => bigint): bigint {
  if (exponent === 0n || base === 1n) return 1n;
  if (exponent < 0n) return base;
  let result = 1n;
  let square = base;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = wrap(64, result * square);
    square = wrap(64, square * square);
  }
  return result;
}

function compare(left: Value, operator: "<" | ">" | "<=" | ">=", right: Value): boolean {
  const order = typeof left === "string" ? compareText(left, right as string) : compareNumbers(left, right);
  switch (operator) {
    case "<":
      return order < 0;
    case ">":
      return order > 0;
    case "<=":
      return order <= 0;
    case ">=":
      return order >= 0;
  }
}

function compareNumbers(left: Value, right: Value): number {
  const kind = commonKind(left, right);
  if (kind === "float") {
    const a = toFloat(left);
    const b = toFloat(right);
    return a < b ? -1 : a > b ? 1 : a === b ? 0 : Number.NaN;
  }
  const convert = kind === "int" ? toInt64 : toUint64;
  const a = convert(left);
  const b = convert(right);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** In the order of UTF-8 bytes, as Go compares; JavaScript's order differs beyond the basic plane. */
export function compareText(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i);
    const b = right.charCodeAt(i);
    if (a === b) continue;
    // Surrogates stand for code points above all of the basic plane.
    const aHigh = a >= 0xd800 && a < 0xe000;
    const bHigh = b >= 0xd800 && b < 0xe000;
    return aHigh === bHigh ? a - b : aHigh ? 1 : -1;
  }
  return left.length - right.length;
}

/**
 * Alloy's `==`: by kind and content, numbers by value whatever their type, a secret and text by the text. Comparing is
 * all that may be done with a secret beside passing it on; as in Alloy, the answer is a plain bool.
 */
export function equalValues(left: Value, right: Value): boolean {
  const [l, r] = alignSecrets(left, right);
  const type = typeName(l);
  if (type !== typeName(r)) return false;
  switch (type) {
    case "null":
      return true;
    case "number":
      return compareNumbers(l, r) === 0;
    case "string":
    case "bool":
      return l === r;
    case "function":
      return false;
    case "capsule":
      if (l instanceof Secret) return r instanceof Secret && l.reveal() === r.reveal();
      return r instanceof Capsule && (l as Capsule).value === r.value;
    case "array": {
      const a = l as readonly Value[];
      const b = r as readonly Value[];
      return a.length === b.length && a.every((item, i) => equalValues(item, b[i]!));
    }
    case "object":
      return equalObjects(l, r);
  }
}

function equalObjects(left: Value, right: Value): boolean {
  if (left instanceof Labels && right instanceof Labels) return left.equals(right);
  const a = toObject(left);
  const b = toObject(right);
  if (a.size !== b.size) return false;
  for (const [key, item] of a) {
    const other = b.get(key);
    if (other === undefined || !equalValues(item, other)) return false;
  }
  return true;
}
