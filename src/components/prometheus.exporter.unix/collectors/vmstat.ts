import { type Metric, memoize, untyped } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readText } from "../files.ts";

export const vmstat: CollectorDefinition = {
  name: "vmstat",
  enabledByDefault: true,
  create({ args, files }) {
    const declare = memoize((name): Metric | null =>
      args.vmstat.fields.test(name) ? untyped(`node_vmstat_${name}`, `/proc/vmstat information field ${name}.`) : null,
    );
    return {
      collect(page) {
        for (const line of readText(files.proc("vmstat")).split("\n")) {
          const space = line.indexOf(" ");
          if (space < 0) continue;
          const metric = declare(line.slice(0, space));
          if (metric !== null) page.add(metric, parseNumber(line.slice(space + 1)));
        }
      },
    };
  },
};
