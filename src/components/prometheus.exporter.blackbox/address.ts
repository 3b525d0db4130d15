import { lookup } from "node:dns/promises";
import { isIPv4, isIPv6 } from "node:net";
import { abortable } from "#base/abortable";
import { fnv1a32 } from "#formats/hashes";
import { address as metrics } from "./metrics.ts";
import type { IpPreference } from "./modules.ts";
import { type Probe, ProbeFailure, secondsSince } from "./probe.ts";

/** An address to probe. */
export interface Address {
  readonly ip: string;
  readonly family: 4 | 6;
  /** Four bytes or sixteen. */
  readonly bytes: Uint8Array;
  /** How long the look-up took. */
  readonly lookupSeconds: number;
}

/**
 * Chooses the address of a host by the preferred protocol, and sets `probe_ip_…` and `probe_dns_lookup_time_seconds`, also
 * if there is none: `chooseProtocol` of prober/utils.go. Rejects with a ProbeFailure. `looked` hears how long it took.
 */
export async function chooseAddress(
  probe: Probe,
  host: string,
  ip: IpPreference,
  looked: (seconds: number) => void = () => {},
): Promise<Address> {
  const { metrics: gauges, log } = probe;
  gauges.register(metrics.protocol, metrics.lookupTime, metrics.hash);
  probe.stage = `looking up ${host}`;
  log.note("Resolving target address", { target: host, ip_protocol: ip.preferred });
  const start = performance.now();
  let found: readonly string[] = [];
  let failure: unknown;
  try {
    found = await abortable(addresses(host), probe.signal);
  } catch (error) {
    probe.signal.throwIfAborted();
    failure = error;
  }
  const lookupSeconds = secondsSince(start);
  gauges.set(metrics.lookupTime, lookupSeconds);
  looked(lookupSeconds);
  if (failure !== undefined) throw new ProbeFailure(lookupProblem(host, failure), { cause: failure });
  const wanted = ip.preferred === "ip4" ? 4 : 6;
  const read = found.map(parseIp).filter((each) => each !== undefined);
  // Of the other family it is the last one, as upstream.
  const chosen = read.find((each) => each.family === wanted) ?? (ip.fallback ? read.at(-1) : undefined);
  if (chosen === undefined) {
    const only = found.length > 0 ? ` (it has ${found.slice(0, 3).join(", ")}); allow ip_protocol_fallback` : "";
    throw new ProbeFailure(`${host} has no address for ${ip.preferred}${only}`);
  }
  gauges.set(metrics.protocol, chosen.family);
  gauges.set(metrics.hash, fnv1a32(chosen.bytes) >>> 0);
  log.note("Resolved target address", { target: host, ip: chosen.ip });
  return { ...chosen, lookupSeconds };
}

async function addresses(host: string): Promise<readonly string[]> {
  if (isIPv4(host) || isIPv6(host)) return [host];
  if (host === "") throw Object.assign(new Error("no host"), { code: "ENOTFOUND" });
  return (await lookup(host, { all: true, order: "verbatim" })).map((each) => each.address);
}

function lookupProblem(host: string, error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (host === "") return "the target names no host";
  if (code === "ENOTFOUND") return `the host ${host} is unknown (DNS has no address for it): check the spelling`;
  if (code === "EAI_AGAIN") return `looking up ${host} failed: the DNS server does not answer`;
  return `looking up ${host} failed: ${message}`;
}

/** The bytes of an address; one of IPv4 written as IPv6 is one of IPv4, as in Go. Undefined for what is none. */
export function parseIp(text: string): Pick<Address, "ip" | "family" | "bytes"> | undefined {
  if (isIPv4(text)) return { ip: text, family: 4, bytes: Uint8Array.from(text.split("."), Number) };
  if (!isIPv6(text)) return undefined;
  const plain = text.replace(/%.*$/, "").replace(/[\d.]+$/, (tail) => {
    if (!tail.includes(".")) return tail;
    const [a, b, c, d] = tail.split(".").map(Number) as [number, number, number, number];
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = "", tail] = plain.split("::");
  const groups = (part: string | undefined) => (part ? part.split(":") : []);
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail)];
  const bytes = Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16)]));
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (!isMapped) return { ip: text, family: 6, bytes };
  return { ip: bytes.subarray(12).join("."), family: 4, bytes: bytes.slice(12) };
}

/** The host and port of `host:port` or `[host]:port`; undefined without a port. As Go's `net.SplitHostPort`. */
export function splitHostPort(text: string): { readonly host: string; readonly port: string } | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:[\]]*)$/.exec(text);
  return match === null ? undefined : { host: match[1] ?? match[2]!, port: match[3]! };
}

/** The address for a socket to come from. Throws a ProbeFailure if it is none. */
export function sourceOf(text: string): string | undefined {
  if (text === "") return undefined;
  if (parseIp(text) === undefined) {
    throw new ProbeFailure(`source_ip_address ${JSON.stringify(text)} is no IP address: write one of this machine's`);
  }
  return text;
}
