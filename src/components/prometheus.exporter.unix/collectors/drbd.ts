import { counter, gauge, type Metric } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { words } from "../files.ts";
import { readSubject } from "../subject.ts";

const total = (name: string, help: string) => counter(`node_drbd_${name}_total`, help, "device");
const value = (name: string, help: string) => gauge(`node_drbd_${name}`, help, "device");

/** Numbers of /proc/drbd (DRBD 8.4) by their key, with what one of them stands for. */
const NUMBERS: ReadonlyMap<string, readonly [metric: Metric, scale: number]> = new Map([
  ["ns", [total("network_sent_bytes", "Total number of bytes sent via the network."), 1024]],
  // node_exporter does not scale this one.
  ["nr", [total("network_received_bytes", "Total number of bytes received via the network."), 1]],
  ["dw", [total("disk_written_bytes", "Net data written on local hard disk; in bytes."), 1024]],
  ["dr", [total("disk_read_bytes", "Net data read from local hard disk; in bytes."), 1024]],
  ["al", [total("activitylog_writes", "Number of updates of the activity log area of the meta data."), 1]],
  ["bm", [total("bitmap_writes", "Number of updates of the bitmap area of the meta data."), 1]],
  ["lo", [value("local_pending", "Number of open requests to the local I/O sub-system."), 1]],
  [
    "pe",
    [
      value(
        "remote_pending",
        "Number of requests sent to the peer, but that have not yet been answered by the latter.",
      ),
      1,
    ],
  ],
  [
    "ua",
    [
      value(
        "remote_unacknowledged",
        "Number of requests received by the peer via the network connection, but that have not yet been answered.",
      ),
      1,
    ],
  ],
  [
    "ap",
    [value("application_pending", "Number of block I/O requests forwarded to DRBD, but not yet answered by DRBD."), 1],
  ],
  ["ep", [value("epochs", "Number of Epochs currently on the fly."), 1]],
  ["oos", [value("out_of_sync_bytes", "Amount of data known to be out of sync; in bytes."), 1024]],
]);

const connected = value("connected", "Whether DRBD is connected to the peer.");
/** Pairs of a state of this node and one of its peer, with the state that is good. */
const PAIRS: ReadonlyMap<string, readonly [metric: Metric, good: string]> = new Map([
  [
    "ro",
    [
      gauge(
        "node_drbd_node_role_is_primary",
        "Whether the role of the node is in the primary state.",
        "device",
        "node",
      ),
      "Primary",
    ],
  ],
  [
    "ds",
    [
      gauge("node_drbd_disk_state_is_up_to_date", "Whether the disk of the node is up to date.", "device", "node"),
      "UpToDate",
    ],
  ],
]);

export const drbd: CollectorDefinition = {
  name: "drbd",
  enabledByDefault: false,
  create({ files }) {
    return {
      collect(page) {
        let device = "unknown";
        for (const word of words(readSubject(files.proc("drbd"), "DRBD is not loaded"))) {
          const [key = "", text, ...rest] = word.split(":");
          if (text === undefined || rest.length > 0) continue;
          const number = NUMBERS.get(key);
          const pair = PAIRS.get(key);
          if (text === "" && /^\d+$/.test(key)) device = `drbd${Number(key)}`;
          else if (number !== undefined) page.add(number[0], Number(text) * number[1], device);
          else if (pair !== undefined) {
            const [local, remote] = text.split("/");
            page.add(pair[0], local === pair[1] ? 1 : 0, device, "local");
            page.add(pair[0], remote === pair[1] ? 1 : 0, device, "remote");
          } else if (key === "cs") page.add(connected, text === "Connected" ? 1 : 0, device);
        }
      },
    };
  },
};
