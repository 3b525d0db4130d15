import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { type XmlAttribute, XmlError, type XmlPiece, XmlReader } from "#formats/xml-reader";
import { parseXmlTree, writeXml, writeXmlNode, XmlNode } from "#formats/xml-tree";
import { XPath } from "#formats/xpath";
import { mapOf } from "./functions-parse.ts";
import * as p from "./parameters.ts";
import { define, type OttlFunction, optional } from "./parameters.ts";
import { MOST_CHARACTERS, OttlError, tooLong } from "./value.ts";

/** Converters of XML. Matches func_…_xml.go of pkg/ottl/ottlfuncs. */

/** A level of XML takes five nested messages of OTLP, of which there may be a hundred. */
const DEEPEST = 18;

function attempt<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof XmlError) throw OttlError.of(error.message);
    throw error;
  }
}

function treeOf(text: string): XmlNode {
  const document = parseXmlTree(text);
  // The declaration that stands for a missing one.
  if (!text.startsWith("<?xml")) document.first?.remove();
  return document;
}

/** A converter of XML into other XML. */
function rewriting(
  name: string,
  params: { readonly isXPathOptional: boolean; readonly defaultXPath?: string },
  rewrite: (document: XmlNode, xpath: XPath) => string,
): OttlFunction {
  const { isXPathOptional, defaultXPath = "" } = params;
  return define(
    name,
    { target: p.text, x_path: isXPathOptional ? optional(p.textLiteral) : p.textLiteral },
    ({ target, x_path: given = "" }) => {
      const xpath = attempt(() => new XPath(isXPathOptional && given === "" ? defaultXPath : given));
      return (c) => {
        const text = target.get(c);
        if (text === "" && !isXPathOptional) return "";
        return attempt(() => rewrite(treeOf(text), xpath));
      };
    },
  );
}

const getXml = rewriting("GetXML", { isXPathOptional: false }, (document, xpath) => {
  let text = "";
  for (const item of xpath.select(document)) {
    if (item.kind === "attribute") text += writtenText(item.attribute.value);
    else if (item.kind === "cdata") text += writtenText(item.data);
    else if (item.kind === "text" || item.kind === "element") text += writeXmlNode(item);
    if (text.length > MOST_CHARACTERS) throw tooLong();
  }
  return text;
});
function writtenText(text: string): string {
  return writeXmlNode(new XmlNode("text", text));
}

const removeXml = rewriting("RemoveXML", { isXPathOptional: false }, (document, xpath) => {
  for (const item of xpath.select(document)) {
    if (item.kind === "attribute") item.parent.removeAttribute(item.attribute);
    else if (item.kind === "text") item.data = "";
    else if (item.kind === "element" || item.kind === "comment" || item.kind === "cdata") item.remove();
  }
  return writeXml(document);
});

const attributesToElements = rewriting(
  "ConvertAttributesToElementsXML",
  { isXPathOptional: true, defaultXPath: "//@*" },
  (document, xpath) => {
    for (const item of xpath.select(document)) {
      if (item.kind !== "attribute") continue;
      item.parent.append(textElement(item.attribute.local, item.attribute.value));
      item.parent.removeAttribute(item.attribute);
    }
    return writeXml(document);
  },
);
function textElement(name: string, text: string): XmlNode {
  const element = new XmlNode("element", name);
  element.append(new XmlNode("text", text));
  return element;
}

const textToElements = define(
  "ConvertTextToElementsXML",
  { target: p.text, x_path: optional(p.textLiteral), element_name: optional(p.textLiteral) },
  ({ target, x_path: given = "", element_name: name = "" }) => {
    const xpath = attempt(() => new XPath(given === "" ? "/" : given));
    return (c) => {
      const text = target.get(c);
      return attempt(() => {
        const document = treeOf(text);
        for (const item of xpath.select(document)) {
          if (item.kind !== "attribute") wrapTexts(item, name === "" ? "value" : name);
        }
        return writeXml(document);
      });
    };
  },
);
/** Puts texts that stand beside elements or other texts into elements of their own. */
function wrapTexts(parent: XmlNode, name: string): void {
  if (parent.kind !== "element" && parent.kind !== "document") return;
  const texts: XmlNode[] = [];
  let elements = 0;
  for (const child of parent.children()) {
    if (child.kind === "text") texts.push(child);
    else if (child.kind === "element") {
      elements += 1;
      wrapTexts(child, name);
    }
  }
  if (texts.length === 0 || texts.length + elements <= 1) return;
  for (const text of texts) text.replaceWith(textElement(name, text.data));
}

