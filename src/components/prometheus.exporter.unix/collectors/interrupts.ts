import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readLines, words } from "../files.ts";

const interruptsTotal = counter("node_interrupts_total", "Interrupt details.", "cpu", "type", "info", "devices");

export const interrupts: CollectorDefinition = {
  name: "interrupts",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const [header = "", ...lines] = readLines(files.proc("interrupts"));
        const cpus = words(header).length;
        for (const line of lines) {
          const colon = line.indexOf(":");
          const fields = words(line.slice(colon + 1));
          // ERR and MIS have one value for all CPUs and no description.
          if (colon < 0 || fields.length < cpus + 1) continue;
          const type = line.slice(0, colon).trim();
          const description = fields.slice(cpus);
          const isNumbered = /^\d+$/.test(type);
          const info = isNumbered ? description[0]! : description.join(" ");
          const devices = isNumbered ? description.slice(1).join(" ") : "";
          for (let cpu = 0; cpu < cpus; cpu++) {
            page.add(interruptsTotal, parseNumber(fields[cpu]!), String(cpu), type, info, devices);
          }
        }
      },
    };
  },
};
