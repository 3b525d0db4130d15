import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readText, words } from "../files.ts";

const METRICS = [
  gauge("node_load1", "1m load average."),
  gauge("node_load5", "5m load average."),
  gauge("node_load15", "15m load average."),
];

export const loadavg: CollectorDefinition = {
  name: "loadavg",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const loads = words(readText(files.proc("loadavg")));
        for (let i = 0; i < METRICS.length; i++) page.add(METRICS[i]!, parseNumber(loads[i] ?? ""));
      },
    };
  },
};
