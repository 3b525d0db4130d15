import type { Libc } from "./libc.ts";
import { attributeText } from "./netlink.ts";

/** The link modes of `struct ethtool_cmd`, as bits. */
export interface LinkInfo {
  readonly supported: number;
  readonly advertised: number;
  readonly autonegotiate: number;
}

/** Texts of `struct ethtool_drvinfo`. */
export interface DriverInfo {
  readonly driver: string;
  readonly version: string;
  readonly firmwareVersion: string;
  readonly busInfo: string;
  readonly expansionRomVersion: string;
  readonly statistics: number;
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCETHTOOL = 0x8946n;
/** `struct ifreq`: the name of the device, then the address of the request. */
const IFREQ_BYTES = 40;
const NAME_BYTES = 16;

const ETHTOOL_GSET = 1;
const ETHTOOL_GDRVINFO = 3;
const ETHTOOL_GSTRINGS = 0x1b;
const ETHTOOL_GSTATS = 0x1d;
const ETH_SS_STATS = 1;
const SETTINGS_BYTES = 44;
const DRIVER_BYTES = 196;
const TEXT_BYTES = 32;
/** More statistics than this no driver has. */
const MAX_STATISTICS = 32_768;

/** Asks network drivers by ioctl, as ethtool(8) did before it had netlink; `linux/ethtool.h` has the structs. */
export class EthtoolSocket implements Disposable {
  readonly #libc: Libc;
  readonly #socket: number;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#socket = libc.check(libc.functions.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  }

  linkInfo(device: string): LinkInfo {
    const answer = this.#ask(device, ETHTOOL_GSET, SETTINGS_BYTES);
    return { supported: answer.readUInt32LE(4), advertised: answer.readUInt32LE(8), autonegotiate: answer[18]! };
  }

  driverInfo(device: string): DriverInfo {
    const answer = this.#ask(device, ETHTOOL_GDRVINFO, DRIVER_BYTES);
    const text = (at: number) => attributeText(answer.subarray(at, at + TEXT_BYTES));
    return {
      driver: text(4),
      version: text(36),
      firmwareVersion: text(68),
      busInfo: text(100),
      expansionRomVersion: text(132),
      statistics: answer.readUInt32LE(180),
    };
  }

  statistics(device: string): ReadonlyMap<string, number> {
    const { statistics: count } = this.driverInfo(device);
    const found = new Map<string, number>();
    if (count === 0) return found;
    if (count > MAX_STATISTICS) throw new Error(`the driver of ${device} has ${count} statistics`);
    const names = this.#ask(device, ETHTOOL_GSTRINGS, 12 + TEXT_BYTES * count, [ETH_SS_STATS, count]);
    const values = this.#ask(device, ETHTOOL_GSTATS, 8 + 8 * count, [count]);
    for (let i = 0; i < count; i++) {
      const name = attributeText(names.subarray(12 + TEXT_BYTES * i, 12 + TEXT_BYTES * (i + 1)));
      if (name !== "") found.set(name, Number(values.readBigUInt64LE(8 + 8 * i)));
    }
    return found;
  }

  [Symbol.dispose](): void {
    this.#libc.functions.close(this.#socket);
  }

  /** Fills a struct of `size` bytes that starts with the command and `values`. Throws the driver's error. */
  #ask(device: string, command: number, size: number, values: readonly number[] = []): Buffer {
    const answer = Buffer.alloc(size);
    for (const [i, value] of [command, ...values].entries()) answer.writeUInt32LE(value, 4 * i);
    const request = Buffer.alloc(IFREQ_BYTES);
    // A name of sixteen bytes or more would be another device's.
    if (Buffer.byteLength(device) >= NAME_BYTES) throw new Error(`${device} is no name of a network device`);
    request.write(device);
    request.writeBigUInt64LE(this.#libc.address(answer), NAME_BYTES);
    this.#libc.check(this.#libc.functions.ioctl(this.#socket, SIOCETHTOOL, request), `ethtool on ${device}`);
    return answer;
  }
}
