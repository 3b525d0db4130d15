/**
 * The wire format of D-Bus, little-endian: values by signature, and messages. Of the specification's types, all but file
 * descriptors; 64-bit integers become the nearest double.
 */

/** Strings, numbers and booleans; arrays and structs are arrays, dictionaries arrays of pairs, variants their value. */
export type DbusValue = string | number | boolean | readonly DbusValue[];

export const CALL = 1;
export const REPLY = 2;
export const ERROR = 3;

export interface DbusMessage {
  readonly type: number;
  readonly serial: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly destination?: string;
  readonly signature?: string;
  readonly body: readonly DbusValue[];
}

/** Header fields by their code, with their type. */
const HEADER_FIELDS = [
  [1, "path", "o"],
  [2, "interface", "s"],
  [3, "member", "s"],
  [4, "errorName", "s"],
  [5, "replySerial", "u"],
  [6, "destination", "s"],
  [8, "signature", "g"],
] as const;

const FIXED_HEADER_BYTES = 16;
/** Larger messages are refused; the specification allows 128 MiB. */
const MAX_MESSAGE_BYTES = 32 * 1024 * 1024;

/** The bytes of the message at the start of `buffer`, once all of its header's first part is there; undefined before. */
export function messageLength(buffer: Buffer): number | undefined {
  if (buffer.length < FIXED_HEADER_BYTES) return undefined;
  if (buffer[0] !== 0x6c) throw new Error("the bus sent a message that is not little-endian");
  const length = align(FIXED_HEADER_BYTES + buffer.readUInt32LE(12), 8) + buffer.readUInt32LE(4);
  if (length > MAX_MESSAGE_BYTES) throw new Error(`the bus sent a message of ${length} bytes`);
  return length;
}

/** Throws a RangeError for a damaged message. */
export function decodeMessage(buffer: Buffer): DbusMessage {
  const reader = new Reader(buffer);
  reader.at = 12;
  const fields = reader.value("a(yv)") as [number, DbusValue][];
  const message: Record<string, DbusValue> = {};
  for (const [code, name] of HEADER_FIELDS) {
    const field = fields.find(([each]) => each === code);
    if (field !== undefined) message[name] = field[1];
  }
  reader.align(8);
  const body = splitSignature(String(message.signature ?? "")).map((type) => reader.value(type));
  return { ...message, type: buffer[1]!, serial: buffer.readUInt32LE(8), body };
}

export function encodeMessage(message: DbusMessage): Buffer {
  const body = new Writer();
  const types = splitSignature(message.signature ?? "");
  for (const [i, type] of types.entries()) body.value(type, message.body[i]!);
  const header = new Writer();
  header.bytes.push(0x6c, message.type, 0, 1);
  header.value("u", body.bytes.length);
  header.value("u", message.serial);
  const fields: DbusValue[] = [];
  for (const [code, name, type] of HEADER_FIELDS) {
    const value = message[name];
    if (value !== undefined && value !== "") fields.push([code, [type, value]]);
  }
  header.value("a(yv)", fields);
  header.align(8);
  return Buffer.from([...header.bytes, ...body.bytes]);
}

function align(at: number, to: number): number {
  return Math.ceil(at / to) * to;
}

const ALIGNMENT: Readonly<Record<string, number>> = {
  ...{ y: 1, b: 4, n: 2, q: 2, i: 4, u: 4, x: 8, t: 8, d: 8, s: 4, o: 4, g: 1, v: 1, a: 4, "(": 8, "{": 8 },
};

function alignmentOf(type: string): number {
  const alignment = ALIGNMENT[type[0] ?? ""];
  if (alignment === undefined) throw new RangeError(`unknown type in the signature: ${JSON.stringify(type)}`);
  return alignment;
}

