import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseHex, readLines, words } from "../files.ts";

/** Columns of /proc/net/softnet_stat, one line for each CPU; those that an old kernel lacks are zero. */
const COLUMNS = [
  [0, counter("node_softnet_processed_total", "Number of processed packets", "cpu")],
  [1, counter("node_softnet_dropped_total", "Number of dropped packets", "cpu")],
  [2, counter("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota", "cpu")],
  [
    8,
    counter(
      "node_softnet_cpu_collision_total",
      "Number of collision occur while obtaining device lock while transmitting",
      "cpu",
    ),
  ],
  [9, counter("node_softnet_received_rps_total", "Number of times cpu woken up received_rps", "cpu")],
  [10, counter("node_softnet_flow_limit_count_total", "Number of times flow limit has been reached", "cpu")],
  [11, gauge("node_softnet_backlog_len", "Softnet backlog status", "cpu")],
] as const;
const MIN_COLUMNS = 9;
const CPU_COLUMN = 12;

export const softnet: CollectorDefinition = {
  name: "softnet",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const [row, line] of readLines(files.proc("net/softnet_stat")).entries()) {
          const fields = words(line);
          if (fields.length < MIN_COLUMNS) throw new Error(`softnet_stat has only ${fields.length} columns`);
          const hasCpu = fields.length > CPU_COLUMN;
          const cpu = String(hasCpu ? parseHex(fields[CPU_COLUMN]!) : row);
          for (const [column, metric] of COLUMNS) {
            const isThere = column < fields.length && (column !== 11 || hasCpu);
            page.add(metric, isThere ? parseHex(fields[column]!) : 0, cpu);
          }
        }
      },
    };
  },
};
