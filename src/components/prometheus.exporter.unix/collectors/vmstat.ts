import { type Metric, memoize, untyped } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { eachField, readText } from "../files.ts";

export const vmstat: CollectorDefinition = {
  name: "vmstat",
  enabledByDefault: true,
  create({ args, files }) {
    const declare = memoize((name): Metric | null =>
      args.vmstat.fields.test(name) ? untyped(`node_vmstat_${name}`, `/proc/vmstat information field ${name}.`) : null,
    );
    return {
      collect(page) {
        eachField(readText(files.proc("vmstat")), (name, value) => {
          const metric = declare(name);
          if (metric !== null) page.add(metric, value);
        });
      },
    };
  },
};
