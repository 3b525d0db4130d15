import { OttlDuration, OttlError, OttlTime, type OttlValue, typeOf } from "./value.ts";

/** Sums and products of OTTL. Matches pkg/ottl/math.go: ints wrap at 64 bits, an int and a double give a double. */

type Operator = "+" | "-" | "*" | "/";

export function negate(value: OttlValue): OttlValue {
  if (typeof value === "bigint") return BigInt.asIntN(64, -value);
  if (typeof value === "number") return -value;
  throw OttlError.of(`a ${typeOf(value)} cannot be negated`);
}

export function operate(operator: Operator): (left: OttlValue, right: OttlValue) => OttlValue {
  return (left, right) => {
    if (typeof left === "bigint" && typeof right === "bigint") return ints(left, right, operator);
    if (isNumber(left) && isNumber(right)) return floats(Number(left), Number(right), operator);
    if (left instanceof OttlTime) return times(left, right, operator);
    if (left instanceof OttlDuration) return durations(left, right, operator);
    throw impossible(left, operator, right);
  };
}

function isNumber(value: OttlValue): value is bigint | number {
  return typeof value === "bigint" || typeof value === "number";
}
function impossible(left: OttlValue, operator: Operator, right: OttlValue): OttlError {
  return OttlError.of(`${typeOf(left)} ${operator} ${typeOf(right)} is not possible`);
}

function ints(a: bigint, b: bigint, operator: Operator): bigint {
  switch (operator) {
    case "+":
      return BigInt.asIntN(64, a + b);
    case "-":
      return BigInt.asIntN(64, a - b);
    case "*":
      return BigInt.asIntN(64, a * b);
    case "/":
      if (b === 0n) throw OttlError.of("division by zero");
      return BigInt.asIntN(64, a / b);
  }
}

function floats(a: number, b: number, operator: Operator): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      if (b === 0) throw OttlError.of("division by zero");
      return a / b;
  }
}

function times(a: OttlTime, b: OttlValue, operator: Operator): OttlValue {
  if (b instanceof OttlDuration && operator === "+") return new OttlTime(a.nanos + b.nanos, a.offset, a.zone);
  if (b instanceof OttlDuration && operator === "-") return new OttlTime(a.nanos - b.nanos, a.offset, a.zone);
  if (b instanceof OttlTime && operator === "-") return new OttlDuration(a.nanos - b.nanos);
  throw impossible(a, operator, b);
}

function durations(a: OttlDuration, b: OttlValue, operator: Operator): OttlValue {
  if (b instanceof OttlDuration && operator === "+") return new OttlDuration(a.nanos + b.nanos);
  if (b instanceof OttlDuration && operator === "-") return new OttlDuration(a.nanos - b.nanos);
  if (b instanceof OttlTime && operator === "+") return new OttlTime(b.nanos + a.nanos, b.offset, b.zone);
  throw impossible(a, operator, b);
}
