import { gauge, memoize } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readText } from "../files.ts";

/** Fields of /proc/meminfo; kernels add new ones. */
const declare = memoize((name: string) => gauge(`node_memory_${name}`, `Memory information field ${name}.`));

const LINE = /^([^:\n]+):\s+(\d+)(?: (kB))?$/gm;

export const meminfo: CollectorDefinition = {
  name: "meminfo",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const [, field = "", amount, unit] of readText(files.proc("meminfo")).matchAll(LINE)) {
          const name = field.replace("(", "_").replace(")", "");
          if (unit === undefined) page.add(declare(name), Number(amount));
          else page.add(declare(`${name}_bytes`), Number(amount) * 1024);
        }
      },
    };
  },
};
