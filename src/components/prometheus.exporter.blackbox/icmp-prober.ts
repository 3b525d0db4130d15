import { randomInt } from "node:crypto";
import { networkInterfaces } from "node:os";
import { type Address, chooseAddress, parseIp, sourceOf } from "./address.ts";
import { IcmpSocket, type Received } from "./icmp-socket.ts";
import { icmp as metrics } from "./metrics.ts";
import type { IcmpProbe } from "./modules.ts";
import { type Probe, ProbeFailure, secondsSince } from "./probe.ts";

/** `ProbeICMP` of prober/icmp.go. */

const PAYLOAD = "Prometheus Blackbox Exporter";
const HEADER_BYTES = 8;
const ECHO_REQUEST = { 4: 8, 6: 128 } as const;
const ECHO_REPLY = { 4: 0, 6: 129 } as const;

// In a container the process number says nothing; agents started at once begin at different places.
const identifier = process.pid === 1 ? randomInt(65_536) : process.pid & 0xffff;
let sequence = randomInt(65_536);

export async function probeIcmp(probe: Probe): Promise<void> {
  const { metrics: gauges, target, log } = probe;
  const config = probe.module.icmp;
  for (const phase of ["resolve", "rtt", "setup"]) gauges.add(metrics.duration, 0, phase);
  const address = await chooseAddress(probe, target.replace(/^\[(.*)\]$/, "$1"), config.ip);
  gauges.add(metrics.duration, address.lookupSeconds, "resolve");
  const setup = performance.now();
  const payload = Buffer.alloc(config.payloadSize || PAYLOAD.length);
  payload.write(PAYLOAD);
  using socket = open(config, address, payload.length);
  sequence = (sequence + 1) & 0xffff;
  const request = { family: address.family, sequence, identifier, payload };
  const message = encodeEcho(ECHO_REQUEST[address.family], request);
  gauges.add(metrics.duration, secondsSince(setup), "setup");

  log.note("Writing out packet", { seq: sequence, id: identifier });
  const start = performance.now();
  const sent = socket.now();
  socket.send(message, address.bytes, scopeOf(address.ip));
  probe.stage = `waiting for the reply of ${target}`;
  const reply = await waitFor(socket, probe.signal, (received) => isReply(received, request, address, socket));
  const elapsed = Number(reply.time - sent) / 1e9;
  // Somebody may have set the clock meanwhile.
  const limit = secondsSince(start);
  gauges.add(metrics.duration, elapsed >= 0 && elapsed <= limit ? elapsed : limit, "rtt");
  if (reply.hopLimit !== undefined) gauges.set(metrics.hopLimit, reply.hopLimit);
  log.note("Found matching reply packet");
}

function open({ sourceAddress, ttl, dontFragment }: IcmpProbe, { family }: Address, bytes: number): IcmpSocket {
  const text = sourceOf(sourceAddress);
  const source = text === undefined ? undefined : parseIp(text);
  if (source !== undefined && source.family !== family) {
    throw new ProbeFailure(`source_ip_address ${text} is of another IP version than the target`);
  }
  const messageBytes = bytes + HEADER_BYTES;
  return new IcmpSocket({ family, source: source?.bytes, ttl, dontFragment, messageBytes });
}

interface Echo {
  readonly family: 4 | 6;
  readonly sequence: number;
  readonly identifier: number;
  readonly payload: Buffer;
}

/** The checksum of IPv6 is the kernel's to fill in. */
export function encodeEcho(type: number, { family, sequence, identifier, payload }: Echo): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + payload.length);
  message[0] = type;
  message.writeUInt16BE(identifier, 4);
  message.writeUInt16BE(sequence, 6);
  payload.copy(message, HEADER_BYTES);
  if (family === 4) message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** The checksum of the Internet protocols (RFC 1071). */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return ~sum & 0xffff;
}

function isReply({ message, from }: Received, echo: Echo, { bytes }: Address, { isUnprivileged }: IcmpSocket): boolean {
  return (
    message.length === HEADER_BYTES + echo.payload.length &&
    message[0] === ECHO_REPLY[echo.family] &&
    message[1] === 0 &&
    (isUnprivileged || message.readUInt16BE(4) === echo.identifier) &&
    message.readUInt16BE(6) === echo.sequence &&
    Buffer.compare(from, bytes) === 0 &&
    message.subarray(HEADER_BYTES).equals(echo.payload)
  );
}

/** Looks for a packet often at first, since most replies come soon, and less often later. */
function waitFor(
  socket: IcmpSocket,
  signal: AbortSignal,
  isWanted: (received: Received) => boolean,
): Promise<Received> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    const look = () => {
      for (let received = socket.receive(); received !== undefined; received = socket.receive()) {
        if (!isWanted(received)) continue;
        signal.removeEventListener("abort", abort);
        return resolve(received);
      }
      const waited = performance.now() - start;
      timer = setTimeout(look, waited < 50 ? 1 : waited < 500 ? 5 : 20);
      return undefined;
    };
    look();
    return undefined;
  });
}

/** The index of the interface that `fe80::1%eth0` names; 0 for none. */
function scopeOf(ip: string): number {
  const [, name] = /%(.+)$/.exec(ip) ?? [];
  if (name === undefined) return 0;
  return networkInterfaces()[name]?.find((each) => each.family === "IPv6")?.scopeid ?? (Number(name) || 0);
}