/** `"sa{sv}u"` → `["s", "a{sv}", "u"]`. */
export function splitSignature(signature: string): string[] {
  const types: string[] = [];
  let at = 0;
  while (at < signature.length) {
    const end = endOfType(signature, at);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, start: number): number {
  let at = start;
  while (signature[at] === "a") at++;
  const open = signature[at];
  if (open === undefined) throw new RangeError(`the signature ${JSON.stringify(signature)} ends early`);
  if (open !== "(" && open !== "{") return at + 1;
  for (let depth = 0; at < signature.length; at++) {
    if ("({".includes(signature[at]!)) depth++;
    else if (")}".includes(signature[at]!)) depth--;
    if (depth === 0) return at + 1;
  }
  throw new RangeError(`the signature ${JSON.stringify(signature)} ends early`);
}

class Reader {
  at = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  align(to: number): void {
    this.at = align(this.at, to);
  }

  value(type: string): DbusValue {
    this.align(alignmentOf(type));
    switch (type[0]) {
      case "y":
        return this.#take(1).readUInt8(0);
      case "b":
        return this.#take(4).readUInt32LE(0) !== 0;
      case "n":
        return this.#take(2).readInt16LE(0);
      case "q":
        return this.#take(2).readUInt16LE(0);
      case "i":
        return this.#take(4).readInt32LE(0);
      case "u":
        return this.#take(4).readUInt32LE(0);
      case "x":
        return Number(this.#take(8).readBigInt64LE(0));
      case "t":
        return Number(this.#take(8).readBigUInt64LE(0));
      case "d":
        return this.#take(8).readDoubleLE(0);
      case "s":
      case "o":
        return this.#text(this.#take(4).readUInt32LE(0));
      case "g":
        return this.#text(this.#take(1).readUInt8(0));
      case "v":
        return this.value(this.value("g") as string);
      case "a":
        return this.#array(type.slice(1));
      default:
        return splitSignature(type.slice(1, -1)).map((each) => this.value(each));
    }
  }

  #array(element: string): DbusValue[] {
    const length = this.#take(4).readUInt32LE(0);
    this.align(alignmentOf(element));
    const end = this.at + length;
    const values: DbusValue[] = [];
    while (this.at < end) {
      const before = this.at;
      values.push(this.value(element));
      if (this.at === before) throw new RangeError("an array of nothing has a length");
    }
    return values;
  }

  #text(length: number): string {
    return this.#take(length + 1).toString("utf8", 0, length);
  }

  #take(length: number): Buffer {
    if (this.at + length > this.#buffer.length) throw new RangeError("a message of the bus ends early");
    this.at += length;
    return this.#buffer.subarray(this.at - length, this.at);
  }
}

class Writer {
  readonly bytes: number[] = [];

  align(to: number): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
  }

  /** A variant is written from a pair of its signature and its value. */
  value(type: string, value: DbusValue): void {
    this.align(alignmentOf(type));
    switch (type[0]) {
      case "y":
        this.bytes.push(Number(value));
        break;
      case "n":
      case "q":
        this.#integer(BigInt(value as number), 2);
        break;
      case "b":
      case "i":
      case "u":
        this.#integer(BigInt(Number(value)), 4);
        break;
      case "x":
      case "t":
        this.#integer(BigInt(value as number), 8);
        break;
      case "d": {
        const buffer = Buffer.alloc(8);
        buffer.writeDoubleLE(value as number);
        this.bytes.push(...buffer);
        break;
      }
      case "s":
      case "o":
        this.#integer(BigInt(Buffer.byteLength(value as string)), 4);
        this.bytes.push(...Buffer.from(value as string), 0);
        break;
      case "g":
        this.bytes.push((value as string).length, ...Buffer.from(value as string), 0);
        break;
      case "v": {
        const [signature, inner] = value as [string, DbusValue];
        this.value("g", signature);
        this.value(signature, inner);
        break;
      }
      case "a":
        this.#array(type.slice(1), value as readonly DbusValue[]);
        break;
      default:
        for (const [i, each] of splitSignature(type.slice(1, -1)).entries()) {
          this.value(each, (value as readonly DbusValue[])[i]!);
        }
    }
  }

  #array(element: string, values: readonly DbusValue[]): void {
    const lengthAt = this.bytes.length;
    this.bytes.push(0, 0, 0, 0);
    this.align(alignmentOf(element));
    const start = this.bytes.length;
    for (const each of values) this.value(element, each);
    const length = this.bytes.length - start;
    for (let i = 0; i < 4; i++) this.bytes[lengthAt + i] = (length >>> (8 * i)) & 0xff;
  }

  #integer(value: bigint, size: number): void {
    for (let i = 0; i < size; i++) this.bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
  }
}
