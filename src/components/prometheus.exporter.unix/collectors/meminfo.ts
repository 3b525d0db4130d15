import { gauge, type Metric } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readText } from "../files.ts";

/** The fields that node_exporter knows; kernels add others. */
const BYTES = [
  ...["Active", "Active(anon)", "Active(file)", "AnonHugePages", "AnonPages", "Bounce", "Buffers", "Cached", "CmaFree"],
  ...["CmaTotal", "CommitLimit", "Committed_AS", "DirectMap1G", "DirectMap2M", "DirectMap4k", "Dirty"],
  ...["HardwareCorrupted", "Hugepagesize", "Inactive", "Inactive(anon)", "Inactive(file)", "KernelStack", "Mapped"],
  ...["MemAvailable", "MemFree", "MemTotal", "Mlocked", "NFS_Unstable", "PageTables", "Percpu", "SReclaimable"],
  ...["SUnreclaim", "Shmem", "ShmemHugePages", "ShmemPmdMapped", "Slab", "SwapCached", "SwapFree", "SwapTotal"],
  ...["Unevictable", "VmallocChunk", "VmallocTotal", "VmallocUsed", "Writeback", "WritebackTmp", "Zswap", "Zswapped"],
];
const PAGES = ["HugePages_Free", "HugePages_Rsvd", "HugePages_Surp", "HugePages_Total"];

const field = (name: string) => gauge(`node_memory_${name}`, `Memory information field ${name}.`);
const METRICS: ReadonlyMap<string, Metric> = new Map([
  ...BYTES.map((name) => [name, field(`${name.replace("(", "_").replace(")", "")}_bytes`)] as const),
  ...PAGES.map((name) => [name, field(name)] as const),
]);

export const meminfo: CollectorDefinition = {
  name: "meminfo",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readText(files.proc("meminfo")).split("\n")) {
          const colon = line.indexOf(":");
          const metric = METRICS.get(line.slice(0, colon));
          if (metric === undefined) continue;
          const [amount = "", unit] = line
            .slice(colon + 1)
            .trim()
            .split(" ");
          page.add(metric, parseNumber(amount) * (unit === "kB" ? 1024 : 1));
        }
      },
    };
  },
};
