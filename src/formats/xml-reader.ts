/** Reads XML piece by piece, as strictly as Go's encoding/xml: what that refuses is refused, entities are the five of XML. */

export class XmlError extends Error {
  override readonly name = "XmlError";
}

export interface XmlName {
  /** Before the colon; "" without one. */
  readonly prefix: string;
  readonly local: string;
}
export interface XmlAttribute extends XmlName {
  readonly value: string;
}
export type XmlPiece =
  | { readonly kind: "start"; readonly name: XmlName; readonly attributes: readonly XmlAttribute[] }
  | { readonly kind: "end" }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "cdata"; readonly text: string }
  | { readonly kind: "comment"; readonly text: string }
  | { readonly kind: "instruction"; readonly target: string; readonly text: string }
  | { readonly kind: "directive"; readonly text: string };

const SPACE = /[ \t\r\n]*/y;
const NAME = /[A-Za-z0-9_:.\-\u0080-\uffff]+/y;
const VALID_NAME = /^[\p{L}_:][\p{L}\p{N}\p{M}_:.·-]*$/u;
/** What may not stand in a document. Lone halves of surrogate pairs cannot come out of UTF-8, and pass. */
const ILLEGAL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["lt", "<"],
  ["gt", ">"],
  ["amp", "&"],
  ["apos", "'"],
  ["quot", '"'],
]);

/** Takes time linear in the length of the text. */
export class XmlReader {
  readonly #text: string;
  readonly #open: XmlName[] = [];
  #at = 0;
  /** `<a/>` was a start, and is an end next. */
  #endFollows = false;

  constructor(text: string) {
    this.#text = text;
  }

  /** Nothing is left to be read. */
  get isAtEnd(): boolean {
    return this.#at >= this.#text.length && !this.#endFollows;
  }

