import { counter, memoize } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { errorCode, listFolder, readIfAny, readNumber } from "../files.ts";

const declare = memoize((zone) =>
  counter(
    `node_rapl_${zone.replace(/_*[^0-9A-Za-z_]+_*/g, "_")}_joules_total`,
    `Current RAPL ${zone} value in joules`,
    "index",
    "path",
  ),
);

export const rapl: CollectorDefinition = {
  name: "rapl",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/powercap");
        try {
          const used = new Map<string, number>();
          for (const entry of listFolder(root)) {
            const zone = readIfAny(`${root}/${entry}/name`);
            if (zone === undefined) continue;
            // "package-0" carries its index; of others, such as "core", the order tells it.
            const numbered = /^([^-]*)-(\d+)$/.exec(zone);
            const name = numbered?.[1] ?? zone;
            const index = numbered === null ? (used.get(zone) ?? 0) : Number(numbered[2]);
            used.set(name, index + 1);
            const joules = readNumber(`${root}/${entry}/energy_uj`) / 1e6;
            page.add(declare(name), joules, String(index), `${root}/${entry}`);
          }
        } catch (error) {
          const code = errorCode(error);
          if (code === "ENOENT") throw new NoDataError("no RAPL zones");
          if (code === "EACCES" || code === "EPERM") throw new NoDataError("RAPL zones can only be read by root");
          throw error;
        }
      },
    };
  },
};
