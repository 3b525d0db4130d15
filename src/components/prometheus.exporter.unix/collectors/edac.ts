import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, readNumber } from "../files.ts";

const correctable = counter("node_edac_correctable_errors_total", "Total correctable memory errors.", "controller");
const uncorrectable = counter(
  "node_edac_uncorrectable_errors_total",
  "Total uncorrectable memory errors.",
  "controller",
);
const rowCorrectable = counter(
  "node_edac_csrow_correctable_errors_total",
  "Total correctable memory errors for this csrow.",
  "controller",
  "csrow",
);
const rowUncorrectable = counter(
  "node_edac_csrow_uncorrectable_errors_total",
  "Total uncorrectable memory errors for this csrow.",
  "controller",
  "csrow",
);

export const edac: CollectorDefinition = {
  name: "edac",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("devices/system/edac/mc");
        for (const name of listMatching(root, /^mc[0-9]/)) {
          const controller = name.slice(2);
          const folder = `${root}/${name}`;
          page.add(correctable, readNumber(`${folder}/ce_count`), controller);
          page.add(rowCorrectable, readNumber(`${folder}/ce_noinfo_count`), controller, "unknown");
          page.add(uncorrectable, readNumber(`${folder}/ue_count`), controller);
          page.add(rowUncorrectable, readNumber(`${folder}/ue_noinfo_count`), controller, "unknown");
          for (const row of listMatching(folder, /^csrow[0-9]/)) {
            page.add(rowCorrectable, readNumber(`${folder}/${row}/ce_count`), controller, row.slice(5));
            page.add(rowUncorrectable, readNumber(`${folder}/${row}/ue_count`), controller, row.slice(5));
          }
        }
      },
    };
  },
};
