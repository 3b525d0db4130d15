import { type XmlAttribute, XmlError, type XmlPiece, XmlReader } from "./xml-reader.ts";

/** XML as a tree that can be changed and written again. Matches github.com/antchfx/xmlquery. */

export type XmlNodeKind =
  | "document"
  /** `<?xml … ?>` */
  | "declaration"
  | "element"
  | "text"
  | "cdata"
  | "comment"
  | "directive"
  | "instruction";

export class XmlNode {
  readonly kind: XmlNodeKind;
  /** The local name of elements, the target of instructions, otherwise the text. */
  data: string;
  readonly prefix: string;
  readonly namespace: string;
  attributes: readonly XmlAttribute[] = [];
  /** Of instructions. */
  readonly text: string;
  parent: XmlNode | undefined;
  first: XmlNode | undefined;
  last: XmlNode | undefined;
  previous: XmlNode | undefined;
  next: XmlNode | undefined;

  constructor(kind: XmlNodeKind, data: string, { prefix = "", namespace = "", text = "" } = {}) {
    this.kind = kind;
    this.data = data;
    this.prefix = prefix;
    this.namespace = namespace;
    this.text = text;
  }

  /** Puts a node at the end, after taking it from where it was. */
  append(node: XmlNode): void {
    node.remove();
    node.parent = this;
    node.previous = this.last;
    if (this.last === undefined) this.first = node;
    else this.last.next = node;
    this.last = node;
  }
  /** Takes the node, with what is in it, out of its tree. */
  remove(): void {
    const { parent, previous, next } = this;
    if (parent === undefined) return;
    if (previous === undefined) parent.first = next;
    else previous.next = next;
    if (next === undefined) parent.last = previous;
    else next.previous = previous;
    this.parent = undefined;
    this.previous = undefined;
    this.next = undefined;
  }
  /** Puts another node in the node's place. */
  replaceWith(node: XmlNode): void {
    const { parent, previous, next } = this;
    this.parent = undefined;
    this.previous = undefined;
    this.next = undefined;
    node.parent = parent;
    node.previous = previous;
    node.next = next;
    if (previous !== undefined) previous.next = node;
    else if (parent !== undefined) parent.first = node;
    if (next !== undefined) next.previous = node;
    else if (parent !== undefined) parent.last = node;
  }
  /** The node with what is in it, in no tree. */
  copy(): XmlNode {
    const { prefix, namespace, text } = this;
    const copy = new XmlNode(this.kind, this.data, { prefix, namespace, text });
    copy.attributes = this.attributes;
    for (const child of this.children()) copy.append(child.copy());
    return copy;
  }
  removeAttribute({ prefix, local }: { readonly prefix: string; readonly local: string }): void {
    this.attributes = this.attributes.filter((each) => each.local !== local || each.prefix !== prefix);
  }

  *children(): Generator<XmlNode> {
    for (let child = this.first; child !== undefined; child = child.next) yield child;
  }
  /** The texts in the node, one after the other. */
  textWithin(): string {
    if (this.kind === "text" || this.kind === "cdata") return this.data;
    if (this.kind === "comment") return "";
    let text = "";
    for (const child of this.children()) text += child.textWithin();
    return text;
  }
}

/** Deeper nesting is refused: reading a tree calls itself. */
const DEEPEST = 1000;
const XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace";

/**
 * The tree of a text. A document that begins without `<?xml` gets a declaration as its first child; what stands before that
 * or the first element is left out. Throws XmlError.
 */
export function parseXmlTree(text: string): XmlNode {
  const reader = new XmlReader(text);
  const builder = new Builder();
  for (let piece = reader.next(); piece !== undefined; piece = reader.next()) builder.add(piece);
  for (const child of builder.document.children()) if (child.kind === "element") return builder.document;
  throw new XmlError("there is no element");
}

class Builder {
  readonly document = new XmlNode("document", "");
  #parent = this.document;
  #depth = 0;
  #hasBegun = false;
  readonly #namespaces: ReadonlyMap<string, string>[] = [new Map([["xml", XML_NAMESPACE]])];

