import { createSocket } from "node:dgram";
import { createServer, isIPv6, type Socket } from "node:net";
import { UdpLosses } from "#kits/udp-losses";
import type { EventQueue } from "./events.ts";
import type { LineParser } from "./line.ts";
import type { Relay } from "./relay.ts";
import type { Statistics } from "./statistics.ts";

/** What Go's bufio.Reader takes of a line before it gives up. */
const MAX_LINE_BYTES = 4096;
/** Senders over TCP at once; each may hold the beginning of a line. */
const MAX_CONNECTIONS = 10_000;
const NEWLINE = 10;
const RETURN = 13;

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `host:port` as statsd_exporter's pkg/address reads it: without a host all of IPv4. Throws an Error. */
export function parseAddress(text: string, argument: string): Address {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(parts?.[3]);
  if (parts === null || port > 65_535) {
    throw new Error(
      `\`${argument}\` must be an address such as ":9125" or "127.0.0.1:9125", and is ${JSON.stringify(text)}`,
    );
  }
  return { host: parts[1] ?? (parts[2] || "0.0.0.0"), port };
}

/** Takes packets and streams apart into lines. */
export class LineIntake {
  readonly #parser: LineParser;
  readonly #queue: EventQueue;
  readonly #relay: Relay | undefined;
  readonly #statistics: Statistics;

  constructor(parser: LineParser, queue: EventQueue, relay: Relay | undefined, statistics: Statistics) {
    this.#parser = parser;
    this.#queue = queue;
    this.#relay = relay;
    this.#statistics = statistics;
  }

  packet(bytes: Buffer): void {
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(NEWLINE, start);
      this.#line(bytes, start, end < 0 ? bytes.length : end);
      if (end < 0) return;
      start = end + 1;
    }
  }

  /** A connection, until it ends or sends a line that is too long. */
  connection(socket: Socket): void {
    const statistics = this.#statistics;
    statistics.tcpConnections += 1;
    let rest: Buffer = Buffer.alloc(0);
    socket.on("data", (data: Buffer) => {
      const bytes = rest.length === 0 ? data : Buffer.concat([rest, data]);
      let start = 0;
      for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
        if (end - start >= MAX_LINE_BYTES) break;
        this.#line(bytes, start, end > start && bytes[end - 1] === RETURN ? end - 1 : end);
        start = end + 1;
      }
      rest = Buffer.from(bytes.subarray(start)); // a copy: the chunk may be large
      if (rest.length < MAX_LINE_BYTES) return;
      statistics.longLines += 1;
      rest = Buffer.alloc(0);
      socket.destroy();
    });
    socket.on("error", () => {
      statistics.tcpErrors += 1;
    });
    socket.on("end", () => {
      if (rest.length > 0) this.#line(rest, 0, rest.length);
      rest = Buffer.alloc(0);
    });
  }

  #line(bytes: Buffer, start: number, end: number): void {
    this.#statistics.lines += 1;
    this.#relay?.add(bytes.subarray(start, end));
    this.#queue.add(this.#parser.parse(bytes, start, end));
  }
}

export interface Listening extends AsyncDisposable {
  readonly protocol: "UDP" | "TCP" | "unixgram";
  /** What the system throws away before it is read. */
  readonly losses?: UdpLosses;
  readonly address: string;
}

/** Listens for packets. Rejects with an error that says why not. `failed` hears of a socket that breaks later. */
export async function listenUdp(
  address: Address,
  readBuffer: number,
  intake: LineIntake,
  statistics: Statistics,
  failed: (error: Error) => void,
): Promise<Listening> {
  const socket = createSocket({
    type: isIPv6(address.host) ? "udp6" : "udp4",
    ...(readBuffer > 0 ? { recvBufferSize: readBuffer } : {}),
  });
  socket.on("message", (bytes) => {
    statistics.udpPackets += 1;
    intake.packet(bytes);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: address.host, port: address.port }, () => {
      socket.off("error", reject);
      resolve();
    });
  }).catch((error) => {
    socket.close();
    throw explained("UDP", address, error);
  });
  socket.on("error", failed);
  const bound = socket.address();
  return {
    protocol: "UDP",
    losses: new UdpLosses(bound.address, bound.port),
    address: textOf(bound.address, bound.port),
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

export async function listenTcp(
  address: Address,
  intake: LineIntake,
  failed: (error: Error) => void,
): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    intake.connection(socket);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address.host, port: address.port }, () => {
      server.off("error", reject);
      resolve();
    });
  }).catch((error) => {
    throw explained("TCP", address, error);
  });
  server.on("error", failed);
  const bound = server.address() as { readonly address: string; readonly port: number };
  return {
    protocol: "TCP",
    address: textOf(bound.address, bound.port),
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function textOf(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

const BECAUSE: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program listens there; stop it or choose another port",
  EACCES: "the permission is missing; use a port from 1024 on, or give the agent the capability CAP_NET_BIND_SERVICE",
  EADDRNOTAVAIL: "this machine has no such address; choose another one",
};

function explained(protocol: string, { host, port }: Address, error: NodeJS.ErrnoException): Error {
  const why = BECAUSE[error.code ?? ""] ?? error.message;
  return new Error(`cannot listen on ${protocol} ${textOf(host, port)}: ${why}`, { cause: error });
}
