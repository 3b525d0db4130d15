import { counter, gauge, type Page } from "#kits/exporter/page";
import { type Collector, type CollectorDefinition, NoDataError } from "../collector.ts";
import { errorCode } from "../files.ts";
import { requireLibc } from "../libc.ts";
import {
  attributeText,
  NETLINK_GENERIC,
  type Netlink,
  NetlinkSocket,
  type OpenNetlink,
  readAttributes,
  writeAttribute,
} from "../netlink.ts";

const frequency = gauge(
  "node_wifi_interface_frequency_hertz",
  "The current frequency a WiFi interface is operating at, in hertz.",
  "device",
);
const stationInfo = gauge(
  "node_wifi_station_info",
  "Labeled WiFi interface station information as provided by the operating system.",
  ...["device", "bssid", "ssid", "mode"],
);
const station = (name: string) => `node_wifi_station_${name}`;
const labels = ["device", "mac_address"];
const connected = counter(
  station("connected_seconds_total"),
  "The total number of seconds a station has been connected to an access point.",
  ...labels,
);
const inactive = gauge(
  station("inactive_seconds"),
  "The number of seconds since any wireless activity has occurred on a station.",
  ...labels,
);
const receiveRate = gauge(
  station("receive_bits_per_second"),
  "The current WiFi receive bitrate of a station, in bits per second.",
  ...labels,
);
const transmitRate = gauge(
  station("transmit_bits_per_second"),
  "The current WiFi transmit bitrate of a station, in bits per second.",
  ...labels,
);
const received = counter(
  station("receive_bytes_total"),
  "The total number of bytes received by a WiFi station.",
  ...labels,
);
const transmitted = counter(
  station("transmit_bytes_total"),
  "The total number of bytes transmitted by a WiFi station.",
  ...labels,
);
const signal = gauge(
  station("signal_dbm"),
  "The current WiFi signal strength, in decibel-milliwatts (dBm).",
  ...labels,
);
const retries = counter(
  station("transmit_retries_total"),
  "The total number of times a station has had to retry while sending a packet.",
  ...labels,
);
const failed = counter(
  station("transmit_failed_total"),
  "The total number of times a station has failed to send a packet.",
  ...labels,
);
const beaconLoss = counter(
  station("beacon_loss_total"),
  "The total number of times a station has detected a beacon loss.",
  ...labels,
);

/** Of `linux/genetlink.h`: a message starts with its command, a version and two bytes. */
const GENERIC_HEADER_BYTES = 4;
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

/** Of `linux/nl80211.h`. */
const GET_INTERFACE = 5;
const GET_STATION = 17;
const GET_SCAN = 32;
const ATTR_IFINDEX = 3;
const ATTR_IFNAME = 4;
const ATTR_MAC = 6;
const ATTR_STA_INFO = 21;
const ATTR_WIPHY_FREQ = 38;
const ATTR_BSS = 47;
const BSS_BSSID = 1;
const BSS_INFORMATION_ELEMENTS = 6;
const BSS_STATUS = 9;
/** By the status: authenticated, associated, joined. */
const MODES = ["client", "client", "ad-hoc"];
const RATE_BITRATE = 1;
const RATE_BITRATE32 = 5;
const RATE_UNIT = 100_000;
/** The information element that holds the name of the network. */
const SSID_ELEMENT = 0;

export const wifi: CollectorDefinition = {
  name: "wifi",
  enabledByDefault: false,
  create: () =>
    createWifi((protocol) => new NetlinkSocket(requireLibc("take wifi out of enable_collectors"), protocol)),
};

export function createWifi(open: OpenNetlink): Collector {
  return {
    async collect(page) {
      using netlink = open(NETLINK_GENERIC);
      const family = findFamily(netlink);
      const ask = async (command: number, ...attributes: readonly Buffer[]) => {
        const messages = await netlink.dump(family, genericMessage(command, ...attributes));
        return messages.map((message) => readAttributes(message, GENERIC_HEADER_BYTES));
      };
      for (const device of await ask(GET_INTERFACE)) {
        const name = attributeText(device.get(ATTR_IFNAME));
        // Some virtual devices have no name.
        if (name === "") continue;
        page.add(frequency, number(device.get(ATTR_WIPHY_FREQ)) * 1e6, name);
        const which = [ATTR_IFINDEX, ATTR_MAC].flatMap((type) => {
          const value = device.get(type);
          return value === undefined ? [] : [writeAttribute(type, value)];
        });
        addNetwork(page, name, await ask(GET_SCAN, ...which));
        for (const attributes of await ask(GET_STATION, ...which)) addStation(page, name, attributes);
      }
    },
  };
}