  add(piece: XmlPiece): void {
    switch (piece.kind) {
      case "start":
        this.#start(piece);
        break;
      case "end":
        this.#parent = this.#parent.parent!;
        this.#depth -= 1;
        this.#namespaces.pop();
        break;
      case "instruction":
        this.#hasBegun = true;
        this.#parent.append(instruction(piece.target, piece.text));
        break;
      default:
        if (this.#hasBegun) this.#parent.append(new XmlNode(piece.kind, piece.text));
    }
  }

  #start({ name, attributes }: Extract<XmlPiece, { kind: "start" }>): void {
    if (!this.#hasBegun) this.document.append(instruction("xml", 'version="1.0"'));
    this.#hasBegun = true;
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new XmlError(`elements nest more than ${DEEPEST} deep`);
    let known = this.#namespaces.at(-1)!;
    const declared = attributes.filter(isNamespace);
    if (declared.length > 0) {
      known = new Map([
        ...known,
        ...declared.map((each) => [each.prefix === "" ? "" : each.local, each.value] as const),
      ]);
    }
    this.#namespaces.push(known);
    const namespace = known.get(name.prefix);
    if (namespace === undefined && name.prefix !== "") throw new XmlError(`the prefix ${name.prefix} has no namespace`);
    const node = new XmlNode("element", name.local, { prefix: name.prefix, namespace: namespace ?? "" });
    node.attributes = attributes;
    this.#parent.append(node);
    this.#parent = node;
  }
}

/** Whether an attribute declares a namespace. */
export function isNamespace({ prefix, local }: XmlAttribute): boolean {
  return prefix === "xmlns" || (prefix === "" && local === "xmlns");
}

function instruction(target: string, text: string): XmlNode {
  if (target !== "xml") return new XmlNode("instruction", target, { text: text.trim() });
  const node = new XmlNode("declaration", "xml");
  const attributes = new Map<string, string>();
  for (const pair of text.split(" ")) {
    const equals = pair.indexOf("=");
    const key = pair.slice(0, equals).trim();
    if (equals <= 0 || attributes.has(key)) continue;
    attributes.set(
      key,
      pair
        .slice(equals + 1)
        .trim()
        .replace(/^["']+|["']+$/g, ""),
    );
  }
  node.attributes = [...attributes].map(([local, value]) => ({ prefix: "", local, value }));
  return node;
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "'": "&#39;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
};
function escaped(text: string): string {
  return text.replace(/[&'<>"]/g, (char) => ESCAPES[char]!);
}

/** What is in a node, as text. Texts are trimmed where `xml:space` is `default`. */
export function writeXml(node: XmlNode): string {
  let out = "";
  const keeps = keepsSpace(node, true);
  for (const child of node.children()) out += written(child, keeps);
  return out;
}
/** A node itself, as text. */
export function writeXmlNode(node: XmlNode): string {
  return written(node, true);
}
function keepsSpace(node: XmlNode, before: boolean): boolean {
  const space = node.attributes.find((each) => each.prefix === "xml" && each.local === "space")?.value;
  return space === "preserve" || (space !== "default" && before);
}

function written(node: XmlNode, keptBefore: boolean): string {
  switch (node.kind) {
    case "text":
      return escaped(keptBefore ? node.data : node.data.trim());
    case "cdata":
      return `<![CDATA[${node.data}]]>`;
    case "comment":
      return `<!--${node.data}-->`;
    case "directive":
      return `<!${node.data}>`;
    case "instruction":
      return node.text === "" ? `<?${node.data}?>` : `<?${node.data} ${node.text}?>`;
  }
  const keeps = keepsSpace(node, keptBefore);
  const name = qualified(node.prefix, node.data);
  const attributes = node.attributes
    .map(({ prefix, local, value }) => ` ${qualified(prefix, local)}="${escaped(value)}"`)
    .join("");
  if (node.kind === "declaration") return `<?${name}${attributes}?>`;
  let inner = "";
  for (const child of node.children()) inner += written(child, keeps);
  return `<${name}${attributes}>${inner}</${name}>`;
}
function qualified(prefix: string, local: string): string {
  return prefix === "" ? local : `${prefix}:${local}`;
}