const insertXml = define(
  "InsertXML",
  { target: p.text, x_path: p.textLiteral, sub_document: p.text },
  ({ target, x_path: given, sub_document: subDocument }) => {
    const xpath = attempt(() => new XPath(given));
    return (c) => {
      const text = target.get(c);
      const inserted = subDocument.get(c);
      return attempt(() => {
        const document = text === "" ? new XmlNode("element", "") : treeOf(text);
        const source = [...treeOf(inserted).children()];
        const targets = xpath.select(document);
        for (const item of targets) {
          if (item.kind !== "element" && item.kind !== "document") {
            throw OttlError.of(`the XPath selects a node of kind ${item.kind}, into which no XML can be put`);
          }
        }
        if (targets.length * inserted.length + text.length > MOST_CHARACTERS) throw tooLong();
        for (const item of targets) for (const node of source) (item as XmlNode).append(node.copy());
        return writeXml(document);
      });
    };
  },
);

interface Element {
  readonly tag: string;
  readonly attributes: readonly XmlAttribute[];
  text: string;
  readonly children: AnyValue[];
}

/** Reads one element, whose start was read, with what is in it. */
function readElement(reader: XmlReader, start: Extract<XmlPiece, { kind: "start" }>, depth: number): KeyValues {
  if (depth > DEEPEST) throw new XmlError(`elements nest more than ${DEEPEST} deep`);
  const element: Element = { tag: start.name.local, attributes: start.attributes, text: "", children: [] };
  for (;;) {
    const piece = reader.next()!;
    if (piece.kind === "end") return elementMap(element);
    if (piece.kind === "start") element.children.push(readElement(reader, piece, depth + 1));
    else if (piece.kind === "text" || piece.kind === "cdata") element.text += piece.text.trim();
  }
}
function elementMap({ tag, attributes, text, children }: Element): KeyValues {
  const map = new KeyValues();
  map.append("tag", tag);
  if (text !== "") map.append("content", text);
  if (attributes.length > 0)
    map.append("attributes", mapOf(attributes.map((each) => [each.local, each.value] as const)));
  if (children.length > 0) map.append("children", new ValueList(children));
  return map;
}

const parseXml = define("ParseXML", { target: p.text }, ({ target }) => (c) => {
  const reader = new XmlReader(target.get(c));
  return attempt(() => {
    let piece = reader.next();
    while (piece !== undefined && piece.kind !== "start") piece = reader.next();
    if (piece === undefined) throw new XmlError("there is no element");
    const result = readElement(reader, piece, 1);
    if (!reader.isAtEnd) throw new XmlError("there is something after the element");
    return result;
  });
});

const parseSimplifiedXml = define("ParseSimplifiedXML", { target: p.text }, ({ target }) => (c) => {
  const text = target.get(c);
  return attempt(() => simplified(treeOf(text), 1));
});
/** Elements as keys: the text of those without elements, lists for names that are there more than once. */
function simplified(parent: XmlNode, depth: number): KeyValues {
  if (depth > DEEPEST) throw new XmlError(`elements nest more than ${DEEPEST} deep`);
  const elements = [...parent.children()].filter((child) => child.kind === "element");
  const counts = new Map<string, number>();
  for (const { data } of elements) counts.set(data, (counts.get(data) ?? 0) + 1);
  const result = new Map<string, AnyValue>();
  for (const element of elements) {
    if (element.first === undefined) continue;
    const isListed = counts.get(element.data)! > 1;
    const list = isListed ? ((result.get(element.data) as ValueList | undefined) ?? new ValueList([])) : undefined;
    // A list is there even if nothing comes into it.
    if (list !== undefined) result.set(element.data, list);
    const leaf = leafText(element);
    const inner = leaf === "" ? simplified(element, depth + 1) : undefined;
    if (inner?.size === 0) continue;
    if (list === undefined) result.set(element.data, inner ?? leaf);
    else list.items.push(inner ?? leaf);
  }
  return mapOf(result);
}
function leafText(element: XmlNode): string {
  const children = [...element.children()];
  if (children.some((child) => child.kind === "element")) return "";
  return children.find((child) => child.kind === "text" || child.kind === "cdata")?.data ?? "";
}

export const xmlConverters: readonly OttlFunction[] = [
  getXml,
  removeXml,
  insertXml,
  attributesToElements,
  textToElements,
  parseXml,
  parseSimplifiedXml,
];
