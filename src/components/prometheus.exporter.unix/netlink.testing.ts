import { type Netlink, writeAttribute } from "./netlink.ts";

/** Answers to the requests of collectors, by the type and the first byte of each request. */
export class FakeNetlink implements Netlink {
  readonly #answers: (type: number, body: Buffer) => readonly Buffer[] | Error;
  closed = 0;

  constructor(answers: (type: number, body: Buffer) => readonly Buffer[] | Error) {
    this.#answers = answers;
  }

  async dump(type: number, body: Buffer): Promise<Buffer[]> {
    const answer = this.#answers(type, body);
    if (answer instanceof Error) throw answer;
    return [...answer];
  }

  get(type: number, body: Buffer): Buffer {
    const answer = this.#answers(type, body);
    if (answer instanceof Error) throw answer;
    return answer[0]!;
  }

  [Symbol.dispose](): void {
    this.closed++;
  }
}

/** A message: a header of numbers, `[offset, bytes, value]` each, and attributes. */
export function message(
  headerBytes: number,
  fields: readonly (readonly [offset: number, bytes: 1 | 2 | 4, value: number])[],
  ...attributes: readonly Buffer[]
): Buffer {
  const header = Buffer.alloc(headerBytes);
  for (const [offset, bytes, value] of fields) header.writeUIntLE(value, offset, bytes);
  return Buffer.concat([header, ...attributes]);
}

export function text(type: number, value: string): Buffer {
  return writeAttribute(type, Buffer.from(`${value}\0`));
}

export function number(type: number, value: number, bytes: 1 | 2 | 4 | 8 = 4): Buffer {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 8) buffer.writeBigUInt64LE(BigInt(value));
  else buffer.writeUIntLE(value, 0, bytes);
  return writeAttribute(type, buffer);
}

export function nested(type: number, ...attributes: readonly Buffer[]): Buffer {
  return writeAttribute(type, Buffer.concat(attributes));
}

/** What the kernel says of network devices: the first has index 1. */
export function links(...names: readonly string[]): Buffer[] {
  return names.map((name, i) => message(16, [[4, 4, i + 1]], text(3, name)));
}