function genericMessage(command: number, ...attributes: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([command, 1, 0, 0]), ...attributes]);
}

/** The number under which the kernel's wireless part answers. Throws `NoDataError` where there is none. */
function findFamily(netlink: Netlink): number {
  const name = writeAttribute(CTRL_ATTR_FAMILY_NAME, Buffer.from("nl80211\0"));
  try {
    const answer = netlink.get(GENL_ID_CTRL, genericMessage(CTRL_CMD_GETFAMILY, name));
    return number(readAttributes(answer, GENERIC_HEADER_BYTES).get(CTRL_ATTR_FAMILY_ID));
  } catch (error) {
    if (["ENOENT", "EACCES", "EPERM"].includes(errorCode(error) ?? "")) throw new NoDataError("no wireless devices");
    throw error;
  }
}

/** Of the networks that the device hears, the one that it takes part in. */
function addNetwork(page: Page, device: string, heard: readonly ReadonlyMap<number, Buffer>[]): void {
  for (const attributes of heard) {
    const network = readAttributes(attributes.get(ATTR_BSS) ?? Buffer.alloc(0));
    const status = network.get(BSS_STATUS);
    if (status === undefined) continue;
    const ssid = networkName(network.get(BSS_INFORMATION_ELEMENTS) ?? Buffer.alloc(0));
    page.add(stationInfo, 1, device, hardwareAddress(network.get(BSS_BSSID)), ssid, MODES[number(status)] ?? "unknown");
    return;
  }
}

/** Elements of a type, a length and as many bytes (IEEE 802.11). */
function networkName(elements: Buffer): string {
  for (let at = 0; at + 2 <= elements.length; at += 2 + elements[at + 1]!) {
    if (elements[at] === SSID_ELEMENT) return elements.toString("utf8", at + 2, at + 2 + elements[at + 1]!);
  }
  return "";
}

function addStation(page: Page, device: string, attributes: ReadonlyMap<number, Buffer>): void {
  const nested = attributes.get(ATTR_STA_INFO);
  if (nested === undefined) return;
  const facts = readAttributes(nested);
  const values = [device, hardwareAddress(attributes.get(ATTR_MAC))] as const;
  page.add(connected, number(facts.get(16)), ...values);
  page.add(inactive, number(facts.get(1)) / 1000, ...values);
  page.add(receiveRate, bitRate(facts.get(14)), ...values);
  page.add(transmitRate, bitRate(facts.get(8)), ...values);
  // Counters of 64 bits, or of 32 from drivers that have no others.
  page.add(received, number(facts.get(23)) || number(facts.get(2)), ...values);
  page.add(transmitted, number(facts.get(24)) || number(facts.get(3)), ...values);
  page.add(signal, facts.get(7)?.readInt8(0) ?? 0, ...values);
  page.add(retries, number(facts.get(11)), ...values);
  page.add(failed, number(facts.get(12)), ...values);
  page.add(beaconLoss, number(facts.get(18)), ...values);
}

function bitRate(nested: Buffer | undefined): number {
  if (nested === undefined) return 0;
  const rate = readAttributes(nested);
  return (number(rate.get(RATE_BITRATE32)) || number(rate.get(RATE_BITRATE))) * RATE_UNIT;
}

/** An unsigned number of two, four or eight bytes; zero for none. */
function number(value: Buffer | undefined): number {
  if (value === undefined) return 0;
  if (value.length >= 8) return Number(value.readBigUInt64LE(0));
  return value.length >= 4 ? value.readUInt32LE(0) : value.readUInt16LE(0);
}

function hardwareAddress(address: Buffer | undefined): string {
  return address === undefined ? "" : Array.from(address, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
