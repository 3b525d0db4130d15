import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber, readIfAny } from "../files.ts";
import { listSubject } from "../subject.ts";

const value = (file: string, name = file) =>
  [file, gauge(`node_watchdog_${name}`, `Value of /sys/class/watchdog/<watchdog>/${file}`, "name")] as const;

const VALUES = [
  value("bootstatus"),
  value("fw_version"),
  value("nowayout"),
  value("timeleft", "timeleft_seconds"),
  value("timeout", "timeout_seconds"),
  value("pretimeout", "pretimeout_seconds"),
  value("access_cs0"),
];
const LABELS = ["options", "identity", "state", "status", "pretimeout_governor"];
const info = gauge("node_watchdog_info", "Info of /sys/class/watchdog/<watchdog>", "name", ...LABELS);

export const watchdog: CollectorDefinition = {
  name: "watchdog",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/watchdog");
        for (const name of listSubject(root, "no watchdogs")) {
          for (const [file, metric] of VALUES) {
            const text = readIfAny(`${root}/${name}/${file}`);
            if (text !== undefined && text !== "") page.add(metric, parseNumber(text), name);
          }
          page.add(info, 1, name, ...LABELS.map((file) => readIfAny(`${root}/${name}/${file}`) ?? ""));
        }
      },
    };
  },
};
