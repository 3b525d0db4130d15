import { setImmediate } from "node:timers/promises";
import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { exists, listMatching, parseRanges, readIfAny, readNumberIfAny, readText } from "../files.ts";

/** Files with kilohertz. */
const FREQUENCIES = [
  ["cpuinfo_cur_freq", gauge("node_cpu_frequency_hertz", "Current CPU thread frequency in hertz.", "cpu")],
  ["cpuinfo_min_freq", gauge("node_cpu_frequency_min_hertz", "Minimum CPU thread frequency in hertz.", "cpu")],
  ["cpuinfo_max_freq", gauge("node_cpu_frequency_max_hertz", "Maximum CPU thread frequency in hertz.", "cpu")],
  [
    "scaling_cur_freq",
    gauge("node_cpu_scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz.", "cpu"),
  ],
  [
    "scaling_min_freq",
    gauge("node_cpu_scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz.", "cpu"),
  ],
  [
    "scaling_max_freq",
    gauge("node_cpu_scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz.", "cpu"),
  ],
] as const;
const governor = gauge("node_cpu_scaling_governor", "Current enabled CPU frequency governor.", "cpu", "governor");

/** CPUs looked at before others get their turn. */
const SLICE = 32;

export const cpufreq: CollectorDefinition = {
  name: "cpufreq",
  enabledByDefault: true,
  create({ files }) {
    return {
      async collect(page) {
        const root = files.sys("devices/system/cpu");
        const offline = new Set(parseRanges(readText(`${root}/offline`)).map((number) => `cpu${number}`));
        for (const [i, name] of listMatching(root, /^cpu[0-9]/).entries()) {
          if (i % SLICE === SLICE - 1) await setImmediate();
          const folder = `${root}/${name}/cpufreq`;
          if (offline.has(name) || !exists(folder)) continue;
          const number = name.slice(3);
          for (const [file, metric] of FREQUENCIES) {
            const kilohertz = readNumberIfAny(`${folder}/${file}`);
            if (kilohertz !== undefined) page.add(metric, kilohertz * 1000, number);
          }
          const current = readIfAny(`${folder}/scaling_governor`);
          if (!current) continue;
          for (const available of (readIfAny(`${folder}/scaling_available_governors`) ?? "").split(" ")) {
            page.add(governor, available === current ? 1 : 0, number, available);
          }
        }
      },
    };
  },
};
