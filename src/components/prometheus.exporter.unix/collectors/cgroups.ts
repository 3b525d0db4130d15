import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

const count = gauge("node_cgroups_cgroups", "Current cgroup number of the subsystem.", "subsys_name");
const enabled = gauge("node_cgroups_enabled", "Current cgroup number of the subsystem.", "subsys_name");

export const cgroups: CollectorDefinition = {
  name: "cgroups",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readLines(files.proc("cgroups"))) {
          if (line.startsWith("#")) continue;
          const [name = "", , groups = "", isEnabled = ""] = words(line);
          page.add(count, parseNumber(groups), name);
          page.add(enabled, parseNumber(isEnabled), name);
        }
      },
    };
  },
};
