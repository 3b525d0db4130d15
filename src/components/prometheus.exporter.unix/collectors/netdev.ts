import { networkInterfaces } from "node:os";
import { counter, gauge, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readText, words } from "../files.ts";
import { NameFilter } from "../filter.ts";

const statistic = (name: string) =>
  counter(`node_network_${name}_total`, `Network device statistic ${name}.`, "device");

/** The columns of /proc/net/dev behind the name of the device. */
const COLUMNS = [
  ...["receive_bytes", "receive_packets", "receive_errs", "receive_drop", "receive_fifo", "receive_frame"],
  ...["receive_compressed", "receive_multicast", "transmit_bytes", "transmit_packets", "transmit_errs"],
  ...["transmit_drop", "transmit_fifo", "transmit_colls", "transmit_carrier", "transmit_compressed"],
].map(statistic);

const addressInfo = gauge(
  "node_network_address_info",
  "node network address by device",
  ...["device", "address", "netmask", "scope"],
);

export const netdev: CollectorDefinition = {
  name: "netdev",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.netdev.device_exclude, args.netdev.device_include);
    return {
      collect(page) {
        // Two lines of headings.
        for (const line of readText(files.proc("net/dev")).split("\n").slice(2)) {
          // Names may hold colons (aliases), numbers do not.
          const colon = line.lastIndexOf(":");
          if (colon < 0) continue;
          const device = line.slice(0, colon).trim();
          if (filter.ignores(device)) continue;
          const values = words(line.slice(colon + 1));
          for (let i = 0; i < COLUMNS.length && i < values.length; i++)
            page.add(COLUMNS[i]!, Number(values[i]), device);
        }
        if (args.netdev.address_info) addAddresses(page);
      },
    };
  },
};

/** Of the interfaces that are up, which is what the system's resolver lists. */
function addAddresses(page: Page): void {
  for (const [device, addresses = []] of Object.entries(networkInterfaces())) {
    for (const { address, cidr } of addresses) {
      page.add(addressInfo, 1, device, address, cidr?.split("/")[1] ?? "", scopeOf(address));
    }
  }
}

/** As Go's `net.IP` sorts addresses. */
export function scopeOf(address: string): string {
  if (address.includes(".")) {
    if (/^(127\.|169\.254\.|224\.0\.0\.)/.test(address)) return "link-local";
    if (/^(22[4-9]|23\d)\./.test(address) || address === "0.0.0.0" || address === "255.255.255.255") return "";
    return "global";
  }
  if (address === "::1" || /^fe[89ab]/i.test(address) || /^ff.2/i.test(address)) return "link-local";
  if (/^ff.1/i.test(address)) return "interface-local";
  return address === "::" || /^ff/i.test(address) ? "" : "global";
}
