import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

const size = gauge("node_swap_size_bytes", "Swap device size in bytes.", "device", "swap_type");
const used = gauge("node_swap_used_bytes", "Swap device used in bytes.", "device", "swap_type");
const priority = gauge("node_swap_priority", "Swap device priority.", "device", "swap_type");

export const swap: CollectorDefinition = {
  name: "swap",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readLines(files.proc("swaps")).slice(1)) {
          const [device = "", type = "", kilobytes = "", usedKilobytes = "", rank = ""] = words(line);
          page.add(size, parseNumber(kilobytes) * 1024, device, type);
          page.add(used, parseNumber(usedKilobytes) * 1024, device, type);
          page.add(priority, parseNumber(rank), device, type);
        }
      },
    };
  },
};
