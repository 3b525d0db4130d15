import { compileRegex, type Regex, RegexError } from "#base/regex";
import { XmlError } from "./xml-reader.ts";
import {
  isItems,
  itemText,
  textNumber,
  toBoolean,
  toNumber,
  toText,
  type XPathExpression,
  type XPathFocus,
  type XPathItem,
  type XPathValue,
} from "./xpath-value.ts";

/** Functions of XPath 1.0, and those of later versions that github.com/antchfx/xpath has. */

interface XPathFunction {
  /** Least and most arguments. */
  readonly least: number;
  readonly most: number;
  readonly call: (focus: XPathFocus, given: readonly XPathValue[]) => XPathValue;
}

function texts(least: number, most: number, apply: (...given: string[]) => XPathValue): XPathFunction {
  return {
    least,
    most,
    call: (focus, given) => {
      const result = apply(...given.map((value) => toText(value, focus.budget)));
      if (typeof result === "string") focus.budget.text(result);
      return result;
    },
  };
}
function numeric(apply: (value: number) => number): XPathFunction {
  return { least: 1, most: 1, call: (focus, [value]) => apply(toNumber(value!, focus.budget)) };
}
/** About the first node of a set, or the one that is looked at. */
function ofItem(apply: (item: XPathItem) => string): XPathFunction {
  return {
    least: 0,
    most: 1,
    call: ({ item }, [value]) => {
      if (value === undefined) return apply(item);
      const [first] = items(value);
      return first === undefined ? "" : apply(first);
    },
  };
}
function items(value: XPathValue): readonly XPathItem[] {
  if (isItems(value)) return value;
  throw new XmlError(`the XPath has a ${typeof value} where it needs nodes`);
}
function ofText(apply: (text: string) => XPathValue): XPathFunction {
  return {
    least: 0,
    most: 1,
    call: ({ item, budget }, [value]) => apply(value === undefined ? itemText(item) : toText(value, budget)),
  };
}

function nameParts(item: XPathItem): { readonly prefix: string; readonly local: string } {
  if (item.kind === "attribute") return item.attribute;
  const isNamed = item.kind === "element" || item.kind === "instruction";
  return { prefix: item.prefix, local: isNamed ? item.data : "" };
}
/** The latest expression: it is mostly the same one for all nodes. */
let latest: Regex | undefined;
function regex(pattern: string): Regex {
  if (latest?.source === pattern) return latest;
  try {
    latest = compileRegex(pattern);
    return latest;
  } catch (error) {
    if (error instanceof RegexError) throw new XmlError(`invalid regular expression in the XPath: ${error.message}`);
    throw error;
  }
}
/** Halves go up. */
function round(value: number): number {
  return Math.floor(value + 0.5);
}
function substring(text: string, from: number, length: number): string {
  const start = round(from);
  const end = start + round(length);
  return Array.from(text)
    .filter((_, i) => i + 1 >= start && i + 1 < end)
    .join("");
}
function translate(text: string, from: string, to: string): string {
  const replacements = new Map<string, string>();
  const targets = Array.from(to);
  for (const [i, char] of Array.from(from).entries()) {
    if (!replacements.has(char)) replacements.set(char, targets[i] ?? "");
  }
  return Array.from(text, (char) => replacements.get(char) ?? char).join("");
}

const FUNCTIONS: ReadonlyMap<string, XPathFunction> = new Map(
  Object.entries({
    string: ofText((text) => text),
    "string-length": ofText((text) => Array.from(text).length),
    "normalize-space": ofText((text) => text.trim().replace(/\s+/g, " ")),
    concat: texts(2, Infinity, (...parts) => parts.join("")),
    "starts-with": texts(2, 2, (text, start) => text!.startsWith(start!)),
    "ends-with": texts(2, 2, (text, end) => text!.endsWith(end!)),
    contains: texts(2, 2, (text, part) => text!.includes(part!)),
    "substring-before": texts(2, 2, (text, part) => text!.slice(0, Math.max(text!.indexOf(part!), 0))),
    "substring-after": texts(2, 2, (text, part) =>
      part !== "" && text!.includes(part!) ? text!.slice(text!.indexOf(part!) + part!.length) : "",
    ),
    "lower-case": texts(1, 1, (text) => text!.toLowerCase()),
    translate: texts(3, 3, (text, from, to) => translate(text!, from!, to!)),
    matches: texts(2, 2, (text, pattern) => regex(pattern!).test(text!)),
    replace: texts(3, 3, (text, pattern, by) =>
      regex(pattern!).replaceAll(
        text!,
        by!.replace(/\$([0-9])/g, (_, group: string) => `\${${group}}`),
      ),
    ),
    substring: {
      least: 2,
      most: 3,
      call: ({ budget }, [text, start, length]) =>
        substring(
          toText(text!, budget),
          toNumber(start!, budget),
          length === undefined ? Infinity : toNumber(length, budget),
        ),
    },
    boolean: { least: 1, most: 1, call: (_, [value]) => toBoolean(value!) },
    not: { least: 1, most: 1, call: (_, [value]) => !toBoolean(value!) },
    true: { least: 0, most: 0, call: () => true },
    false: { least: 0, most: 0, call: () => false },
    number: {
      least: 0,
      most: 1,
      call: ({ item, budget }, [value]) => (value === undefined ? textNumber(itemText(item)) : toNumber(value, budget)),
    },
    sum: {
      least: 1,
      most: 1,
      call: ({ budget }, [value]) =>
        items(value!).reduce((sum, item) => sum + textNumber(budget.text(itemText(item))), 0),
    },
    floor: numeric(Math.floor),
    ceiling: numeric(Math.ceil),
    round: numeric(round),
    last: { least: 0, most: 0, call: ({ size }) => size },
    position: { least: 0, most: 0, call: ({ position }) => position },
    count: { least: 1, most: 1, call: (_, [value]) => items(value!).length },
    "local-name": ofItem((item) => nameParts(item).local),
    name: ofItem((item) => {
      const { prefix, local } = nameParts(item);
      return prefix === "" ? local : `${prefix}:${local}`;
    }),
    "namespace-uri": ofItem((item) => (item.kind === "element" ? item.namespace : "")),
    reverse: { least: 1, most: 1, call: (_, [value]) => items(value!).toReversed() },
    "string-join": {
      least: 2,
      most: 2,
      call: ({ budget }, [value, separator]) => {
        const parts = items(value!).map((item) => budget.text(itemText(item)));
        return budget.text(parts.join(toText(separator!, budget)));
      },
    },
  } satisfies Record<string, XPathFunction>),
);

/** The call of a function by name; throws XmlError for one that is not there or has other arguments. */
export function xpathCall(name: string, given: readonly XPathExpression[]): XPathExpression {
  const known = FUNCTIONS.get(name);
  if (known === undefined) throw new XmlError(`XPath has no function ${name}`);
  if (given.length < known.least || given.length > known.most) {
    throw new XmlError(`the function ${name} of XPath does not take ${given.length} arguments`);
  }
  return (focus) =>
    known.call(
      focus,
      given.map((each) => each(focus)),
    );
}