  /** The next piece; undefined after the last. Throws XmlError. */
  next(): XmlPiece | undefined {
    if (this.#endFollows) {
      this.#endFollows = false;
      this.#open.pop();
      return { kind: "end" };
    }
    if (this.#at >= this.#text.length) {
      const inner = this.#open.at(-1);
      if (inner !== undefined) throw new XmlError(`the text ends within <${written(inner)}>`);
      return undefined;
    }
    if (this.#text[this.#at] !== "<") return { kind: "text", text: this.#characters("<") };
    this.#at += 1;
    switch (this.#text[this.#at]) {
      case "/":
        return this.#end();
      case "?":
        return this.#instruction();
      case "!":
        return this.#declaration();
      default:
        return this.#start();
    }
  }

  #space(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    this.#at = SPACE.lastIndex;
  }
  #take(text: string, where: string): void {
    if (!this.#text.startsWith(text, this.#at)) throw new XmlError(`${JSON.stringify(text)} is missing ${where}`);
    this.#at += text.length;
  }
  /** Takes what is before a text, and the text. */
  #until(text: string, what: string): string {
    const end = this.#text.indexOf(text, this.#at);
    if (end < 0) throw new XmlError(`${what} does not end`);
    const taken = this.#text.slice(this.#at, end);
    this.#at = end + text.length;
    return taken;
  }

  #plainName(what: string): string {
    NAME.lastIndex = this.#at;
    const name = NAME.exec(this.#text)?.[0] ?? "";
    if (!VALID_NAME.test(name)) throw new XmlError(`the name of ${what} is missing or invalid`);
    this.#at += name.length;
    return name;
  }
  #name(what: string): XmlName {
    const name = this.#plainName(what);
    const [prefix, local, ...others] = name.split(":");
    if (others.length > 0) throw new XmlError(`${name} has more than one colon`);
    return local === undefined || local === "" || prefix === ""
      ? { prefix: "", local: name }
      : { prefix: prefix!, local };
  }

  #start(): XmlPiece {
    const name = this.#name("an element");
    const attributes: XmlAttribute[] = [];
    for (;;) {
      this.#space();
      const char = this.#text[this.#at];
      if (char === "/" || char === ">") break;
      const attribute = this.#name("an attribute");
      this.#space();
      this.#take("=", "after the name of an attribute");
      this.#space();
      const quote = this.#text[this.#at];
      if (quote !== '"' && quote !== "'") throw new XmlError("the value of an attribute is not in quotes");
      this.#at += 1;
      const value = this.#characters(quote);
      this.#take(quote, "after the value of an attribute");
      attributes.push({ ...attribute, value });
    }
    if (this.#text[this.#at] === "/") {
      this.#at += 1;
      this.#endFollows = true;
    }
    this.#take(">", "at the end of an element's start");
    this.#open.push(name);
    return { kind: "start", name, attributes };
  }

  #end(): XmlPiece {
    this.#at += 1;
    const name = this.#name("an element");
    this.#space();
    this.#take(">", "at the end of an element");
    const open = this.#open.pop();
    if (open === undefined) throw new XmlError(`</${written(name)}> ends what did not begin`);
    if (open.local !== name.local || open.prefix !== name.prefix) {
      throw new XmlError(`<${written(open)}> is closed by </${written(name)}>`);
    }
    return { kind: "end" };
  }

  #instruction(): XmlPiece {
    this.#at += 1;
    const target = this.#plainName("an instruction");
    this.#space();
    const text = this.#until("?>", "an instruction");
    if (target === "xml") {
      const version = /version\s*=\s*["']([^"']*)["']/.exec(text)?.[1];
      if (version !== undefined && version !== "1.0") throw new XmlError(`version ${version} of XML is not supported`);
    }
    return { kind: "instruction", target, text };
  }

  #declaration(): XmlPiece {
    this.#at += 1;
    if (this.#text.startsWith("--", this.#at)) {
      this.#at += 2;
      const text = this.#until("--", "a comment");
      this.#take(">", "after -- in a comment");
      return { kind: "comment", text: legal(text) };
    }
    if (this.#text[this.#at] === "[") {
      this.#take("[CDATA[", "after <!");
      return { kind: "cdata", text: legal(lines(this.#until("]]>", "a CDATA section"))) };
    }
    if (this.#text[this.#at] === "-") throw new XmlError("<!- does not begin a comment");
    return { kind: "directive", text: this.#directive() };
  }
  /** Up to the `>` that is outside of quotes and of inner `< >`; comments in it are left out. */
  #directive(): string {
    let out = "";
    let quote = "";
    let depth = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at]!;
      if (quote === "" && this.#text.startsWith("<!--", this.#at)) {
        this.#at += 4;
        this.#until("-->", "a comment");
        this.#at -= 1;
        out += " ";
        continue;
      }
      if (quote !== "") {
        if (char === quote) quote = "";
      } else if (char === '"' || char === "'") quote = char;
      else if (char === "<") depth += 1;
      else if (char === ">") {
        if (depth === 0) {
          this.#at += 1;
          return out;
        }
        depth -= 1;
      }
      out += char;
    }
    throw new XmlError("a directive does not end");
  }

  /** Text up to a character, with its entities replaced. */
  #characters(stop: "<" | '"' | "'"): string {
    const next = this.#text.indexOf(stop, this.#at);
    const end = next < 0 ? this.#text.length : next;
    const raw = this.#text.slice(this.#at, end);
    if (stop === "<") {
      if (raw.includes("]]>")) throw new XmlError("]]> stands outside of a CDATA section");
    } else if (raw.includes("<")) throw new XmlError("the value of an attribute has a <");
    this.#at = end;
    return legal(lines(raw).replace(/&([^;&]*)(;?)/g, (_, name: string, semicolon: string) => entity(name, semicolon)));
  }
}

function written({ prefix, local }: XmlName): string {
  return prefix === "" ? local : `${prefix}:${local}`;
}
/** Line breaks of all systems are one character. */
function lines(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
}
function legal(text: string): string {
  if (ILLEGAL.test(text)) throw new XmlError("there is a character that XML does not allow");
  return text;
}
function entity(name: string, semicolon: string): string {
  const number = /^#(?:x([0-9a-fA-F]+)|([0-9]+))$/.exec(name);
  const code = number === null ? NaN : number[1] === undefined ? Number(number[2]) : Number.parseInt(number[1], 16);
  const text = number === null ? ENTITIES.get(name) : code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
  if (text === undefined || semicolon === "") throw new XmlError(`&${name.slice(0, 20)}${semicolon} is no entity`);
  return text.toWellFormed();
}
