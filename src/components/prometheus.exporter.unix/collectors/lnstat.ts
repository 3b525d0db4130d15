import { counter, memoize } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, parseHex, readLines, words } from "../files.ts";

const declare = memoize((field) =>
  counter(`node_lnstat_${field}_total`, "linux network cache stats", "subsystem", "cpu"),
);

export const lnstat: CollectorDefinition = {
  name: "lnstat",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.proc("net/stat");
        for (const subsystem of listMatching(root, /./)) {
          const [header = "", ...rows] = readLines(`${root}/${subsystem}`);
          const fields = words(header);
          for (const [cpu, row] of rows.entries()) {
            for (const [i, text] of words(row).entries()) {
              if (i < fields.length) page.add(declare(fields[i]!), parseHex(text), subsystem, String(cpu));
            }
          }
        }
      },
    };
  },
};
