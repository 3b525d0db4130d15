/** UDP sockets that receivers listen on, and how to say that they cannot. */
import { createSocket } from "node:dgram";
import { isIPv4 } from "node:net";
import { type ListenAddress, listenProblem } from "./otelcol/listen.ts";
import { UdpLosses } from "./udp-losses.ts";

export interface UdpSocketOptions {
  /** A TCP-like address, from `parseListenAddress`. */
  readonly address: Exclude<ListenAddress, { readonly path: string }>;
  /** What the argument with the address is called, for messages. */
  readonly argument: string;
  /** Room for packets that were not read yet, in the system; 0 for what the system gives. */
  readonly bufferBytes: number;
  readonly onDatagram: (bytes: Buffer, from: string) => void;
  /** The socket broke later on. */
  readonly onError: (error: Error) => void;
}

export interface UdpSocket {
  readonly address: string;
  readonly losses: UdpLosses;
  close(): Promise<void>;
}

/** Opens a UDP socket. Rejects with an error that says why not and what to do. */
export function openUdpSocket(options: UdpSocketOptions): Promise<UdpSocket> {
  const { address, argument, bufferBytes } = options;
  const { host, port } = address;
  const type = host === "localhost" || isIPv4(host) ? "udp4" : "udp6";
  const socket = createSocket({ type, ...(bufferBytes > 0 ? { recvBufferSize: bufferBytes } : {}) });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.close();
      const why = listenProblem(error, argument);
      reject(new Error(`cannot listen on udp ${host}:${port}: ${why}`, { cause: error }));
    };
    socket.once("error", fail);
    socket.on("message", (bytes, { address: from }) =>
      options.onDatagram(bytes, from.replace(/^::ffff:(?=\d+\.)/, "")),
    );
    socket.bind({ port, ...(host === "" ? {} : { address: host }) }, () => {
      socket.off("error", fail);
      socket.on("error", options.onError);
      const bound = socket.address();
      const text = bound.address.includes(":") ? `[${bound.address}]` : bound.address;
      resolve({
        address: `${text}:${bound.port}`,
        losses: new UdpLosses(bound.address, bound.port),
        close: () => new Promise((closed) => socket.close(() => closed())),
      });
    });
  });
}
