/** DER of ASN.1, as far as certificates need it to be read. */

export interface DerElement {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** The elements that stand one after the other. Throws a RangeError for what is damaged. */
export function readDer(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = byteAt(bytes, at);
    let length = byteAt(bytes, at + 1);
    at += 2;
    if (length >= 0x80) {
      const size = length & 0x7f;
      if (size === 0 || size > 4) throw new RangeError("a length that DER does not have");
      length = 0;
      for (let i = 0; i < size; i++) length = length * 256 + byteAt(bytes, at + i);
      at += size;
    }
    if (at + length > bytes.length) throw new RangeError("an element is longer than what holds it");
    elements.push({ tag, body: bytes.subarray(at, at + length) });
    at += length;
  }
  return elements;
}

/** An object identifier: `2.5.4.3`. */
export function readObjectId(bytes: Uint8Array): string {
  const parts: bigint[] = [];
  let value = 0n;
  for (const byte of bytes) {
    value = value * 128n + BigInt(byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    if (parts.length > 0) parts.push(value);
    else {
      const first = value < 80n ? value / 40n : 2n;
      parts.push(first, value - first * 40n);
    }
    value = 0n;
  }
  return parts.join(".");
}

/** The text of a string of any of its types; undefined for what is no string. */
export function readDerText({ tag, body }: DerElement): string | undefined {
  const buffer = Buffer.from(body);
  switch (tag) {
    case 0x0c: // UTF8String
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x16: // IA5String
      return buffer.toString("utf8");
    case 0x14: // T61String
      return buffer.toString("latin1");
    case 0x1e: // BMPString
      return buffer
        .subarray(0, buffer.length & ~1)
        .swap16()
        .toString("utf16le");
    default:
      return undefined;
  }
}

/** One element. */
export function writeDer(tag: number, body: Uint8Array): Uint8Array {
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Uint8Array.from([tag, ...size, ...body]);
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new RangeError("an element ends too early");
  return byte;
}
