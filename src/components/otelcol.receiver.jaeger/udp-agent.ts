import { parseListenAddress } from "#kits/otelcol/listen";
import type { UdpLosses } from "#kits/udp-losses";
import { openUdpSocket, type UdpSocket } from "#kits/udp-socket";

export interface UdpAgentOptions {
  readonly endpoint: string;
  /** Longer packets are dropped. */
  readonly maxPacketBytes: number;
  /** Packets that wait while all workers are busy; more are dropped. */
  readonly queueSize: number;
  /** Packets that are handed on at once. */
  readonly workers: number;
  /** 0 for what the system gives. */
  readonly socketBufferBytes: number;
  /** Returns or resolves once the packet is dealt with; does not throw. */
  readonly take: (packet: Uint8Array, from: string) => void | Promise<void>;
  readonly drop: (reason: string, packets: number, why: string) => void;
  readonly failed: (error: Error) => void;
}

interface Packet {
  readonly bytes: Uint8Array;
  readonly from: string;
}

/**
 * Listens for packets of Jaeger's clients in place of a Jaeger agent. A packet is dealt with at once as long as nobody has
 * to wait for it; otherwise `workers` packets wait for the pipeline and `queueSize` for them.
 */
export class UdpAgent {
  readonly #options: UdpAgentOptions;
  readonly #queue: Packet[] = [];
  #busy = 0;
  #socket: UdpSocket | undefined;
  #idle = Promise.withResolvers<void>();

  /** Throws for an endpoint that is no address. */
  constructor(options: UdpAgentOptions) {
    parseListenAddress(options.endpoint);
    this.#options = options;
  }

  /** What the system threw away, while the agent listens. */
  get losses(): UdpLosses | undefined {
    return this.#socket?.losses;
  }

  async listen(): Promise<string> {
    const { endpoint, socketBufferBytes, failed } = this.#options;
    const socket = await openUdpSocket({
      address: parseListenAddress(endpoint) as { readonly host: string; readonly port: number },
      argument: "endpoint",
      bufferBytes: socketBufferBytes,
      onDatagram: (bytes, from) => this.#receive(bytes, from),
      onError: failed,
    });
    this.#socket = socket;
    return socket.address;
  }

  /** There is no TLS for packets. */
  setTls(): void {}

  /** Takes no more packets, and waits for those that are there until `deadline` is aborted. */
  async close(deadline: AbortSignal): Promise<void> {
    await this.#socket?.close();
    this.#socket = undefined;
    if (this.#busy === 0) return;
    const over = Promise.withResolvers<void>();
    const end = () => over.resolve();
    if (deadline.aborted) end();
    deadline.addEventListener("abort", end, { once: true });
    await Promise.race([this.#idle.promise, over.promise]);
    deadline.removeEventListener("abort", end);
    const left = this.#queue.splice(0).length;
    if (left > 0) this.#options.drop("shutdown", left, "the pipeline did not take them before the agent stopped");
  }

  #receive(bytes: Buffer, from: string): void {
    const { maxPacketBytes, workers, queueSize, drop } = this.#options;
    if (bytes.length > maxPacketBytes) {
      drop(
        "packet_too_large",
        1,
        `a packet of ${bytes.length} bytes is larger than \`max_packet_size\` (from ${from})`,
      );
    } else if (this.#busy < workers) this.#take({ bytes, from });
    else if (this.#queue.length < queueSize) this.#queue.push({ bytes, from });
    else {
      drop("queue_full", 1, "packets come faster than the pipeline takes them: look at what comes next");
    }
  }

  #take(packet: Packet): void {
    const result = this.#options.take(packet.bytes, packet.from);
    if (result === undefined) return;
    if (this.#busy++ === 0) this.#idle = Promise.withResolvers();
    void result.then(() => {
      this.#busy -= 1;
      while (this.#busy < this.#options.workers && this.#queue.length > 0) this.#take(this.#queue.shift()!);
      if (this.#busy === 0) this.#idle.resolve();
    });
  }
}
