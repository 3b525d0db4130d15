import { getSystemErrorName } from "node:util";
import { openCLibrary } from "#kits/c-library";
import { ProbeFailure } from "./probe.ts";

/**
 * Sockets for ICMP, which Node has none of: the C library makes them. Linux on 64 bits only. Nothing waits in a call;
 * whoever expects a packet looks for it now and then, and the kernel says when it came.
 */

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_SOCKET = 1;
const SO_TIMESTAMPNS = 35;
const SOL_IP = 0;
const IP_TTL = 2;
const IP_MTU_DISCOVER = 10;
const IP_RECVTTL = 12;
/** Sets the bit against fragments, whatever is known about the path. */
const IP_PMTUDISC_PROBE = 3;
const SOL_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const CLOCK_REALTIME = 0;
const MSG_DONTWAIT = 0x40;
const ECHO_REPLY = 0;
const ECHO_REPLY_6 = 129;
/** The headers before a message, and what the kernel tells beside it. */
const HEADER_ROOM = 128;
const CONTROL_BYTES = 256;

const FUNCTIONS = {
  socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
  bind: { arguments: ["int32", "buffer", "int32"], return: "int32" },
  setsockopt: { arguments: ["int32", "int32", "int32", "buffer", "int32"], return: "int32" },
  sendto: { arguments: ["int32", "buffer", "uint64", "int32", "buffer", "int32"], return: "int64" },
  recvmsg: { arguments: ["int32", "buffer", "int32"], return: "int64" },
  close: { arguments: ["int32"], return: "int32" },
  clock_gettime: { arguments: ["int32", "buffer"], return: "int32" },
  __errno_location: { arguments: [], return: "pointer" },
} as const;

type Calls = NonNullable<ReturnType<typeof openCLibrary<typeof FUNCTIONS>>>;
let calls: Calls | undefined;

function library(): Calls {
  calls ??= process.platform === "linux" ? openCLibrary(FUNCTIONS) : undefined;
  if (calls !== undefined) return calls;
  throw new ProbeFailure("ICMP needs Linux with glibc or musl and Node 26 or newer: this agent cannot send it");
}

/** A packet that came. */
export interface Received {
  /** The ICMP message, without the header of IPv4. */
  readonly message: Buffer;
  readonly from: Uint8Array;
  /** How many hops were left; undefined if the kernel did not say. */
  readonly hopLimit: number | undefined;
  /** When it came: nanoseconds of the system's clock. */
  readonly time: bigint;
}

export interface IcmpSocketOptions {
  readonly family: 4 | 6;
  /** Bytes of the address to send from. */
  readonly source: Uint8Array | undefined;
  /** 0 for the system's own. */
  readonly ttl: number;
  readonly dontFragment: boolean;
  /** The longest message that is expected. */
  readonly messageBytes: number;
}

/** A socket of one probe. Its owner disposes of it. */
export class IcmpSocket implements Disposable {
  /** With such a socket the kernel chooses the identifier and sees to checksums, and hands over own answers only. */
  readonly isUnprivileged: boolean;
  readonly #calls: Calls;
  readonly #family: 4 | 6;
  readonly #descriptor: number;
  readonly #data: Buffer;
  readonly #control = Buffer.alloc(CONTROL_BYTES);
  readonly #from = Buffer.alloc(28);
  readonly #vector = Buffer.alloc(16);
  readonly #header = Buffer.alloc(56);

