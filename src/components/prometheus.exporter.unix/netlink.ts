import { setImmediate } from "node:timers/promises";
import { type Libc, systemError } from "./libc.ts";

/** Protocols of netlink sockets (`linux/netlink.h`). */
export const NETLINK_ROUTE = 0;
export const NETLINK_SOCK_DIAG = 4;
export const NETLINK_GENERIC = 16;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const MSG_TRUNC = 0x20;

const HEADER_BYTES = 16;
const NLM_F_REQUEST = 1;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
/** Marks of an attribute's type: nested, and in network byte order. */
const NLA_TYPE_MASK = 0x3fff;

/** The kernel puts no more than 32 KiB into one answer. */
const RECEIVE_BYTES = 64 * 1024;
/** Answers taken before others get their turn. */
const SLICE = 8;

/** What collectors ask the kernel with; replaced in tests. */
export interface Netlink extends Disposable {
  /** All messages of the answer to one request, without their netlink headers. Rejects with the kernel's error. */
  dump(type: number, body: Buffer): Promise<Buffer[]>;
  /** The one message that a request is answered with. Throws the kernel's error. */
  get(type: number, body: Buffer): Buffer;
}

export type OpenNetlink = (protocol: number) => Netlink;

/** A socket to the kernel. One request at a time. */
export class NetlinkSocket implements Netlink {
  readonly #libc: Libc;
  readonly #socket: number;
  readonly #buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  #sequence = 0;

  constructor(libc: Libc, protocol: number) {
    this.#libc = libc;
    this.#socket = libc.check(libc.functions.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), "netlink socket");
    // The kernel answers while it is asked; this is only so that no defect of it can hold up the agent.
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(1n);
    libc.functions.setsockopt(this.#socket, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
  }

  async dump(type: number, body: Buffer): Promise<Buffer[]> {
    this.#send(type, NLM_F_DUMP, body);
    const messages: Buffer[] = [];
    for (let i = 1; !this.#receive(messages); i++) if (i % SLICE === 0) await setImmediate();
    return messages;
  }

  get(type: number, body: Buffer): Buffer {
    this.#send(type, 0, body);
    const messages: Buffer[] = [];
    while (messages.length === 0) this.#receive(messages);
    return messages[0]!;
  }

  [Symbol.dispose](): void {
    this.#libc.functions.close(this.#socket);
  }

  #send(type: number, flags: number, body: Buffer): void {
    const request = Buffer.concat([Buffer.alloc(HEADER_BYTES), body]);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(type, 4);
    request.writeUInt16LE(NLM_F_REQUEST | flags, 6);
    request.writeUInt32LE(++this.#sequence, 8);
    const { functions } = this.#libc;
    this.#libc.check(functions.send(this.#socket, request, BigInt(request.length), 0), "netlink request");
  }

  /** Adds the messages of one datagram to `messages`. Whether the answer is complete. */
  #receive(messages: Buffer[]): boolean {
    const { functions } = this.#libc;
    const size = functions.recv(this.#socket, this.#buffer, BigInt(RECEIVE_BYTES), MSG_TRUNC);
    const length = this.#libc.check(size, "netlink answer");
    if (length > RECEIVE_BYTES) throw new Error(`the kernel's answer has ${length} bytes`);
    return readMessages(Buffer.from(this.#buffer.subarray(0, length)), this.#sequence, messages);
  }
}

/** Whether a datagram ends the answer to the request `sequence`, whose messages are added to `messages`. */
function readMessages(datagram: Buffer, sequence: number, messages: Buffer[]): boolean {
  for (let at = 0; at + HEADER_BYTES <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length) throw new Error("the kernel's answer is cut off");
    const type = datagram.readUInt16LE(at + 4);
    if (datagram.readUInt32LE(at + 8) === sequence) {
      if ((datagram.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) !== 0) {
        throw Object.assign(new Error("what was read changed meanwhile"), { code: "EINTR" });
      }
      if (type === NLMSG_DONE) return true;
      if (type === NLMSG_ERROR) {
        const errno = datagram.readInt32LE(at + HEADER_BYTES);
        if (errno !== 0) throw systemError(errno, "the kernel refuses");
        return true;
      }
      messages.push(datagram.subarray(at + HEADER_BYTES, at + length));
    }
    at += (length + 3) & ~3;
  }
  return false;
}

/** The attributes from `start` to the end of a message, each type's last one. Throws for damaged ones. */
export function readAttributes(message: Buffer, start = 0): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = start; at + 4 <= message.length; ) {
    const length = message.readUInt16LE(at);
    if (length < 4 || at + length > message.length) throw new Error("an attribute of the kernel's answer is cut off");
    attributes.set(message.readUInt16LE(at + 2) & NLA_TYPE_MASK, message.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return attributes;
}

export function writeAttribute(type: number, value: Buffer): Buffer {
  const attribute = Buffer.alloc((4 + value.length + 3) & ~3);
  attribute.writeUInt16LE(4 + value.length, 0);
  attribute.writeUInt16LE(type, 2);
  value.copy(attribute, 4);
  return attribute;
}

/** A text that may end in a zero byte. */
export function attributeText(value: Buffer | undefined): string {
  if (value === undefined) return "";
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}

const RTM_GETLINK = 18;
const LINK_HEADER_BYTES = 16;
const IFLA_IFNAME = 3;

/** Names of the network devices by their index. */
export async function linkNames(netlink: Netlink): Promise<ReadonlyMap<number, string>> {
  const names = new Map<number, string>();
  for (const message of await netlink.dump(RTM_GETLINK, Buffer.alloc(LINK_HEADER_BYTES))) {
    const name = attributeText(readAttributes(message, LINK_HEADER_BYTES).get(IFLA_IFNAME));
    names.set(message.readInt32LE(4), name);
  }
  return names;
}
