import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readSubject } from "../subject.ts";

const running = counter(
  "node_schedstat_running_seconds_total",
  "Number of seconds CPU spent running a process.",
  "cpu",
);
const waiting = counter(
  "node_schedstat_waiting_seconds_total",
  "Number of seconds spent by processing waiting for this CPU.",
  "cpu",
);
const timeslices = counter("node_schedstat_timeslices_total", "Number of timeslices executed by CPU.", "cpu");

const NS = 1e9;

export const schedstat: CollectorDefinition = {
  name: "schedstat",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const line of readSubject(files.proc("schedstat"), "the kernel has no scheduler statistics").split("\n")) {
          if (!line.startsWith("cpu")) continue;
          const fields = line.split(" ");
          if (fields.length < 10) continue;
          const cpu = fields[0]!.slice(3);
          page.add(running, Number(fields[7]) / NS, cpu);
          page.add(waiting, Number(fields[8]) / NS, cpu);
          page.add(timeslices, Number(fields[9]), cpu);
        }
      },
    };
  },
};
