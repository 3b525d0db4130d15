import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { listMatching, readTrimmed } from "../files.ts";

const info = gauge(
  "node_cpu_vulnerabilities_info",
  "Details of each CPU vulnerability reported by sysfs. The value of the series is an int encoded state of the vulnerability. The same state is stored as a string in the label",
  "codename",
  "state",
);

const STATES = ["not affected", "vulnerable", "mitigation", "unknown"];

export const cpuVulnerabilities: CollectorDefinition = {
  name: "cpu_vulnerabilities",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("devices/system/cpu/vulnerabilities");
        for (const name of listMatching(root, /./)) {
          const text = readTrimmed(`${root}/${name}`);
          const state = STATES.find((each) => text.toLowerCase().startsWith(each));
          page.add(info, 1, name, state ?? "unknown");
        }
      },
    };
  },
};
