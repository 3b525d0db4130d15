import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readIfAny } from "../files.ts";

const configMode = gauge("node_selinux_config_mode", "Configured SELinux enforcement mode");
const currentMode = gauge("node_selinux_current_mode", "Current SELinux enforcement mode");
const enabled = gauge("node_selinux_enabled", "SELinux is enabled, 1 is true, 0 is false");

const MODES: ReadonlyMap<string, number> = new Map([
  ["enforcing", 1],
  ["permissive", 0],
]);
const DISABLED = -1;

export const selinux: CollectorDefinition = {
  name: "selinux",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const enforce = readIfAny(files.sys("fs/selinux/enforce"));
        // A kernel that has SELinux but no policy calls every process "kernel".
        const label = readIfAny(files.proc("self/attr/current"))?.replace(/\0$/, "");
        if (enforce === undefined || label === undefined || label === "kernel") {
          page.add(enabled, 0);
          return;
        }
        page.add(enabled, 1);
        const config = readIfAny(files.root("/etc/selinux/config")) ?? "";
        const configured = /^\s*SELINUX\s*=\s*(\w+)/m.exec(config)?.[1]?.toLowerCase() ?? "";
        page.add(configMode, MODES.get(configured) ?? DISABLED);
        page.add(currentMode, enforce === "1" ? 1 : 0);
      },
    };
  },
};
