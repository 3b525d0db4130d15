import { counter, gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readNumber } from "../files.ts";
import { NameFilter } from "../filter.ts";
import { listSubject } from "../subject.ts";

const total = (name: string, help: string) => counter(`node_tape_${name}_total`, help, "device");
const NS = 1e-9;

const STATISTICS = [
  ["in_flight", gauge("node_tape_io_now", "The number of I/Os currently outstanding to this device.", "device"), 1],
  [
    "io_ns",
    total(
      "io_time_seconds",
      "The amount of time spent waiting for all I/O to complete (including read and write). This includes tape movement commands such as seeking between file or set marks and implicit tape movement such as when rewind on close tape devices are used.",
    ),
    NS,
  ],
  [
    "other_cnt",
    total(
      "io_others",
      "The number of I/Os issued to the tape drive other than read or write commands. The time taken to complete these commands uses the following calculation io_time_seconds_total-read_time_seconds_total-write_time_seconds_total",
    ),
    1,
  ],
  ["read_byte_cnt", total("read_bytes", "The number of bytes read from the tape drive."), 1],
  ["read_cnt", total("reads_completed", "The number of read requests issued to the tape drive."), 1],
  ["read_ns", total("read_time_seconds", "The amount of time spent waiting for read requests to complete."), NS],
  [
    "resid_cnt",
    total(
      "residual",
      "The number of times during a read or write we found the residual amount to be non-zero. This should mean that a program is issuing a read larger thean the block size on tape. For write not all data made it to tape.",
    ),
    1,
  ],
  ["write_byte_cnt", total("written_bytes", "The number of bytes written to the tape drive."), 1],
  ["write_cnt", total("writes_completed", "The number of write requests issued to the tape drive."), 1],
  ["write_ns", total("write_time_seconds", "The amount of time spent waiting for write requests to complete."), NS],
] as const;

export const tapestats: CollectorDefinition = {
  name: "tapestats",
  enabledByDefault: true,
  create({ args, files }) {
    const filter = new NameFilter(args.tapestats.ignored_devices);
    return {
      collect(page) {
        const root = files.sys("class/scsi_tape");
        for (const device of listSubject(root, "no tape drives")) {
          // "nst0", "st0a" and so on are the same drive.
          if (!/^st\d+$/.test(device) || filter.ignores(device)) continue;
          for (const [file, metric, scale] of STATISTICS) {
            page.add(metric, readNumber(`${root}/${device}/stats/${file}`) * scale, device);
          }
        }
      },
    };
  },
};
