import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readLines, words } from "../files.ts";
import { NameFilter } from "../filter.ts";

const entries = gauge("node_arp_entries", "ARP entries by device", "device");

export const arp: CollectorDefinition = {
  name: "arp",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.arp.device_exclude, args.arp.device_include);
    return {
      collect(page) {
        const counts = new Map<string, number>();
        for (const line of readLines(files.proc("net/arp")).slice(1)) {
          const device = words(line)[5];
          if (device === undefined) throw new Error(`unexpected line in ${files.proc("net/arp")}: ${line}`);
          counts.set(device, (counts.get(device) ?? 0) + 1);
        }
        for (const [device, count] of counts) if (!filter.ignores(device)) page.add(entries, count, device);
      },
    };
  },
};
