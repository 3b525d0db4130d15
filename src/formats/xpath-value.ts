import { type XmlAttribute, XmlError } from "./xml-reader.ts";
import type { XmlNode } from "./xml-tree.ts";

/** Values of XPath 1.0 and how they turn into each other. */

/** An attribute as a node; its identity is that of `attribute`. */
export interface AttributeItem {
  readonly kind: "attribute";
  readonly parent: XmlNode;
  readonly attribute: XmlAttribute;
}
export type XPathItem = XmlNode | AttributeItem;
export type XPathValue = readonly XPathItem[] | string | number | boolean;

/** Where an expression is evaluated. */
export interface XPathFocus {
  readonly item: XPathItem;
  readonly position: number;
  readonly size: number;
  readonly root: XmlNode;
  readonly budget: XPathBudget;
}
export type XPathExpression = (focus: XPathFocus) => XPathValue;

/** Expressions in expressions could take the square and more of a document's size; this is where they end. */
const MOST_STEPS = 200_000;
const MOST_CHARACTERS = 16 * 1024 * 1024;

export class XPathBudget {
  #steps = 0;
  #characters = 0;
  step(): void {
    this.#steps += 1;
    if (this.#steps > MOST_STEPS) throw new XmlError(`the XPath takes more than ${MOST_STEPS} steps`);
  }
  text(value: string): string {
    this.#characters += value.length;
    if (this.#characters > MOST_CHARACTERS) {
      throw new XmlError(`the XPath makes texts of more than ${MOST_CHARACTERS} characters`);
    }
    return value;
  }
}

export function itemText(item: XPathItem): string {
  if (item.kind === "attribute") return item.attribute.value;
  return item.kind === "comment" || item.kind === "directive" ? item.data : item.textWithin();
}

export function isItems(value: XPathValue): value is readonly XPathItem[] {
  return typeof value === "object";
}

export function toText(value: XPathValue, budget: XPathBudget): string {
  if (isItems(value)) return value.length === 0 ? "" : budget.text(itemText(value[0]!));
  if (typeof value === "number") return numberText(value);
  return String(value);
}
/** Without an exponent, which XPath does not have. */
function numberText(value: number): string {
  if (value === 0) return "0";
  const text = String(value);
  if (!text.includes("e")) return text;
  const [digits, exponent] = text.replace("-", "").split("e") as [string, string];
  const [whole, fraction = ""] = digits.split(".") as [string, string?];
  const point = whole.length + Number(exponent);
  const all = whole + fraction;
  const plain =
    point <= 0 ? `0.${"0".repeat(-point)}${all}` : all.padEnd(point, "0").slice(0, point) + after(all.slice(point));
  return value < 0 ? `-${plain}` : plain;
}
function after(fraction: string): string {
  return fraction === "" ? "" : `.${fraction}`;
}

export function toNumber(value: XPathValue, budget: XPathBudget): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return textNumber(toText(value, budget));
}
export function textNumber(text: string): number {
  const trimmed = text.trim();
  return /^-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$/.test(trimmed) ? Number(trimmed) : NaN;
}

export function toBoolean(value: XPathValue): boolean {
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return value !== 0 && !Number.isNaN(value);
  return value.length > 0;
}

export type Comparison = "=" | "!=" | "<" | "<=" | ">" | ">=";

/** A set of nodes compares as any of its nodes does. */
export function compareValues(a: XPathValue, b: XPathValue, operator: Comparison, budget: XPathBudget): boolean {
  if (isItems(a) && typeof b !== "boolean") {
    return a.some((item) => {
      budget.step();
      return compareValues(budget.text(itemText(item)), b, operator, budget);
    });
  }
  if (isItems(b) && typeof a !== "boolean") {
    return b.some((item) => {
      budget.step();
      return compareValues(a, budget.text(itemText(item)), operator, budget);
    });
  }
  if (operator === "=" || operator === "!=") return equal(a, b, budget) === (operator === "=");
  const x = toNumber(a, budget);
  const y = toNumber(b, budget);
  switch (operator) {
    case "<":
      return x < y;
    case "<=":
      return x <= y;
    case ">":
      return x > y;
    case ">=":
      return x >= y;
  }
}
function equal(a: XPathValue, b: XPathValue, budget: XPathBudget): boolean {
  if (typeof a === "boolean" || typeof b === "boolean") return toBoolean(a) === toBoolean(b);
  if (typeof a === "number" || typeof b === "number") return toNumber(a, budget) === toNumber(b, budget);
  return a === b;
}
