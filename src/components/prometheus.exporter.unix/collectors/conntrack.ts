import { gauge } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { isMissing, parseHex, readLines, readNumber, words } from "../files.ts";

const current = gauge(
  "node_nf_conntrack_entries",
  "Number of currently allocated flow entries for connection tracking.",
);
const limit = gauge("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.");

/** Columns of /proc/net/stat/nf_conntrack, one line for each CPU. */
const COLUMNS = [
  [2, gauge("node_nf_conntrack_stat_found", "Number of searched entries which were successful.")],
  [4, gauge("node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked.")],
  [
    5,
    gauge("node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry."),
  ],
  [8, gauge("node_nf_conntrack_stat_insert", "Number of entries inserted into the list.")],
  [
    9,
    gauge(
      "node_nf_conntrack_stat_insert_failed",
      "Number of entries for which list insertion was attempted but failed.",
    ),
  ],
  [10, gauge("node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure.")],
  [
    11,
    gauge(
      "node_nf_conntrack_stat_early_drop",
      "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.",
    ),
  ],
  [
    16,
    gauge(
      "node_nf_conntrack_stat_search_restart",
      "Number of conntrack table lookups which had to be restarted due to hashtable resizes.",
    ),
  ],
] as const;

export const conntrack: CollectorDefinition = {
  name: "conntrack",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        try {
          page.add(current, readNumber(files.proc("sys/net/netfilter/nf_conntrack_count")));
          page.add(limit, readNumber(files.proc("sys/net/netfilter/nf_conntrack_max")));
          const rows = readLines(files.proc("net/stat/nf_conntrack")).slice(1).map(words);
          for (const [column, metric] of COLUMNS) {
            let sum = 0;
            for (const row of rows) sum += parseHex(row[column] ?? "0");
            page.add(metric, sum);
          }
        } catch (error) {
          if (isMissing(error)) throw new NoDataError("connection tracking is not loaded");
          throw error;
        }
      },
    };
  },
};
