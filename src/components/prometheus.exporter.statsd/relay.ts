import { createSocket, type Socket } from "node:dgram";
import type { Logger } from "#base/log";

/** How long lines wait for others to fill a packet with. */
const FLUSH_MS = 1_000;

/** Sends copies of lines on over UDP, several in a packet: statsd_exporter's pkg/relay/relay.go. */
export class Relay implements Disposable {
  readonly target: string;
  packets = 0;
  longLines = 0;
  lines = 0;
  readonly #socket: Socket;
  readonly #host: string;
  readonly #port: number;
  readonly #packetLength: number;
  readonly #timer: NodeJS.Timeout;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(target: string, host: string, port: number, packetLength: number, log: Logger) {
    this.target = target;
    this.#host = host;
    this.#port = port;
    this.#packetLength = packetLength;
    this.#socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.#socket.on("error", (error) => log.warn("cannot relay to another StatsD server", { target, error }));
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS).unref();
  }

  /** One line without its end. */
  add(line: Uint8Array): void {
    if (line.length === 0) return;
    if (line.length > this.#packetLength - 1) {
      this.longLines += 1;
      return;
    }
    this.lines += 1;
    if (this.#length + line.length + 1 > this.#packetLength) this.#flush();
    this.#parts.push(Buffer.from(line), NEWLINE);
    this.#length += line.length + 1;
  }

  #flush(): void {
    if (this.#length === 0) return;
    const packet = Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    this.packets += 1;
    this.#socket.send(packet, this.#port, this.#host, () => {}); // errors come as events
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

const NEWLINE = Buffer.from("\n");
