import { readdirSync, readFileSync } from "node:fs";
import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { exists } from "../files.ts";

const labels = ["service", "supervisor"];
const state = gauge("node_service_state", "State of runit service.", ...labels);
const desired = gauge("node_service_desired_state", "Desired state of runit service.", ...labels);
const normal = gauge("node_service_normal_state", "Normal state of runit service.", ...labels);
const lastChange = gauge(
  "node_service_state_last_change_timestamp_seconds",
  "Unix timestamp of the last runit service state change.",
  ...labels,
);

/** A file `supervise/status`: the time as TAI64N, the process, whether paused, what is wanted, a signal, the state. */
const STATUS_BYTES = 20;
const WANTED_AT = 17;
const STATE_AT = 19;
/** The second of 1970 in TAI64, with the leap seconds as runit counts them. */
const TAI_OFFSET = 4_611_686_018_427_387_914n;
const WANTED_UP = 0x75;
const DEFAULT_FOLDER = "/etc/service";

export const runit: CollectorDefinition = {
  name: "runit",
  enabledByDefault: false,
  create({ args, log }) {
    const folder = args.runit.service_dir || DEFAULT_FOLDER;
    return {
      collect(page) {
        for (const entry of readdirSync(folder, { withFileTypes: true })) {
          if (!entry.isDirectory() && !entry.isSymbolicLink()) continue;
          const supervise = `${folder}/${entry.name}/supervise`;
          let status: Buffer;
          try {
            status = readFileSync(`${supervise}/status`);
          } catch (error) {
            log.debug("cannot get the status of a service", { service: entry.name, error });
            continue;
          }
          if (status.length < STATUS_BYTES) continue;
          const values = [entry.name, "runit"] as const;
          page.add(state, status[STATE_AT]!, ...values);
          page.add(desired, status[WANTED_AT] === WANTED_UP ? 1 : 0, ...values);
          page.add(lastChange, Number(status.readBigUInt64BE(0) - TAI_OFFSET), ...values);
          page.add(normal, exists(`${supervise}/down`) ? 0 : 1, ...values);
        }
      },
    };
  },
};
