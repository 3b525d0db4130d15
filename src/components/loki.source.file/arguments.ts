import { counter, gauge } from "#base/metrics";
import type { Infer } from "#lang/schema";
import { s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";

export const schema = s
  .object({
    targets: s.targets().doc("Files to read: `__path__` is the file, the other labels go with its lines."),
    forward_to: s.list(s.consumer("logs")).doc("Where lines go."),
    encoding: s
      .string()
      .default("")
      .doc("IANA name of the encoding of the files; UTF-8 unless set. A byte order mark overrules it."),
    tail_from_end: s.bool().default(false).doc("Whether a file without a stored position is read from its end."),
    legacy_positions_file: s.string().default("").doc("Positions file of Grafana Agent or Promtail to take over once."),
    on_positions_file_error: s
      .oneOf(["skip", "restart_from_end", "restart_from_beginning"])
      .default("restart_from_beginning")
      .doc("What to do with a file whose stored position is damaged."),
    decompression: s
      .block(
        s.object({
          enabled: s.bool().doc("Whether files are compressed."),
          initial_delay: s.duration().default("0s").doc("Time to wait before a new file is read."),
          format: s.oneOf(["gz", "z", "bz2"]).doc("How files are compressed: gzip, zlib or bzip2."),
        }),
      )
      .doc("Reads compressed files."),
    file_watch: s
      .block(
        s.object({
          min_poll_frequency: s.duration().default("250ms").doc("Shortest pause between two looks at a file."),
          max_poll_frequency: s.duration().default("250ms").doc("Longest pause between two looks at a file."),
        }),
      )
      .presentByDefault()
      .doc("How often files are looked at where the system does not tell of changes."),
    file_match: s
      .block(
        s.object({
          enabled: s.bool().default(false).doc("Whether `__path__` of targets are patterns."),
          sync_period: s.duration().default("10s").doc("How often to look for files."),
          ignore_older_than: s
            .duration()
            .default("0s")
            .doc("Leaves out files that were not modified for this long; 0 for none."),
        }),
      )
      .presentByDefault()
      .doc("Finds files with patterns."),
  })
  .rule("file_match.sync_period", (each) => each.file_match.sync_period > 0, "must be greater than 0");

export type Arguments = Infer<typeof schema>;

export const metrics = {
  readBytes: gauge("loki_source_file_read_bytes_total", "Number of bytes read.", ["path"]),
  totalBytes: gauge("loki_source_file_file_bytes_total", "Number of bytes total.", ["path"]),
  readLines: counter("loki_source_file_read_lines_total", "Number of lines read.", ["path"]),
  filesActive: gauge("loki_source_file_files_active_total", "Number of active files."),
  lagBytes: gauge("loki_source_file_lag_bytes", "Bytes of the file that have not been read yet.", ["path"]),
  lagSeconds: gauge(
    "loki_source_file_lag_seconds",
    "How long the oldest bytes of the file that have not been read have been there.",
    ["path"],
  ),
  oldestUnread: gauge(
    "loki_source_file_oldest_unread_seconds",
    "How long the oldest bytes that have not been read have been there.",
  ),
  rotations: counter("loki_source_file_rotations_total", "Times that a file was moved, deleted or replaced.", ["path"]),
  unreadAtRotation: counter(
    "loki_source_file_unread_at_rotation_bytes_total",
    "Bytes that had not been read when their file was moved, deleted or replaced; they are read afterwards.",
    ["path"],
  ),
  lostBytes: counter("loki_source_file_lost_bytes_total", "Bytes that were gone before they were read.", [
    "path",
    "reason",
  ]),
};

export type Context = ComponentContext<Record<never, never>, typeof metrics>;
