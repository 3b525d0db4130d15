import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

const blocks = gauge("node_buddyinfo_blocks", "Count of free blocks according to size.", "node", "zone", "size");

export const buddyinfo: CollectorDefinition = {
  name: "buddyinfo",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readLines(files.proc("buddyinfo"))) {
          // "Node 0, zone      DMA      1      0 …": one count for each power of two of pages.
          const [, node = "", , zone = "", ...counts] = words(line);
          for (const [size, count] of counts.entries()) {
            page.add(blocks, parseNumber(count), node.replace(/,$/, ""), zone.replace(/,$/, ""), String(size));
          }
        }
      },
    };
  },
};
