import { hostname, machine, release, type, version } from "node:os";
import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readIfAny } from "../files.ts";

const info = gauge(
  "node_uname_info",
  "Labeled system information as provided by the uname system call.",
  ...["sysname", "release", "version", "machine", "nodename", "domainname"],
);

export const uname: CollectorDefinition = {
  name: "uname",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const domain = readIfAny(files.proc("sys/kernel/domainname")) ?? "(none)";
        page.add(info, 1, type(), release(), version(), machine(), hostname(), domain);
      },
    };
  },
};
