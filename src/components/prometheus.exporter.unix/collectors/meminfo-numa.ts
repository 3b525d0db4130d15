import { counter, gauge, memoize } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, parseNumber, readLines, words } from "../files.ts";

const help = (name: string) => `Memory information field ${name}.`;
const declareGauge = memoize((name) => gauge(`node_memory_numa_${name}`, help(name), "node"));
const declareCounter = memoize((name) => counter(`node_memory_numa_${name}`, help(name), "node"));

export const meminfoNuma: CollectorDefinition = {
  name: "meminfo_numa",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("devices/system/node");
        for (const folder of listMatching(root, /^node[0-9]/)) {
          for (const line of readLines(`${root}/${folder}/meminfo`)) {
            // "Node 0 Active(anon): 555 kB"
            const [, node = "", field = "", amount = "", unit] = words(line);
            const name = field.replace(/:$/, "").replace(/\((.*)\)/, "_$1");
            page.add(declareGauge(name), parseNumber(amount) * (unit === "kB" ? 1024 : 1), node);
          }
          for (const line of readLines(`${root}/${folder}/numastat`)) {
            const [name = "", count = ""] = words(line);
            page.add(declareCounter(`${name}_total`), parseNumber(count), folder.slice(4));
          }
        }
      },
    };
  },
};
