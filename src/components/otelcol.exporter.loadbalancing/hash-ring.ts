import { crc32 } from "node:zlib";

const POSITIONS = 131_071;
/** Places of each endpoint on the ring, and how far one moves on when its own is taken. */
const WEIGHT = 200;
const PROBES = 10;

/**
 * Who is responsible for which key. Matches `hashRing` in exporter/loadbalancingexporter/consistent_hashing.go of the
 * Collector position by position, so that agents and Collectors side by side send the same trace to the same place.
 */
export class HashRing {
  readonly endpoints: readonly string[];
  /** The endpoint's number for each position. */
  readonly #owner: Int32Array | undefined;
  /** How many places are taken. */
  readonly size: number;

  /** The order of the endpoints does not matter, but that one is there twice does, as in the Collector. */
  constructor(endpoints: readonly string[]) {
    this.endpoints = endpoints;
    const candidates: { readonly position: number; readonly hash: number; readonly endpoint: number }[] = [];
    for (const [endpoint, name] of endpoints.entries()) {
      const bytes = Buffer.from(`${name}....`);
      for (let i = 0; i < WEIGHT; i++) {
        bytes.writeUInt32LE(i, bytes.length - 4);
        const hash = crc32(bytes);
        candidates.push({ position: hash % POSITIONS, hash, endpoint });
      }
    }
    const names = endpoints.map((name) => Buffer.from(name));
    candidates.sort(
      (a, b) => a.position - b.position || a.hash - b.hash || names[a.endpoint]!.compare(names[b.endpoint]!),
    );
    const taken = new Int32Array(POSITIONS).fill(-1);
    let size = 0;
    for (const { position, endpoint } of candidates) {
      let at = position;
      let probes = 0;
      while (taken[at] !== -1 && probes < PROBES) {
        at = (at + 1) % POSITIONS;
        probes += 1;
      }
      if (probes >= PROBES) continue;
      taken[at] = endpoint;
      size += 1;
    }
    this.size = size;
    if (size === 0) return;
    let next = taken[taken.findIndex((endpoint) => endpoint !== -1)]!;
    for (let at = POSITIONS - 1; at >= 0; at--) {
      if (taken[at] === -1) taken[at] = next;
      else next = taken[at]!;
    }
    this.#owner = taken;
  }

  /** The number of the endpoint for a key with this CRC-32; −1 when there are none. */
  find(hash: number): number {
    return this.#owner === undefined ? -1 : this.#owner[hash % POSITIONS]!;
  }
}

const TABLE = new Int32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** The CRC-32 of `bytes[start, end)`: for keys of a few bytes, faster than a view and a call of zlib's. */
export function crc32Range(bytes: Uint8Array, start: number, end: number): number {
  let value = -1;
  for (let i = start; i < end; i++) value = TABLE[(value ^ bytes[i]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}
