import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { OttlError } from "./value.ts";

/** Addresses as bytes, networks, and the Community ID of a connection. */

/** The bytes of an address: 4, also for an IPv4 address in IPv6's form, or 16; undefined for what is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  const version = isIP(text);
  if (version === 4) return Uint8Array.from(text.split("."), Number);
  // Go takes no zone.
  if (version !== 6 || text.includes("%")) return undefined;
  const words = ipv6Words(text);
  const isMapped = words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff;
  const bytes = Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
  return isMapped ? bytes.slice(12) : bytes;
}

function ipv6Words(text: string): number[] {
  const plain = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const word = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16);
    return `${word(a, b)}:${word(c, d)}`;
  });
  const [head = "", tail] = plain.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":").map((each) => Number.parseInt(each, 16)));
  const front = words(head);
  if (tail === undefined) return front;
  const back = words(tail);
  return [...front, ...new Array(8 - front.length - back.length).fill(0), ...back];
}

/** Whether a network, such as `10.0.0.0/8`, contains an address. Throws OttlError for a text that is no network. */
export function parseNetwork(text: string): (address: Uint8Array) => boolean {
  const slash = text.lastIndexOf("/");
  const base = slash < 0 ? undefined : parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  const isWide = text.slice(0, slash).includes(":");
  // The bits of an IPv4 address in IPv6's form count from the front of the long form.
  const shift = isWide && base?.length === 4 ? 96 : 0;
  const bits = Number(digits) - shift;
  if (base === undefined || !/^[0-9]{1,3}$/.test(digits) || bits < 0 || bits > base.length * 8) {
    throw OttlError.of(`${JSON.stringify(text)} is no network; write it as 10.0.0.0/8`);
  }
  return (address) => {
    if (address.length !== base.length) return false;
    for (let i = 0, left = bits; left > 0; i++, left -= 8) {
      const mask = left >= 8 ? 0xff : (0xff << (8 - left)) & 0xff;
      if (((address[i]! ^ base[i]!) & mask) !== 0) return false;
    }
    return true;
  };
}

interface Endpoint {
  readonly address: Uint8Array;
  readonly port: number;
}

/** The Community ID, version 1, which is the same for both directions of a connection. */
export function communityId(source: Endpoint, target: Endpoint, protocol: number, seed: number): string {
  const [first, second] = comesAfter(source, target) ? [target, source] : [source, target];
  const word = (value: number) => Uint8Array.of(value >> 8, value & 0xff);
  const tuple = Buffer.concat([
    word(seed),
    first.address,
    second.address,
    Uint8Array.of(protocol, 0),
    word(first.port),
    word(second.port),
  ]);
  return `1:${createHash("sha1").update(tuple).digest("base64")}`;
}

function comesAfter(a: Endpoint, b: Endpoint): boolean {
  if (a.address.length !== b.address.length) return a.address.length > b.address.length;
  const order = Buffer.compare(a.address, b.address);
  return order > 0 || (order === 0 && a.port > b.port);
}
