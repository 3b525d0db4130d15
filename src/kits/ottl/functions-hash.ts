import { createHash, randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { fnv1a64, murmur3, murmur3x128, xxh3, xxh128 } from "#formats/hashes";
import { communityId, parseAddress, parseNetwork } from "./network.ts";
import * as p from "./parameters.ts";
import { define, listOf, type OttlFunction, optional } from "./parameters.ts";
import { keep } from "./regex.ts";
import { OttlError, type OttlValue } from "./value.ts";

/** Hashes, ids and addresses. Matches pkg/ottl/ottlfuncs. */

function ofText(name: string, compute: (text: string) => OttlValue): OttlFunction {
  return define(
    name,
    { target: p.text },
    ({ target }) =>
      (c) =>
        compute(target.get(c)),
  );
}
function digest(name: string, algorithm: string): OttlFunction {
  return ofText(name, (text) => createHash(algorithm).update(text).digest("hex"));
}
function hexOf(value: bigint, bytes: number): string {
  return value.toString(16).padStart(bytes * 2, "0");
}

/** A UUID of version 7: milliseconds since 1970, the rest at random. */
function uuidV7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  const random = randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}

const isInCidr = define("IsInCIDR", { target: p.text, networks: listOf(p.text) }, ({ target, networks }) => {
  const contains = networks.map((each) => keep(each, parseNetwork));
  return (c) => {
    const text = target.get(c);
    const address = isIP(text) === 0 ? undefined : parseAddress(text);
    if (address === undefined) return false;
    return contains.some((each) => each(c)(address));
  };
});

const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ["ICMP", 1],
  ["TCP", 6],
  ["UDP", 17],
  ["RSVP", 46],
  ["ICMP6", 58],
  ["SCTP", 132],
]);

function port(value: bigint, what: string): number {
  if (value < 0n || value > 65_535n) throw OttlError.of(`the ${what} ${value} is not between 0 and 65535`);
  return Number(value);
}
function address(text: string, what: string): Uint8Array {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw OttlError.of(`the ${what} address ${JSON.stringify(text)} is none`);
  return parsed;
}

const community = define(
  "CommunityID",
  {
    source_i_p: p.text,
    source_port: p.int,
    destination_i_p: p.text,
    destination_port: p.int,
    protocol: optional(p.text),
    seed: optional(p.int),
  },
  (given) => (c) => {
    const name = given.protocol?.get(c) ?? "TCP";
    const source = {
      address: address(given.source_i_p.get(c), "source"),
      port: port(given.source_port.get(c), "source port"),
    };
    const target = {
      address: address(given.destination_i_p.get(c), "destination"),
      port: port(given.destination_port.get(c), "destination port"),
    };
    const protocol = PROTOCOLS.get(name);
    if (protocol === undefined) throw OttlError.of(`unsupported protocol ${JSON.stringify(name)}`);
    return communityId(source, target, protocol, port(given.seed?.get(c) ?? 0n, "seed"));
  },
);

export const hashConverters: readonly OttlFunction[] = [
  digest("MD5", "md5"),
  digest("SHA1", "sha1"),
  digest("SHA256", "sha256"),
  digest("SHA512", "sha512"),
  ofText("FNV", (text) => BigInt.asIntN(64, fnv1a64(Buffer.from(text)))),
  ofText("Murmur3Hash", (text) => murmur3(Buffer.from(text))),
  ofText("Murmur3Hash128", (text) => murmur3x128(Buffer.from(text))),
  ofText("XXH3", (text) => hexOf(xxh3(Buffer.from(text)), 8)),
  ofText("XXH128", (text) => hexOf(xxh128(Buffer.from(text)), 16)),
  define("UUID", {}, () => () => randomUUID()),
  define("UUIDv7", {}, () => uuidV7),
  isInCidr,
  community,
];
