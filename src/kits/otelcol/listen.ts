/** Where otelcol servers listen, and how to say that they cannot. */
import type { Server } from "node:net";

export type ListenAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Reads `host:port`, `:port`, `[::1]:port` for TCP, a path for `unix`. Throws an error that says what is wrong.
 */
export function parseListenAddress(endpoint: string, transport = "tcp"): ListenAddress {
  if (transport === "unix") return { path: endpoint.replace(/^unix:\/\//, "") };
  if (!["tcp", "tcp4", "tcp6"].includes(transport)) {
    throw new Error(`transport ${JSON.stringify(transport)} is not supported; use "tcp", "tcp4", "tcp6" or "unix"`);
  }
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(endpoint);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new Error(`endpoint ${JSON.stringify(endpoint)} is no address; write it as host:port`);
  }
  // Go listens on all interfaces, IPv6 and IPv4, when the host is empty.
  return { host: match[1] ?? match[2] ?? "", port };
}

/** Starts to listen; resolves with the address as text. Rejects with an error that says why not and what to do. */
export function listenOn(server: Server, address: ListenAddress): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException) => reject(listenError(address, error));
    server.once("error", fail);
    const options = "path" in address ? address : { port: address.port, ...(address.host === "" ? {} : address) };
    server.listen(options, () => {
      server.off("error", fail);
      const bound = server.address();
      if (bound === null || typeof bound === "string") return resolve(bound ?? "");
      resolve(bound.family === "IPv6" ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`);
    });
  });
}

function listenError(address: ListenAddress, error: NodeJS.ErrnoException): Error {
  const where = "path" in address ? address.path : `${address.host}:${address.port}`;
  return new Error(`cannot listen on ${where}: ${listenProblem(error, "endpoint")}`, { cause: error });
}

/** Why nothing can listen, and what to do; `argument` is what the one with the address is called. */
export function listenProblem(error: NodeJS.ErrnoException, argument: string): string {
  const because: Readonly<Record<string, string>> = {
    EADDRINUSE: `another program listens there; stop it or change \`${argument}\``,
    EACCES: "the permission is missing; use a port from 1024 on or grant CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: `this machine has no such address; change \`${argument}\``,
    ENOTFOUND: `the host name is unknown; change \`${argument}\``,
  };
  return because[error.code ?? ""] ?? error.message;
}
