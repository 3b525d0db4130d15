import { gauge, memoize, type Page, untyped } from "#kits/exporter/page";
import type { CollectorDefinition, CollectorOptions } from "../collector.ts";
import { type DriverInfo, EthtoolSocket, type LinkInfo } from "../ethtool-socket.ts";
import { errorCode } from "../files.ts";
import { NameFilter } from "../filter.ts";
import { requireLibc } from "../libc.ts";
import { listSubject } from "../subject.ts";
import { PORTS, SPEEDS } from "./ethtool-modes.ts";

const info = gauge(
  "node_ethtool_info",
  "A metric with a constant '1' value labeled by bus_info, device, driver, expansion_rom_version, firmware_version, version.",
  ...["bus_info", "device", "driver", "expansion_rom_version", "firmware_version", "version"],
);
const network = (name: string, help: string, ...labels: string[]) => gauge(`node_network_${name}`, help, ...labels);
const supportedPort = network(
  "supported_port_info",
  "Type of ports or PHYs supported by network device",
  "device",
  "type",
);
const autonegotiate = network("autonegotiate", "If this port is using autonegotiate", "device");
/** What a port can do, and what it offers its peer. */
const ABILITIES = {
  supported: {
    speed: network(
      "supported_speed_bytes",
      "Combination of speeds and features supported by network device",
      ...["device", "duplex", "mode"],
    ),
    autonegotiate: network("autonegotiate_supported", "If this port device supports autonegotiate", "device"),
    pause: network("pause_supported", "If this port device supports pause frames", "device"),
    asymmetricPause: network(
      "asymmetricpause_supported",
      "If this port device supports asymmetric pause frames",
      "device",
    ),
  },
  advertised: {
    speed: network(
      "advertised_speed_bytes",
      "Combination of speeds and features offered by network device",
      ...["device", "duplex", "mode"],
    ),
    autonegotiate: network("autonegotiate_advertised", "If this port device offers autonegotiate", "device"),
    pause: network("pause_advertised", "If this port device offers pause capability", "device"),
    asymmetricPause: network(
      "asymmetricpause_advertised",
      "If this port device offers asymmetric pause capability",
      "device",
    ),
  },
} as const;

const AUTONEGOTIATE_BIT = 6;
const PAUSE_BIT = 13;
const ASYMMETRIC_PAUSE_BIT = 14;
const MEGABIT_BYTES = 1e6 / 8;

/** Statistics that have names of their own; those of the rest are the drivers'. */
const KNOWN = new Map([
  ["rx_bytes", ["received_bytes_total", "Network interface bytes received"]],
  ["rx_dropped", ["received_dropped_total", "Number of received frames dropped"]],
  ["rx_errors", ["received_errors_total", "Number of received frames with errors"]],
  ["rx_packets", ["received_packets_total", "Network interface packets received"]],
  ["tx_bytes", ["transmitted_bytes_total", "Network interface bytes sent"]],
  ["tx_errors", ["transmitted_errors_total", "Number of sent frames with errors"]],
  ["tx_packets", ["transmitted_packets_total", "Network interface packets sent"]],
]);
const declare = memoize((statistic) => {
  const known = KNOWN.get(statistic);
  if (known !== undefined) return untyped(`node_ethtool_${known[0]}`, known[1]!, "device");
  return untyped(`node_ethtool_${metricName(statistic)}`, `Network interface ${statistic}`, "device");
});

export const ethtool: CollectorDefinition = {
  name: "ethtool",
  enabledByDefault: false,
  create: (options) =>
    createEthtool(options, () => new EthtoolSocket(requireLibc("take ethtool out of enable_collectors"))),
};

/** What network drivers are asked; replaced in tests. */
export interface EthtoolDevices extends Disposable {
  linkInfo(device: string): LinkInfo;
  driverInfo(device: string): DriverInfo;
  /** By the driver's name of each. */
  statistics(device: string): ReadonlyMap<string, number>;
}

export function createEthtool({ args, files, log }: CollectorOptions, open: () => EthtoolDevices) {
  const filter = new NameFilter(args.ethtool.device_exclude, args.ethtool.device_include);
  const isIncluded = memoize((statistic) => args.ethtool.metrics_include.test(statistic));
  /** What a device answers; undefined if its driver does not know the question. */
  const ask = <T>(device: string, what: string, question: () => T): T | undefined => {
    try {
      return question();
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      log.debug(`ethtool gets no ${what}`, { device, error });
      return undefined;
    }
  };
  return {
    collect(page: Page): void {
      using devices = open();
      for (const device of listSubject(files.sys("class/net"), "no network devices")) {
        if (filter.ignores(device)) continue;
        const link = ask(device, "link settings", () => devices.linkInfo(device));
        if (link !== undefined) addLink(page, device, link);
        const driver = ask(device, "driver information", () => devices.driverInfo(device));
        if (driver !== undefined) {
          const { busInfo, expansionRomVersion, firmwareVersion, version } = driver;
          page.add(info, 1, busInfo, device, driver.driver, expansionRomVersion, firmwareVersion, version);
        }
        const statistics = ask(device, "statistics", () => devices.statistics(device));
        if (statistics !== undefined) addStatistics(page, device, statistics, isIncluded);
      }
    },
  };
}

function addLink(page: Page, device: string, link: LinkInfo): void {
  const has = (modes: number, bit: number) => (modes >>> bit) & 1;
  for (const which of ["supported", "advertised"] as const) {
    const metrics = ABILITIES[which];
    const modes = link[which];
    for (const [bit, speed, duplex, mode] of SPEEDS) {
      if (has(modes, bit) === 1) page.add(metrics.speed, speed * MEGABIT_BYTES, device, duplex, mode);
    }
    page.add(metrics.autonegotiate, has(modes, AUTONEGOTIATE_BIT), device);
    page.add(metrics.pause, has(modes, PAUSE_BIT), device);
    page.add(metrics.asymmetricPause, has(modes, ASYMMETRIC_PAUSE_BIT), device);
  }
  for (const [bit, type] of PORTS) if (has(link.supported, bit) === 1) page.add(supportedPort, 1, device, type);
  page.add(autonegotiate, link.autonegotiate, device);
}

/** Leaves out statistics whose names become the same. */
function addStatistics(
  page: Page,
  device: string,
  statistics: ReadonlyMap<string, number>,
  isIncluded: (statistic: string) => boolean,
): void {
  const byName = new Map<string, string | undefined>();
  for (const statistic of statistics.keys()) {
    if (!isIncluded(statistic)) continue;
    const name = metricName(statistic);
    byName.set(name, byName.has(name) ? undefined : statistic);
  }
  for (const statistic of byName.values()) {
    if (statistic !== undefined) page.add(declare(statistic), statistics.get(statistic)!, device);
  }
}

/** `Tx Queue #0: bytes` → `transmitted_queue_0_bytes`. */
function metricName(statistic: string): string {
  return statistic
    .replace(/_*[^0-9A-Za-z_]+_*/g, "_")
    .toLowerCase()
    .replace(/^_+/, "")
    .replace(/(^|_)rx(_|$)/g, "$1received$2")
    .replace(/(^|_)tx(_|$)/g, "$1transmitted$2");
}
