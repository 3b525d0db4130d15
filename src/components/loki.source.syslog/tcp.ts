import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions, type Server as TlsServer } from "node:tls";
import { errorText } from "#base/log";
import { FramingError, type FramingOptions, SyslogFramer } from "#formats/syslog-framing";
import { listenOn, parseListenAddress } from "#kits/otelcol/listen";
import type { Hostnames } from "./hostnames.ts";
import { Intake, type ListenerShared } from "./intake.ts";

/** Beyond this many connections a listener takes no more. */
const MAX_CONNECTIONS = 4_096;
/** A message whose newline was the last to come waits this long for a line that belongs to it. */
const HOLD_MS = 100;

export interface TcpOptions extends ListenerShared {
  readonly address: string;
  readonly framing: FramingOptions;
  readonly idleMs: number;
  readonly tls: TlsOptions | undefined;
  readonly hostnames: Hostnames;
}

/** A listening TCP or TLS socket with its connections. */
export class TcpListener {
  readonly #options: TcpOptions;
  readonly #server: Server | TlsServer;
  readonly #connections = new Map<Socket, Promise<void>>();

  constructor(options: TcpOptions) {
    this.#options = options;
    const serve = (socket: Socket) => {
      const served = this.#serve(socket).finally(() => this.#connections.delete(socket));
      this.#connections.set(socket, served);
    };
    this.#server = options.tls === undefined ? createServer(serve) : createTlsServer(options.tls, serve);
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on("drop", (data) => {
      options.status.refused("too_many", `it has ${MAX_CONNECTIONS} already`, data?.remoteAddress ?? "");
    });
    this.#server.on("tlsClientError", (error: Error, socket: Socket) => {
      options.status.refused("tls", errorText(error), socket.remoteAddress ?? "");
    });
  }

  /** Resolves with the address; rejects with a message that says why not. */
  async listen(): Promise<string> {
    const address = await listenOn(this.#server, parseListenAddress(this.#options.address));
    this.#server.on("error", (error) => this.#options.status.log.warn("a listener failed", { address, error }));
    return address;
  }

  setTls(options: TlsOptions): void {
    (this.#server as TlsServer).setSecureContext(options);
  }

  /** Takes no more, and ends the connections once what was read of them is delivered. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#connections.keys()) socket.destroy();
    await Promise.all(this.#connections.values());
    await closed;
  }

  async #serve(socket: Socket): Promise<void> {
    const { framing, idleMs, hostnames, reader, status } = this.#options;
    const ip = plainAddress(socket.remoteAddress ?? "");
    let isDelivering = false;
    socket.setTimeout(idleMs);
    socket.on("timeout", () => {
      // Whoever is not read from is not idle.
      if (isDelivering) socket.setTimeout(idleMs);
      else socket.destroy();
    });
    socket.on("error", () => {}); // ends the loop below, which is all there is to do
    const intake = new Intake(this.#options);
    let hold: ReturnType<typeof setTimeout> | undefined;
    let flushed: Promise<void> = Promise.resolve();
    try {
      const peer = { ip, hostname: reader.wantsHostname ? await hostnames.lookUp(ip) : "" };
      const framer = new SyslogFramer(framing, (bytes, start, end) => intake.add(peer, bytes, start, end));
      const deliver = async () => {
        isDelivering = true;
        await intake.deliver().finally(() => void (isDelivering = false));
      };
      try {
        for await (const chunk of socket) {
          clearTimeout(hold);
          await flushed;
          try {
            framer.push(chunk as Uint8Array);
          } finally {
            await deliver();
          }
          if (framer.held) {
            hold = setTimeout(() => {
              framer.flush();
              flushed = deliver();
              flushed.catch(() => socket.destroy());
            }, HOLD_MS);
          }
        }
      } catch (error) {
        if (error instanceof FramingError) throw error;
        // The connection broke: what came of it counts, as at its proper end.
      }
      clearTimeout(hold);
      await flushed;
      try {
        framer.end();
      } finally {
        await deliver();
      }
    } catch (error) {
      if (error instanceof FramingError) status.unreadable("framing_error", error.message, ip);
      else if (!status.stopping) status.log.error("a connection failed", { from: ip, error });
    } finally {
      clearTimeout(hold);
      socket.destroy();
    }
  }
}

/** An IPv4 address as such also where the socket is one of IPv6. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, "");
}
