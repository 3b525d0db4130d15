import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** What methods answer; binary data and dates stay texts. */
export type XmlRpcValue =
  | string
  | number
  | boolean
  | undefined
  | readonly XmlRpcValue[]
  | ReadonlyMap<string, XmlRpcValue>;

const TIMEOUT_MS = 10_000;
/** A supervisor of a thousand programs answers with less than a megabyte. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/**
 * Calls a method without arguments at an `http`, `https` or `unix` URL, whose path is then that of the socket. Rejects with
 * the fault that the server tells.
 */
export async function callXmlRpc(url: URL, method: string): Promise<XmlRpcValue> {
  const { status, body } = await post(
    url,
    `<?xml version="1.0"?><methodCall><methodName>${method}</methodName></methodCall>`,
  );
  if (status !== 200) throw new Error(`the server answers with status ${status}`);
  return parseXmlRpc(body);
}

function post(url: URL, text: string): Promise<{ status: number; body: string }> {
  const isSocket = url.protocol === "unix:";
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const auth =
    url.username === "" ? {} : { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` };
  const where = isSocket
    ? { socketPath: decodeURIComponent(url.pathname), path: "/RPC2" }
    : { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: url.port, path: url.pathname + url.search, ...auth };
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const request = send(
    {
      ...where,
      method: "POST",
      headers: { "content-type": "text/xml", "content-length": Buffer.byteLength(text) },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    },
    (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) response.destroy(new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`));
        chunks.push(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on("error", reject);
    },
  );
  request.on("error", (error) => reject(error.name === "TimeoutError" ? new Error("there is no answer") : error));
  request.end(text);
  return promise;
}

/** The value of a `methodResponse`. Throws for a fault, and for what is no answer. */
export function parseXmlRpc(text: string): XmlRpcValue {
  const reader = new Reader(text);
  reader.expect("methodResponse");
  const kind = reader.open();
  if (kind === "fault") {
    const fault = reader.value();
    const message = fault instanceof Map ? `${fault.get("faultString")} (${fault.get("faultCode")})` : "";
    throw new Error(`the server refuses: ${message}`);
  }
  if (kind !== "params") throw new Error("the answer is not one of XML-RPC");
  reader.expect("param");
  return reader.value();
}

/** Reads tags one after another; attributes, comments and declarations are passed over. */
class Reader {
  readonly #tokens: readonly RegExpExecArray[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = [...text.matchAll(/<!--[\s\S]*?-->|<[?!][^>]*>|<(\/?)([\w.]+)[^>]*?(\/?)>|([^<]+)/g)].filter(
      ([whole, , name]) => name !== undefined || !whole.startsWith("<"),
    ) as RegExpExecArray[];
  }

  /** The name of the opening tag that comes next. */
  open(): string {
    const name = this.#peek();
    if (name === undefined) throw new Error("the answer is not one of XML-RPC");
    this.#at++;
    return name;
  }

  expect(name: string): void {
    if (this.open() !== name) throw new Error("the answer is not one of XML-RPC");
  }

  value(): XmlRpcValue {
    this.expect("value");
    const before = this.#at;
    const type = this.#peek();
    if (type === undefined) {
      this.#at = before;
      return this.#text("value");
    }
    const token = this.#tokens[this.#at++]!;
    const value = token[3] === "/" ? scalar(type, "") : this.#inside(type);
    this.#close("value");
    return value;
  }

  #inside(type: string): XmlRpcValue {
    if (type === "array") {
      this.expect("data");
      const values: XmlRpcValue[] = [];
      while (this.#peek() === "value") values.push(this.value());
      this.#close("data");
      this.#close("array");
      return values;
    }
    if (type === "struct") {
      const members = new Map<string, XmlRpcValue>();
      while (this.#peek() === "member") {
        this.expect("member");
        this.expect("name");
        members.set(this.#text("name"), this.value());
        this.#close("member");
      }
      this.#close("struct");
      return members;
    }
    return scalar(type, this.#text(type));
  }

  /** The next opening tag behind white space; undefined if there is something else. */
  #peek(): string | undefined {
    while (this.#tokens[this.#at]?.[4]?.trim() === "") this.#at++;
    const token = this.#tokens[this.#at];
    return token === undefined || token[1] === "/" ? undefined : token[2];
  }

  /** The text up to the end of an element. */
  #text(name: string): string {
    let text = "";
    for (let token = this.#tokens[this.#at]; token?.[4] !== undefined; token = this.#tokens[++this.#at])
      text += token[4];
    this.#close(name);
    return plainText(text);
  }

  #close(name: string): void {
    while (this.#tokens[this.#at]?.[4]?.trim() === "") this.#at++;
    const token = this.#tokens[this.#at++];
    if (token?.[1] !== "/" || token[2] !== name) throw new Error("the answer is not one of XML-RPC");
  }
}

function scalar(type: string, text: string): XmlRpcValue {
  switch (type) {
    case "int":
    case "i1":
    case "i2":
    case "i4":
    case "i8":
    case "double":
      return Number(text);
    case "boolean":
      return text.trim() === "1";
    case "nil":
      return undefined;
    default:
      return text;
  }
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function plainText(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
