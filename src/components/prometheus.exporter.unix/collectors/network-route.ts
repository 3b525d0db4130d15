import { SocketAddress } from "node:net";
import { gauge, type Page } from "#kits/exporter/page";
import type { Collector, CollectorDefinition } from "../collector.ts";
import { requireLibc } from "../libc.ts";
import { linkNames, NETLINK_ROUTE, NetlinkSocket, type OpenNetlink, readAttributes } from "../netlink.ts";

const info = gauge(
  "node_network_route_info",
  "network routing table information",
  ...["device", "src", "dest", "gw", "priority", "proto", "weight"],
);
const count = gauge("node_network_routes", "network routes by interface", "device");

const RTM_GETROUTE = 26;
/** `struct rtmsg`: family, length of the destination's prefix at 1, protocol at 5, type at 7. */
const ROUTE_HEADER_BYTES = 12;
const RTN_UNICAST = 1;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_MULTIPATH = 9;
/** `struct rtnexthop`: length, flags, hops at 3, index of the device at 4; attributes follow. */
const NEXT_HOP_BYTES = 8;

/** Names of `linux/rtnetlink.h`, as node_exporter writes them. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  ...{ 0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra" },
  ...{ 12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 42: "babel", 186: "bgp" },
  ...{ 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp" },
};

export const networkRoute: CollectorDefinition = {
  name: "network_route",
  enabledByDefault: false,
  create: () =>
    createNetworkRoute(
      (protocol) => new NetlinkSocket(requireLibc("take network_route out of enable_collectors"), protocol),
    ),
};

/** One way that packets take: a route has several when it balances between next hops. */
interface Way {
  readonly device: number;
  readonly gateway: Buffer | undefined;
  /** Empty for the only way of a route. */
  readonly weight: string;
}

export function createNetworkRoute(open: OpenNetlink): Collector {
  return {
    async collect(page) {
      using netlink = open(NETLINK_ROUTE);
      const names = await linkNames(netlink);
      addRoutes(page, names, await netlink.dump(RTM_GETROUTE, Buffer.alloc(ROUTE_HEADER_BYTES)));
    },
  };
}

function addRoutes(page: Page, names: ReadonlyMap<number, string>, messages: readonly Buffer[]): void {
  const counts = new Map<string, number>();
  // Tables may hold the same route, which makes one series.
  const seen = new Set<string>();
  for (const message of messages) {
    if (message[7] !== RTN_UNICAST) continue;
    const attributes = readAttributes(message, ROUTE_HEADER_BYTES);
    const prefix = message[1]!;
    const destination = prefix === 0 ? "default" : `${addressText(attributes.get(RTA_DST))}/${prefix}`;
    const priority = String(attributes.get(RTA_PRIORITY)?.readUInt32LE(0) ?? 0);
    const protocol = PROTOCOLS[message[5]!] ?? "unknown";
    for (const way of ways(attributes)) {
      const device = names.get(way.device) ?? "";
      counts.set(device, (counts.get(device) ?? 0) + 1);
      const ends = [addressText(attributes.get(RTA_PREFSRC)), destination, addressText(way.gateway)] as const;
      const values = [device, ...ends, priority, protocol, way.weight] as const;
      const key = values.join("\n");
      if (seen.has(key)) continue;
      seen.add(key);
      page.add(info, 1, ...values);
    }
  }
  for (const [device, number] of counts) page.add(count, number, device);
}

function ways(attributes: ReadonlyMap<number, Buffer>): Way[] {
  const hops = attributes.get(RTA_MULTIPATH);
  if (hops === undefined || hops.length === 0) {
    const device = attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0;
    return [{ device, gateway: attributes.get(RTA_GATEWAY), weight: "" }];
  }
  const found: Way[] = [];
  for (let at = 0; at + NEXT_HOP_BYTES <= hops.length; ) {
    const length = hops.readUInt16LE(at);
    if (length < NEXT_HOP_BYTES || at + length > hops.length) throw new Error("a next hop of a route is cut off");
    const gateway = readAttributes(hops.subarray(at, at + length), NEXT_HOP_BYTES).get(RTA_GATEWAY);
    found.push({ device: hops.readInt32LE(at + 4), gateway, weight: String(hops[at + 3]! + 1) });
    at += (length + 3) & ~3;
  }
  return found;
}

/** An address of IPv4 or IPv6 in its usual form; empty for none. */
function addressText(address: Buffer | undefined): string {
  if (address === undefined) return "";
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: address.length >> 1 }, (_, i) => address.readUInt16BE(2 * i).toString(16));
  return new SocketAddress({ address: groups.join(":"), family: "ipv6" }).address;
}
