/** IP addresses as Go's net.IP reads and writes them. */
import { isIPv4, isIPv6 } from "node:net";

const V4_PREFIX = Buffer.from("00000000000000000000ffff", "hex");

/** An address in the one form that net.IP.String gives it; undefined for what net.ParseIP does not read. */
export function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const bytes = ipBytes(text);
  return bytes === undefined ? undefined : ipText(bytes);
}

/** The 4 or 16 bytes of an address; undefined for what net.ParseIP does not read. */
export function ipBytes(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) return undefined;
  // A dotted end is two groups more.
  const dotted = /[^:]+\.[^:]+$/.exec(text)?.[0];
  const plain = dotted === undefined ? text : `${text.slice(0, -dotted.length)}${hexGroups(dotted)}`;
  const [before, after] = plain.split("::") as [string, string?];
  const left = before === "" ? [] : before.split(":");
  const right = after === undefined || after === "" ? [] : after.split(":");
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function hexGroups(dotted: string): string {
  const hex = ipBytes(dotted)!.toString("hex");
  return `${hex.slice(0, 4)}:${hex.slice(4)}`;
}

/** The text of an address of 4 or 16 bytes; what has another length comes out as net.IP.String shows it. */
export function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return `?${bytes.toString("hex")}`;
  if (bytes.compare(V4_PREFIX, 0, 12, 0, 12) === 0) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  // The first of the longest runs of at least two zeros is left out.
  let from = 0;
  let longest = 1;
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === "0" ? run + 1 : 0;
    if (run > longest) {
      longest = run;
      from = i + 1 - run;
    }
  }
  if (longest < 2) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + longest).join(":")}`;
}
