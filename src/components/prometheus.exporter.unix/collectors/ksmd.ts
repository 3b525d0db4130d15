import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readNumber } from "../files.ts";

const help = (file: string) => `ksmd '${file}' file.`;
const value = (file: string) => [file, gauge(`node_ksmd_${file}`, help(file)), 1] as const;

const FILES = [
  ["full_scans", counter("node_ksmd_full_scans_total", help("full_scans")), 1],
  value("merge_across_nodes"),
  value("pages_shared"),
  value("pages_sharing"),
  value("pages_to_scan"),
  value("pages_unshared"),
  value("pages_volatile"),
  value("run"),
  ["sleep_millisecs", gauge("node_ksmd_sleep_seconds", help("sleep_millisecs")), 1000],
] as const;

export const ksmd: CollectorDefinition = {
  name: "ksmd",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const [file, metric, divisor] of FILES) {
          page.add(metric, readNumber(files.sys(`kernel/mm/ksm/${file}`)) / divisor);
        }
      },
    };
  },
};
