import { counter, gauge, type Metric } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readText } from "../files.ts";

/** Lines of /proc/stat by their first word; the first number counts. */
const LINES: ReadonlyMap<string, Metric> = new Map([
  ["intr", counter("node_intr_total", "Total number of interrupts serviced.")],
  ["ctxt", counter("node_context_switches_total", "Total number of context switches.")],
  ["processes", counter("node_forks_total", "Total number of forks.")],
  ["btime", gauge("node_boot_time_seconds", "Node boot time, in unixtime.")],
  ["procs_running", gauge("node_procs_running", "Number of processes in runnable state.")],
  ["procs_blocked", gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.")],
]);

export const stat: CollectorDefinition = {
  name: "stat",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readText(files.proc("stat")).split("\n")) {
          const space = line.indexOf(" ");
          const metric = LINES.get(line.slice(0, space));
          // The line of interrupts has thousands of numbers.
          if (metric !== undefined) page.add(metric, Number.parseInt(line.slice(space + 1, space + 24), 10));
        }
      },
    };
  },
};
