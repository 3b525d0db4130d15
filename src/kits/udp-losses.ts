import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { endianness } from "node:os";

/** How often one asks for losses, in milliseconds. */
export const LOSSES_MS = 5_000;
/** What is wrong when packets are lost, for senders of logs. */
export const LOST_PACKETS =
  "they come faster than they are read, and the system threw them away: raise its net.core.rmem_max, or let senders use TCP where they can";

/**
 * Packets that Linux has thrown away at a UDP socket of ours, since they came faster than they were read: a program that
 * reads hears nothing of them. They are in the last column of `/proc/net/udp` and `/proc/net/udp6`: proc_net(5).
 */
export class UdpLosses {
  readonly #path: string;
  readonly #socket: RegExp;
  #seen = 0;

  /** For the socket that is bound to this address. */
  constructor(address: string, port: number) {
    this.#path = isIPv4(address) ? "/proc/net/udp" : "/proc/net/udp6";
    this.#socket = new RegExp(`^ *\\d+: ${addressPattern(address)}:${port.toString(16).padStart(4, "0")} `, "i");
  }

  /** The packets that were lost since the last call; 0 where the system does not tell. */
  async take(): Promise<number> {
    const text = await readFile(this.#path, "latin1").catch(() => "");
    const line = text.split("\n").find((each) => this.#socket.test(each));
    const lost = Number(line?.trimEnd().split(" ").at(-1) ?? 0);
    const fresh = Math.max(0, lost - this.#seen);
    this.#seen = lost;
    return fresh;
  }
}

/** As the kernel writes addresses: words in the machine's order. Of those of IPv6 only the general one is told apart. */
function addressPattern(address: string): string {
  if (address === "::") return "0{32}";
  if (!isIPv4(address)) return "[0-9a-f]{32}";
  const bytes = address.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"));
  return (endianness() === "LE" ? bytes.reverse() : bytes).join("");
}
