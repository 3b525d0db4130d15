import { createSocket } from "node:dgram";
import { isIPv4 } from "node:net";
import { parseListenAddress } from "#kits/otelcol-listen";
import { UdpLosses } from "#kits/udp-losses";

const BUFFER_BYTES = 1024 * 1024;

export interface OpenSocket {
  readonly address: string;
  readonly losses: UdpLosses;
  close(): Promise<void>;
}

/** Opens a UDP socket. Rejects with an error that says why not and what to do. */
export function openSocket(
  address: string,
  onDatagram: (bytes: Uint8Array, from: string) => void,
  onError: (error: Error) => void,
): Promise<OpenSocket> {
  const { host, port } = parseListenAddress(address) as { readonly host: string; readonly port: number };
  const type = host === "localhost" || isIPv4(host) ? "udp4" : "udp6";
  const socket = createSocket({ type, recvBufferSize: BUFFER_BYTES });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.close();
      reject(new Error(`cannot listen on udp ${address}: ${explain(error)}`, { cause: error }));
    };
    socket.once("error", fail);
    socket.on("message", (bytes, { address: from }) => onDatagram(bytes, from.replace(/^::ffff:(?=\d+\.)/, "")));
    socket.bind({ port, ...(host === "" ? {} : { address: host }) }, () => {
      socket.off("error", fail);
      socket.on("error", onError);
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

function explain(error: NodeJS.ErrnoException): string {
  const because: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there; stop it or change `listen_address`",
    EACCES: "the permission is missing; use a port from 1024 on or grant CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: "this machine has no such address; change `listen_address`",
    ENOTFOUND: "the host name is unknown; change `listen_address`",
  };
  return because[error.code ?? ""] ?? error.message;
}
