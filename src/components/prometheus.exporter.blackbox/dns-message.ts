import { dnsClassName, dnsTypeName } from "./dns-names.ts";
import { formatRecordData } from "./dns-records.ts";

/** Messages of DNS (RFC 1035): a question to send, and an answer as text in the form of miekg/dns. */

export interface DnsRecord {
  readonly type: number;
  /** The whole record on one line: `name.\tttl\tclass\ttype\tdata`. */
  readonly text: string;
  /** The serial number of a SOA record. */
  readonly serial: number | undefined;
}

export interface DnsAnswer {
  readonly id: number;
  readonly isResponse: boolean;
  readonly code: number;
  readonly answer: readonly DnsRecord[];
  readonly authority: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
}

/** A message or a name that cannot be. */
export class DnsMessageError extends Error {
  override readonly name = "DnsMessageError";
}

const HEADER_BYTES = 12;
const LONGEST_LABEL = 63;
const LONGEST_NAME = 255;
const SOA = 6;

export interface DnsQuestion {
  readonly id: number;
  /** In the form of zone files: with escapes, with or without the dot at its end. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly recursion: boolean;
}

/** A question as it is sent. Throws a DnsMessageError for a name that DNS cannot have. */
export function encodeQuestion(question: DnsQuestion): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(question.id, 0);
  head.writeUInt16BE(question.recursion ? 0x0100 : 0, 2);
  head.writeUInt16BE(1, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(question.type, 0);
  tail.writeUInt16BE(question.class, 2);
  return Buffer.concat([head, encodeName(question.name), tail]);
}

function encodeName(name: string): Buffer {
  const bytes: number[] = [];
  let label: number[] = [];
  const finish = () => {
    if (label.length === 0) throw new DnsMessageError(`${JSON.stringify(name)} has an empty part between its dots`);
    if (label.length > LONGEST_LABEL) {
      throw new DnsMessageError(`${JSON.stringify(name)} has a part of more than ${LONGEST_LABEL} characters`);
    }
    bytes.push(label.length, ...label);
    label = [];
  };
  for (const [, number, escaped, plain] of name.matchAll(/\\(\d{3})|\\(.)|(.)/gsu)) {
    if (number !== undefined) label.push(Number(number) & 0xff);
    else if (plain !== ".") label.push(...Buffer.from((escaped ?? plain)!, "utf8"));
    else if (name !== ".") finish();
  }
  if (label.length > 0) finish();
  bytes.push(0);
  if (bytes.length > LONGEST_NAME) throw new DnsMessageError(`${JSON.stringify(name)} is longer than DNS allows`);
  return Buffer.from(bytes);
}

/** Reads an answer. Throws a DnsMessageError for what is damaged. */
export function decodeAnswer(bytes: Uint8Array): DnsAnswer {
  const reader = new DnsReader(bytes);
  const id = reader.uint16();
  const flags = reader.uint16();
  const [questions, ...counts] = [reader.uint16(), reader.uint16(), reader.uint16(), reader.uint16()];
  for (let i = 0; i < questions!; i++) {
    reader.name();
    reader.take(4);
  }
  const [answer, authority, additional] = counts.map((count) =>
    Array.from({ length: count }, () => readRecord(reader)),
  );
  return {
    id,
    isResponse: (flags & 0x8000) !== 0,
    code: flags & 0xf,
    answer: answer!,
    authority: authority!,
    additional: additional!,
  };
}

function readRecord(reader: DnsReader): DnsRecord {
  const name = reader.name();
  const type = reader.uint16();
  const recordClass = reader.uint16();
  const ttl = reader.uint32();
  const length = reader.uint16();
  const data = reader.part(length);
  const text = [name, ttl, dnsClassName(recordClass, type), dnsTypeName(type), formatRecordData(type, data)].join("\t");
  return { type, text, serial: type === SOA && length >= 20 ? data.serial() : undefined };
}

/** Reads from a message, whose names may point back to earlier ones. */
export class DnsReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }
  uint8(): number {
    return this.take(1)[0]!;
  }
  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }
  uint32(): number {
    return this.uint16() * 65_536 + this.uint16();
  }
  take(length: number): Uint8Array {
    if (length > this.left) throw new DnsMessageError("the answer ends too early");
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
  rest(): Uint8Array {
    return this.take(this.left);
  }
  /** A string with its length before it. */
  string(): Uint8Array {
    return this.take(this.uint8());
  }
  /** The next bytes as a reader of their own, from which names may still point back. */
  part(length: number): DnsReader {
    const start = this.#at;
    this.take(length);
    return new DnsReader(this.#bytes, start, start + length);
  }
  /** The serial number at the end of a SOA record. */
  serial(): number {
    return new DnsReader(this.#bytes, this.#end - 20, this.#end).uint32();
  }

  /** A name in the form of zone files, with the dot at its end. */
  name(): string {
    let text = "";
    let length = 0;
    let at = this.#at;
    let end = this.#end;
    let returnTo: number | undefined;
    for (let jumps = 0; ; ) {
      const size = this.#byte(at++, end);
      if (size === 0) break;
      if (size >= 0xc0) {
        const to = (size & 0x3f) * 256 + this.#byte(at++, end);
        returnTo ??= at;
        // Names point back only, so that none of them goes on forever.
        if (to >= at - 2 || ++jumps > LONGEST_NAME) throw new DnsMessageError("a name points forward");
        at = to;
        end = this.#bytes.length;
        continue;
      }
      if (size > LONGEST_LABEL) throw new DnsMessageError("a name has a part of an unknown kind");
      length += size + 1;
      if (length >= LONGEST_NAME) throw new DnsMessageError("a name is longer than DNS allows");
      for (let i = 0; i < size; i++) text += nameCharacter(this.#byte(at++, end));
      text += ".";
    }
    this.#at = returnTo ?? at;
    return text === "" ? "." : text;
  }

  #byte(at: number, end: number): number {
    if (at >= end) throw new DnsMessageError("the answer ends within a name");
    return this.#bytes[at]!;
  }
}

function nameCharacter(byte: number): string {
  if (byte < 0x20 || byte > 0x7e) return `\\${String(byte).padStart(3, "0")}`;
  const character = String.fromCharCode(byte);
  return ".'@;()\"\\ ".includes(character) ? `\\${character}` : character;
}
