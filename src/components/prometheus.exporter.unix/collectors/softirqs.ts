import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

const functions = counter("node_softirqs_functions_total", "Softirq counts per CPU.", "cpu", "type");

export const softirqs: CollectorDefinition = {
  name: "softirqs",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readLines(files.proc("softirqs")).slice(1)) {
          const [type = "", ...counts] = words(line);
          for (const [cpu, count] of counts.entries()) {
            page.add(functions, parseNumber(count), String(cpu), type.slice(0, -1));
          }
        }
      },
    };
  },
};
