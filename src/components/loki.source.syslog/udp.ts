import { createSocket, type Socket } from "node:dgram";
import { isIPv4 } from "node:net";
import { FramingError, type FramingOptions, SyslogFramer } from "#formats/syslog-framing";
import { parseListenAddress } from "#kits/otelcol/listen";
import { UdpLosses } from "#kits/udp-losses";
import type { Hostnames } from "./hostnames.ts";
import { Intake, type ListenerShared } from "./intake.ts";
import { plainAddress } from "./tcp.ts";

/** What the kernel is asked to keep, and what may wait here beyond `queueSize`, which with Alloy the kernel keeps, too. */
const BUFFER_BYTES = 1024 * 1024;
/** Datagrams that go into one batch. */
const MAX_BATCH = 512;

export interface UdpOptions extends ListenerShared {
  readonly address: string;
  readonly framing: FramingOptions;
  readonly queueSize: number;
  readonly hostnames: Hostnames;
}

/** A listening UDP socket. */
export class UdpListener {
  readonly #options: UdpOptions;
  readonly #intake: Intake;
  #socket: Socket | undefined;
  #losses: UdpLosses | undefined;
  #queue: { readonly bytes: Uint8Array; readonly ip: string }[] = [];
  #queueBytes = 0;
  #pumping: Promise<void> | undefined;

  constructor(options: UdpOptions) {
    this.#options = options;
    this.#intake = new Intake(options);
  }

  /** Resolves with the address; rejects with a message that says why not. */
  listen(): Promise<string> {
    const where = parseListenAddress(this.#options.address) as { readonly host: string; readonly port: number };
    const type = where.host === "localhost" || isIPv4(where.host) ? "udp4" : "udp6";
    const socket = createSocket({ type, recvBufferSize: BUFFER_BYTES });
    this.#socket = socket;
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        socket.close();
        reject(new Error(`cannot listen on udp ${this.#options.address}: ${explain(error)}`, { cause: error }));
      };
      socket.once("error", fail);
      socket.on("message", (bytes, { address }) => this.#take(bytes, plainAddress(address)));
      socket.bind({ port: where.port, ...(where.host === "" ? {} : { address: where.host }) }, () => {
        socket.off("error", fail);
        const { address, port } = socket.address();
        this.#losses = new UdpLosses(address, port);
        socket.on("error", (error) => this.#options.status.log.warn("a listener failed", { address, error }));
        resolve(address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
      });
    });
  }

  /** Counts what the system has thrown away since the last call. */
  async countLosses(): Promise<void> {
    const packets = (await this.#losses?.take()) ?? 0;
    if (packets > 0) this.#options.status.lost(packets, this.#options.address);
  }

  /** Takes no more, and resolves once what had come is delivered. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket!.close(resolve));
    await this.#pumping;
  }

  #take(bytes: Uint8Array, ip: string): void {
    const { queueSize, framing, status } = this.#options;
    if (this.#queue.length >= queueSize && this.#queueBytes >= BUFFER_BYTES) {
      status.overrun(ip);
      return;
    }
    if (bytes.length > framing.maxLength) status.truncated(bytes.length, framing.maxLength, ip);
    const kept = bytes.subarray(0, framing.maxLength);
    this.#queue.push({ bytes: kept, ip });
    this.#queueBytes += kept.length;
    this.#pumping ??= this.#pump();
  }

  async #pump(): Promise<void> {
    const { status } = this.#options;
    // Datagrams that are there already come with the same turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      while (this.#queue.length > 0) {
        for (const { bytes, ip } of this.#queue.splice(0, MAX_BATCH)) {
          this.#queueBytes -= bytes.length;
          await this.#read(bytes, ip);
        }
        await this.#intake.deliver();
      }
    } catch (error) {
      if (!status.stopping) status.log.error("datagrams could not be read", { error });
    } finally {
      this.#pumping = undefined;
    }
  }

  async #read(bytes: Uint8Array, ip: string): Promise<void> {
    const { reader, hostnames, framing, status } = this.#options;
    let hostname: string | undefined = "";
    if (reader.wantsHostname) hostname = hostnames.known(ip) ?? (await hostnames.lookUp(ip));
    const framer = new SyslogFramer(framing, (...message) => this.#intake.add({ ip, hostname }, ...message));
    try {
      framer.push(bytes);
      framer.end();
    } catch (error) {
      if (!(error instanceof FramingError)) throw error;
      status.unreadable("framing_error", error.message, ip);
    }
  }
}

function explain(error: NodeJS.ErrnoException): string {
  const because: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there; stop it or change `address`",
    EACCES: "the permission is missing; use a port from 1024 on or grant CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: "this machine has no such address; change `address`",
    ENOTFOUND: "the host name is unknown; change `address`",
  };
  return because[error.code ?? ""] ?? error.message;
}
