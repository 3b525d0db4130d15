import { XmlError } from "./xml-reader.ts";
import { isNamespace, type XmlNode } from "./xml-tree.ts";
import { type AttributeItem, isItems, toBoolean, type XPathExpression, type XPathItem } from "./xpath-value.ts";

/** The steps of XPath. As in github.com/antchfx/xmlquery, blank texts are passed over unless they come first in an element. */

export type NodeTest =
  | { readonly kind: "name"; readonly prefix: string | undefined; readonly local: string | undefined }
  | {
      readonly kind: "node" | "text" | "comment" | "processing-instruction";
      readonly target?: string | undefined;
    };

type Axis = (item: XPathItem) => Iterable<XPathItem>;

function isBlank(node: XmlNode): boolean {
  return node.kind === "text" && node.data.trim() === "";
}
function* siblings(start: XmlNode | undefined, toward: "next" | "previous"): Generator<XmlNode> {
  for (let node = start; node !== undefined; node = node[toward]) if (!isBlank(node)) yield node;
}
function* children(item: XPathItem): Generator<XmlNode> {
  if (item.kind === "attribute" || item.first === undefined) return;
  yield item.first;
  yield* siblings(item.first.next, "next");
}
function* descendants(item: XPathItem): Generator<XmlNode> {
  const open: Iterator<XmlNode>[] = [children(item)];
  while (open.length > 0) {
    const { done, value } = open.at(-1)!.next();
    if (done === true) open.pop();
    else {
      yield value;
      open.push(children(value));
    }
  }
}
function* ancestors(item: XPathItem): Generator<XmlNode> {
  for (let node = item.parent; node !== undefined; node = node.parent) yield node;
}
/** What comes after or before a node, without its descendants or ancestors. */
function* beside(item: XPathItem, toward: "next" | "previous"): Generator<XmlNode> {
  const start = item.kind === "attribute" ? item.parent : item;
  for (let node: XmlNode | undefined = start; node !== undefined; node = node.parent) {
    for (const sibling of siblings(node[toward], toward)) {
      const inner = [sibling, ...descendants(sibling)];
      yield* toward === "next" ? inner : inner.reverse();
    }
  }
}
function* attributes(item: XPathItem): Generator<AttributeItem> {
  if (item.kind !== "element") return;
  // Declarations of namespaces are no attributes for XPath.
  for (const attribute of item.attributes)
    if (!isNamespace(attribute)) yield { kind: "attribute", parent: item, attribute };
}
function* withSelf(item: XPathItem, others: Iterable<XPathItem>): Generator<XPathItem> {
  yield item;
  yield* others;
}

const AXES: ReadonlyMap<string, Axis> = new Map<string, Axis>([
  ["self", (item) => [item]],
  ["child", children],
  ["descendant", descendants],
  ["descendant-or-self", (item) => withSelf(item, descendants(item))],
  ["parent", (item) => (item.parent === undefined ? [] : [item.parent])],
  ["ancestor", ancestors],
  ["ancestor-or-self", (item) => withSelf(item, ancestors(item))],
  ["following-sibling", (item) => (item.kind === "attribute" ? [] : siblings(item.next, "next"))],
  ["preceding-sibling", (item) => (item.kind === "attribute" ? [] : siblings(item.previous, "previous"))],
  ["following", (item) => beside(item, "next")],
  ["preceding", (item) => beside(item, "previous")],
  ["attribute", attributes],
]);

/** The name, if there is such an axis. Throws XmlError. */
export function axisOf(name: string): string {
  if (!AXES.has(name)) throw new XmlError(`XPath has no axis ${name}`);
  return name;
}

function fits(item: XPathItem, test: NodeTest, axis: string): boolean {
  switch (test.kind) {
    case "node":
      return true;
    case "text":
      return item.kind === "text" || item.kind === "cdata";
    case "comment":
      return item.kind === "comment";
    case "processing-instruction":
      return item.kind === "instruction" && (test.target === undefined || test.target === item.data);
    case "name": {
      if (item.kind !== (axis === "attribute" ? "attribute" : "element")) return false;
      const { prefix, local } = item.kind === "attribute" ? item.attribute : { prefix: item.prefix, local: item.data };
      return (
        (test.local === undefined || test.local === local) && (test.prefix === undefined || test.prefix === prefix)
      );
    }
  }
}

/** What an axis leads to from each node of an input, as far as it fits and the predicates hold; each node once. */
export function stepThrough(
  input: XPathExpression,
  axis: string,
  test: NodeTest,
  predicates: readonly XPathExpression[],
): XPathExpression {
  const from = AXES.get(axis)!;
  return (focus) => {
    const start = input(focus);
    if (!isItems(start)) throw new XmlError(`the XPath has a ${typeof start} where it needs nodes`);
    const seen = new Set<object>();
    const out: XPathItem[] = [];
    for (const item of start) {
      let found: XPathItem[] = [];
      for (const each of from(item)) {
        focus.budget.step();
        if (fits(each, test, axis)) found.push(each);
      }
      for (const predicate of predicates) {
        const size = found.length;
        found = found.filter((each, i) => {
          focus.budget.step();
          const value = predicate({ ...focus, item: each, position: i + 1, size });
          return typeof value === "number" ? value === i + 1 : toBoolean(value);
        });
      }
      for (const each of found) {
        const identity = each.kind === "attribute" ? each.attribute : each;
        if (!seen.has(identity)) out.push(each);
        seen.add(identity);
      }
    }
    return out;
  };
}
