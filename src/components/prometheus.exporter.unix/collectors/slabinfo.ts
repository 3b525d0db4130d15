import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

/** The columns behind the name. */
const COLUMNS = [
  gauge("node_slabinfo_active_objects", "The number of objects that are currently active (i.e., in use).", "slab"),
  gauge(
    "node_slabinfo_objects",
    "The total number of allocated objects (i.e., objects that are both in use and not in use).",
    "slab",
  ),
  gauge("node_slabinfo_object_size_bytes", "The size of objects in this slab, in bytes.", "slab"),
  gauge("node_slabinfo_objects_per_slab", "The number of objects stored in each slab.", "slab"),
  gauge("node_slabinfo_pages_per_slab", "The number of pages allocated for each slab.", "slab"),
];

export const slabinfo: CollectorDefinition = {
  name: "slabinfo",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readLines(files.proc("slabinfo"))) {
          if (line.startsWith("slabinfo") || line.startsWith("#")) continue;
          const [slab = "", ...values] = words(line);
          for (const [i, metric] of COLUMNS.entries()) page.add(metric, parseNumber(values[i] ?? ""), slab);
        }
      },
    };
  },
};
