import { counter, gauge } from "#kits/exporter/page";
import type { Collector, CollectorDefinition } from "../collector.ts";
import { requireLibc } from "../libc.ts";
import {
  attributeText,
  linkNames,
  NETLINK_ROUTE,
  NetlinkSocket,
  type OpenNetlink,
  readAttributes,
} from "../netlink.ts";

const labels = ["device", "kind"];
const bytes = counter("node_qdisc_bytes_total", "Number of bytes sent.", ...labels);
const packets = counter("node_qdisc_packets_total", "Number of packets sent.", ...labels);
/** Where they are in the statistics of the queue (`struct gnet_stats_queue`), four bytes each. */
const QUEUE = [
  [0, gauge("node_qdisc_current_queue_length", "Number of packets currently in queue to be sent.", ...labels)],
  [4, gauge("node_qdisc_backlog", "Number of bytes currently in queue to be sent.", ...labels)],
  [8, counter("node_qdisc_drops_total", "Number of packets dropped.", ...labels)],
  [12, counter("node_qdisc_requeues_total", "Number of packets dequeued, not transmitted, and requeued.", ...labels)],
  [16, counter("node_qdisc_overlimits_total", "Number of overlimit packets.", ...labels)],
] as const;

const RTM_GETQDISC = 38;
/** `struct tcmsg`: family, index of the device at 4, handle at 8, parent at 12, info. */
const TC_HEADER_BYTES = 20;
const ROOT = 0xffffffff;
const TCA_KIND = 1;
const TCA_STATS2 = 7;
const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;

export const qdisc: CollectorDefinition = {
  name: "qdisc",
  enabledByDefault: false,
  create: () =>
    createQdisc((protocol) => new NetlinkSocket(requireLibc("take qdisc out of enable_collectors"), protocol)),
};

export function createQdisc(open: OpenNetlink): Collector {
  return {
    async collect(page) {
      using netlink = open(NETLINK_ROUTE);
      const names = await linkNames(netlink);
      for (const message of await netlink.dump(RTM_GETQDISC, Buffer.alloc(TC_HEADER_BYTES))) {
        const parent = message.readUInt32LE(12);
        if (parent !== 0 && parent !== ROOT) continue;
        const attributes = readAttributes(message, TC_HEADER_BYTES);
        const values = [names.get(message.readInt32LE(4)) ?? "", attributeText(attributes.get(TCA_KIND))] as const;
        const statistics = readAttributes(attributes.get(TCA_STATS2) ?? Buffer.alloc(0));
        const basic = statistics.get(TCA_STATS_BASIC);
        page.add(bytes, Number(basic?.readBigUInt64LE(0) ?? 0n), ...values);
        page.add(packets, basic?.readUInt32LE(8) ?? 0, ...values);
        const queue = statistics.get(TCA_STATS_QUEUE);
        for (const [at, metric] of QUEUE) page.add(metric, queue?.readUInt32LE(at) ?? 0, ...values);
      }
    },
  };
}
