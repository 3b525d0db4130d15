import { close, existsSync, read } from "node:fs";
import { chmod, unlink } from "node:fs/promises";
import type { Logger } from "#base/log";
import { openCLibrary } from "#kits/c-library";
import type { LineIntake, Listening } from "./listeners.ts";
import type { Statistics } from "./statistics.ts";

/**
 * Sockets of the kind that Node cannot make by itself: datagrams within a machine. The C library makes them, through Node's
 * `node:ffi`, and they are read as files are, on a thread that waits for a packet and looks up now and then.
 */

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
/** A family of two bytes, and the path. */
const ADDRESS_BYTES = 110;
const MAX_PATH_BYTES = 107;
/** How long the thread waits for a packet before it looks whether the listener was closed. */
const WAIT_MICROSECONDS = 250_000n;
const MAX_PACKET = 65_535;

const CALLS = {
  socket: { arguments: ["int32", "int32", "int32"], return: "int32" },
  bind: { arguments: ["int32", "buffer", "uint32"], return: "int32" },
  setsockopt: { arguments: ["int32", "int32", "int32", "buffer", "uint32"], return: "int32" },
} as const;

/** Listens on a socket at `path`. Rejects with an error that says why not. */
export async function listenUnixgram(
  path: string,
  mode: string,
  readBuffer: number,
  intake: LineIntake,
  statistics: Statistics,
  log: Logger,
): Promise<Listening> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new Error(
      `the path of \`listen_unixgram\` is longer than the ${MAX_PATH_BYTES} bytes that the system takes: ${path}`,
    );
  }
  if (existsSync(path)) {
    throw new Error(`${path} of \`listen_unixgram\` exists already: remove it if no other program listens there`);
  }
  const calls = openCLibrary(CALLS);
  if (calls === undefined) {
    throw new Error(
      "`listen_unixgram` needs a Linux with glibc or musl and Node 26 or newer; use `listen_udp` on 127.0.0.1",
    );
  }
  const descriptor = calls.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw new Error("the system gives no socket for `listen_unixgram`");
  const address = Buffer.alloc(ADDRESS_BYTES);
  address.writeUInt16LE(AF_UNIX);
  const end = 2 + address.write(path, 2);
  if (calls.bind(descriptor, address, end + 1) !== 0) {
    close(descriptor);
    throw new Error(
      `cannot make the socket ${path} of \`listen_unixgram\`: does its folder exist, and may the agent write there?`,
    );
  }
  const wait = Buffer.alloc(16);
  wait.writeBigInt64LE(WAIT_MICROSECONDS, 8);
  calls.setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length);
  if (readBuffer > 0) {
    const size = Buffer.alloc(4);
    size.writeInt32LE(readBuffer);
    calls.setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, size, size.length);
  }
  if (/^[0-7]{1,4}$/.test(mode)) await chmod(path, Number.parseInt(mode, 8));
  else log.warn("`unix_socket_mode` is no octal number, and is passed over", { unix_socket_mode: mode });

  let isOpen = true;
  const ended = readPackets(
    descriptor,
    () => isOpen,
    (packet) => {
      statistics.unixgramPackets += 1;
      intake.packet(packet);
    },
  );
  return {
    protocol: "unixgram",
    address: path,
    async [Symbol.asyncDispose]() {
      isOpen = false;
      await ended;
      await new Promise((resolve) => close(descriptor, resolve));
      await unlink(path).catch(() => {}); // somebody else may have done so
    },
  };
}

async function readPackets(descriptor: number, goesOn: () => boolean, take: (packet: Buffer) => void): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(MAX_PACKET);
  while (goesOn()) {
    const length = await new Promise<number>((resolve) => {
      read(descriptor, buffer, 0, buffer.length, null, (error, bytes) => resolve(error === null ? bytes : 0));
    });
    if (length > 0) take(buffer.subarray(0, length));
  }
}
