import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readLines, words } from "../files.ts";
import { NameFilter } from "../filter.ts";
import { requireLibc } from "../libc.ts";
import { linkNames, NETLINK_ROUTE, type Netlink, NetlinkSocket } from "../netlink.ts";

const entries = gauge("node_arp_entries", "ARP entries by device", "device");

const RTM_GETNEIGH = 30;
/** `struct ndmsg`: family, index of the device at 4, state at 8. */
const NEIGHBOUR_BYTES = 12;
const AF_INET = 2;
/** State of addresses that need no resolution, which /proc/net/arp leaves out. */
const NUD_NOARP = 0x40;

export const arp: CollectorDefinition = {
  name: "arp",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.arp.device_exclude, args.arp.device_include);
    const count = async () => {
      if (!args.arp.netlink) return countLines(files.proc("net/arp"));
      using netlink = new NetlinkSocket(requireLibc("leave netlink of arp false"), NETLINK_ROUTE);
      return await countNeighbours(netlink);
    };
    return {
      async collect(page) {
        for (const [device, number] of await count()) {
          if (!filter.ignores(device)) page.add(entries, number, device);
        }
      },
    };
  },
};

function countLines(path: string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const line of readLines(path).slice(1)) {
    const device = words(line)[5];
    if (device === undefined) throw new Error(`unexpected line in ${path}: ${line}`);
    counts.set(device, (counts.get(device) ?? 0) + 1);
  }
  return counts;
}

export async function countNeighbours(netlink: Netlink): Promise<ReadonlyMap<string, number>> {
  const request = Buffer.alloc(NEIGHBOUR_BYTES);
  request[0] = AF_INET;
  const messages = await netlink.dump(RTM_GETNEIGH, request);
  const counts = new Map<string, number>();
  const names = messages.length === 0 ? new Map<number, string>() : await linkNames(netlink);
  for (const message of messages) {
    const device = names.get(message.readInt32LE(4));
    if (device === undefined || message[0] !== AF_INET || (message.readUInt16LE(8) & NUD_NOARP) !== 0) continue;
    counts.set(device, (counts.get(device) ?? 0) + 1);
  }
  return counts;
}
