import { counter } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { parseNumber } from "../files.ts";
import { readSubject } from "../subject.ts";

const tasks = counter(
  "node_kernel_hung_tasks_total",
  "Total number of tasks that have been detected as hung since the system booted.",
);

/** Newer than what Alloy has, and so off by default. */
export const kernelHung: CollectorDefinition = {
  name: "kernel_hung",
  enabledByDefault: false,
  create({ files }) {
    const path = files.proc("sys/kernel/hung_task_detect_count");
    return {
      collect: (page) => page.add(tasks, parseNumber(readSubject(path, "the kernel does not count hung tasks"))),
    };
  },
};