  /** Throws a ProbeFailure that says what right is missing. */
  constructor({ family, source, ttl, dontFragment, messageBytes }: IcmpSocketOptions) {
    this.#calls = library();
    this.#family = family;
    this.#data = Buffer.alloc(messageBytes + HEADER_ROOM);
    const protocol = family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    const domain = family === 4 ? AF_INET : AF_INET6;
    // Allowed without a privilege to the groups in net.ipv4.ping_group_range.
    let descriptor = this.#calls.socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, protocol);
    this.isUnprivileged = descriptor >= 0;
    if (descriptor < 0) descriptor = this.#calls.socket(domain, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (descriptor < 0) throw new ProbeFailure(socketProblem(this.#error(), family));
    this.#descriptor = descriptor;
    try {
      if (source !== undefined && this.#calls.bind(descriptor, this.#address(source), this.#addressBytes) !== 0) {
        throw new ProbeFailure(`source_ip_address cannot be used: ${this.#error()}; is it an address of this machine?`);
      }
      this.#option(SOL_SOCKET, SO_TIMESTAMPNS, 1);
      if (family === 4) this.#option(SOL_IP, IP_RECVTTL, 1);
      else this.#option(SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
      if (ttl > 0 && family === 4) this.#option(SOL_IP, IP_TTL, ttl);
      if (ttl > 0 && family === 6) this.#option(SOL_IPV6, IPV6_UNICAST_HOPS, ttl);
      if (dontFragment && family === 4) this.#option(SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
      if (!this.isUnprivileged) this.#filter();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Nanoseconds of the system's clock. */
  now(): bigint {
    const time = Buffer.alloc(16);
    this.#calls.clock_gettime(CLOCK_REALTIME, time);
    return time.readBigInt64LE(0) * 1_000_000_000n + time.readBigInt64LE(8);
  }

  /** Throws a ProbeFailure. */
  send(message: Buffer, to: Uint8Array, scope: number): void {
    const address = this.#address(to, scope);
    const sent = this.#calls.sendto(this.#descriptor, message, BigInt(message.length), 0, address, this.#addressBytes);
    if (sent < 0n) throw new ProbeFailure(sendProblem(this.#error()));
  }

  /** The next packet if there is one. */
  receive(): Received | undefined {
    const { getRawPointer } = process.getBuiltinModule("node:ffi")!;
    const [data, vector, header] = [this.#data, this.#vector, this.#header];
    vector.writeBigUInt64LE(getRawPointer(data), 0);
    vector.writeBigUInt64LE(BigInt(data.length), 8);
    header.fill(0);
    header.writeBigUInt64LE(getRawPointer(this.#from), 0);
    header.writeUInt32LE(this.#from.length, 8);
    header.writeBigUInt64LE(getRawPointer(vector), 16);
    header.writeBigUInt64LE(1n, 24);
    header.writeBigUInt64LE(getRawPointer(this.#control), 32);
    header.writeBigUInt64LE(BigInt(this.#control.length), 40);
    const length = Number(this.#calls.recvmsg(this.#descriptor, header, MSG_DONTWAIT));
    if (length < 0) return undefined;
    // Raw sockets of IPv4 hand over its header too; its length is in words.
    const start = this.#family === 4 && !this.isUnprivileged ? (data[0]! & 0x0f) * 4 : 0;
    const { hopLimit, time } = this.#readControl(Number(header.readBigUInt64LE(40)));
    return {
      message: Buffer.from(data.subarray(start, length)),
      from: this.#family === 4 ? this.#from.subarray(4, 8) : this.#from.subarray(8, 24),
      hopLimit,
      time: time ?? this.now(),
    };
  }

  [Symbol.dispose](): void {
    this.#calls.close(this.#descriptor);
  }

  get #addressBytes(): number {
    return this.#family === 4 ? 16 : 28;
  }

  /** A `sockaddr`. `scope` is the index of the interface of a link-local address. */
  #address(bytes: Uint8Array, scope = 0): Buffer {
    const address = Buffer.alloc(this.#addressBytes);
    address.writeUInt16LE(this.#family === 4 ? AF_INET : AF_INET6, 0);
    address.set(bytes, this.#family === 4 ? 4 : 8);
    if (this.#family === 6) address.writeUInt32LE(scope, 24);
    return address;
  }

  #option(level: number, option: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    if (this.#calls.setsockopt(this.#descriptor, level, option, bytes, bytes.length) === 0) return;
    throw new ProbeFailure(`the socket for ICMP cannot be set up: ${this.#error()}`);
  }

  /** Keeps all but answers away from a raw socket, which would see every ICMP message of the machine. */
  #filter(): void {
    const is4 = this.#family === 4;
    const mask = Buffer.alloc(is4 ? 4 : 32, 0xff);
    const type = is4 ? ECHO_REPLY : ECHO_REPLY_6;
    const word = (type >> 5) * 4;
    mask.writeUInt32LE((mask.readUInt32LE(word) & ~(1 << (type & 31))) >>> 0, word);
    this.#calls.setsockopt(this.#descriptor, is4 ? SOL_RAW : IPPROTO_ICMPV6, ICMP_FILTER, mask, mask.length);
  }

  #readControl(length: number): { readonly hopLimit: number | undefined; readonly time: bigint | undefined } {
    const control = this.#control;
    let hopLimit: number | undefined;
    let time: bigint | undefined;
    for (let at = 0; at + 16 <= length; ) {
      const size = Number(control.readBigUInt64LE(at));
      if (size < 16 || at + size > length) break;
      const level = control.readInt32LE(at + 8);
      const type = control.readInt32LE(at + 12);
      if ((level === SOL_IP && type === IP_TTL) || (level === SOL_IPV6 && type === IPV6_HOPLIMIT)) {
        hopLimit = control.readInt32LE(at + 16);
      } else if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
        time = control.readBigInt64LE(at + 16) * 1_000_000_000n + control.readBigInt64LE(at + 24);
      }
      at += (size + 7) & ~7;
    }
    return { hopLimit, time };
  }

  /** The name of the last call's error. */
  #error(): string {
    const location = this.#calls.__errno_location();
    return getSystemErrorName(-process.getBuiltinModule("node:ffi")!.getInt32(location));
  }
}

function socketProblem(code: string, family: 4 | 6): string {
  if (code === "EPERM" || code === "EACCES") {
    return "the agent may not send ICMP: give it the capability CAP_NET_RAW, or its group a place in the sysctl net.ipv4.ping_group_range";
  }
  if (code === "EAFNOSUPPORT") return `this machine has no IPv${family}`;
  return `the system gives no socket for ICMP (${code})`;
}

function sendProblem(code: string): string {
  if (code === "ENETUNREACH" || code === "EHOSTUNREACH") return `there is no network route to the target (${code})`;
  if (code === "EMSGSIZE")
    return "the packet is too large for the network, and dont_fragment is set: lower payload_size";
  if (code === "EACCES" || code === "EPERM")
    return `a firewall of this machine, or a broadcast address, forbids the packet (${code})`;
  return `the packet cannot be sent (${code})`;
}
