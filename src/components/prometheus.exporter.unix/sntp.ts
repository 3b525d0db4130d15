import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIPv6 } from "node:net";

/** What a time server says, in seconds; as beevik/ntp's `Response`, which node_exporter uses. */
export interface NtpAnswer {
  readonly stratum: number;
  /** Two bits: nothing, a second more, a second less, not synchronized. */
  readonly leap: number;
  /** Since 1970. */
  readonly time: number;
  readonly referenceTime: number;
  readonly offset: number;
  readonly roundTrip: number;
  readonly rootDelay: number;
  readonly rootDispersion: number;
  readonly rootDistance: number;
  /** By how much the server's answer was before the question, or behind its own arrival. */
  readonly minError: number;
}

export interface NtpOptions {
  readonly host: string;
  readonly port: number;
  readonly version: number;
  /** Time to live of the question; zero for the system's own. */
  readonly ttl: number;
  readonly timeoutMs: number;
  /** Nanoseconds since 1970. */
  now(): bigint;
}

const PACKET_BYTES = 48;
const CLIENT = 3;
const SERVER = 4;
/** Seconds from 1900, where time stamps begin, to 1970, and to 2036, where they begin anew. */
const UNIX_EPOCH = 2_208_988_800n;
const SECOND_ERA = 4_294_967_296n;
const NANO = 1_000_000_000n;

/** Asks a time server once (RFC 4330). Rejects when there is no answer in time or one that does not belong to the question. */
export async function askTime(options: NtpOptions): Promise<NtpAnswer> {
  const { address } = await lookup(options.host);
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  const { promise, resolve, reject } = Promise.withResolvers<NtpAnswer>();
  const timeout = setTimeout(() => reject(new Error("the time server does not answer")), options.timeoutMs);
  try {
    socket.on("error", reject);
    await new Promise<void>((connected) => socket.connect(options.port, address, connected));
    if (options.ttl !== 0 && !isIPv6(address)) socket.setTTL(options.ttl);
    // A stamp of chance instead of the time tells strangers nothing, and they cannot guess it.
    const stamp = randomBytes(8);
    const question = Buffer.alloc(PACKET_BYTES);
    question[0] = (options.version << 3) | CLIENT;
    question[3] = 0x20;
    stamp.copy(question, 40);
    let sent = 0n;
    socket.on("message", (message) => {
      const received = options.now();
      try {
        resolve(readAnswer(message, stamp, sent, received));
      } catch (error) {
        reject(error);
      }
    });
    sent = options.now();
    socket.send(question, (error) => {
      if (error !== null) reject(error);
    });
    return await promise;
  } finally {
    clearTimeout(timeout);
    socket.close();
  }
}

/** `sent` and `received` are nanoseconds since 1970. Throws for what is no answer to the question with this stamp. */
export function readAnswer(message: Buffer, stamp: Buffer, sent: bigint, received: bigint): NtpAnswer {
  if (message.length < PACKET_BYTES) throw new Error("the time server's answer is cut off");
  if ((message[0]! & 7) !== SERVER) throw new Error("the answer is not one of a time server");
  if (message.readBigUInt64BE(40) === 0n) throw new Error("the time server's answer has no time");
  if (!message.subarray(24, 32).equals(stamp)) throw new Error("the time server answers another question");
  if (message.readBigUInt64BE(32) > message.readBigUInt64BE(40)) throw new Error("the time server's clock steps back");
  const serverReceived = readStamp(message, 32);
  const serverSent = readStamp(message, 40);
  const before = sent > serverReceived ? sent - serverReceived : 0n;
  const behind = serverSent > received ? serverSent - received : 0n;
  const roundTrip = Math.max(0, seconds(received - sent - (serverSent - serverReceived)));
  const rootDelay = message.readUInt32BE(4) / 65_536;
  const rootDispersion = message.readUInt32BE(8) / 65_536;
  return {
    stratum: message[1]!,
    leap: message[0]! >> 6,
    time: seconds(serverSent),
    referenceTime: seconds(readStamp(message, 16)),
    offset: seconds(serverReceived - sent + (serverSent - received)) / 2,
    roundTrip,
    rootDelay,
    rootDispersion,
    rootDistance: (roundTrip + rootDelay) / 2 + rootDispersion,
    minError: seconds(before > behind ? before : behind),
  };
}

/** A time stamp as nanoseconds since 1970; one that would be before belongs to the era from 2036 on. */
function readStamp(message: Buffer, at: number): bigint {
  const whole = BigInt(message.readUInt32BE(at));
  const fraction = (BigInt(message.readUInt32BE(at + 4)) * NANO) >> 32n;
  return (whole - UNIX_EPOCH + (whole < UNIX_EPOCH ? SECOND_ERA : 0n)) * NANO + fraction;
}

function seconds(nanoseconds: bigint): number {
  return Number(nanoseconds) / 1e9;
}
