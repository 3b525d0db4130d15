import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readTrimmed } from "../files.ts";
import { listSubject } from "../subject.ts";

const info = gauge(
  "node_nvme_info",
  "Non-numeric data from /sys/class/nvme/<device>, value is always 1.",
  ...["device", "firmware_revision", "model", "serial", "state"],
);

export const nvme: CollectorDefinition = {
  name: "nvme",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.sys("class/nvme");
        for (const device of listSubject(root, "no NVMe devices")) {
          const labels = ["firmware_rev", "model", "serial", "state"].map((file) =>
            readTrimmed(`${root}/${device}/${file}`),
          );
          page.add(info, 1, device, ...labels);
        }
      },
    };
  },
};
