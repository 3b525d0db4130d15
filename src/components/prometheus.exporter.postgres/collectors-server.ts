import { counter, gauge } from "#kits/exporter/page";
import { of, type TableMetric } from "#kits/sql/table";
import { type CollectorDefinition, tableCollector } from "./collector.ts";

function ofWriter(column: string, help: string): TableMetric {
  return of(column, counter(`pg_stat_bgwriter_${column}_total`, help));
}

const WRITER: readonly TableMetric[] = [
  ofWriter("buffers_clean", "Number of buffers written by the background writer"),
  ofWriter(
    "maxwritten_clean",
    "Number of times the background writer stopped a cleaning scan because it had written too many buffers",
  ),
  ofWriter("buffers_alloc", "Number of buffers allocated"),
  ofWriter("stats_reset", "Time at which these statistics were last reset"),
];
const WRITER_UNTIL_16: readonly TableMetric[] = [
  ofWriter("checkpoints_timed", "Number of scheduled checkpoints that have been performed"),
  ofWriter("checkpoints_req", "Number of requested checkpoints that have been performed"),
  ofWriter(
    "checkpoint_write_time",
    "Total amount of time that has been spent in the portion of checkpoint processing where files are written to disk, in milliseconds",
  ),
  ofWriter(
    "checkpoint_sync_time",
    "Total amount of time that has been spent in the portion of checkpoint processing where files are synchronized to disk, in milliseconds",
  ),
  ofWriter("buffers_checkpoint", "Number of buffers written during checkpoints"),
  ofWriter("buffers_backend", "Number of buffers written directly by a backend"),
  ofWriter(
    "buffers_backend_fsync",
    "Number of times a backend had to execute its own fsync call (normally the background writer handles those even when the backend does its own write)",
  ),
];

function ofCheckpointer(column: string, help: string): TableMetric {
  return of(column, counter(`pg_stat_checkpointer_${column}_total`, help));
}

const CHECKPOINTER: readonly TableMetric[] = [
  ofCheckpointer("num_timed", "Number of scheduled checkpoints due to timeout"),
  ofCheckpointer("num_requested", "Number of requested checkpoints that have been performed"),
  ofCheckpointer(
    "restartpoints_timed",
    "Number of scheduled restartpoints due to timeout or after a failed attempt to perform it",
  ),
  ofCheckpointer("restartpoints_req", "Number of requested restartpoints"),
  ofCheckpointer("restartpoints_done", "Number of restartpoints that have been performed"),
  ofCheckpointer(
    "write_time",
    "Total amount of time that has been spent in the portion of processing checkpoints and restartpoints where files are written to disk, in milliseconds",
  ),
  ofCheckpointer(
    "sync_time",
    "Total amount of time that has been spent in the portion of processing checkpoints and restartpoints where files are synchronized to disk, in milliseconds",
  ),
  ofCheckpointer("buffers_written", "Number of buffers written during checkpoints and restartpoints"),
  ofCheckpointer("stats_reset", "Time at which these statistics were last reset"),
];

function ofBuffers(column: string, help: string): TableMetric {
  return of(column, gauge(`pg_buffercache_summary_${column}`, help));
}

const BUFFERS: readonly TableMetric[] = [
  ofBuffers("buffers_used", "Number of used shared buffers"),
  ofBuffers("buffers_unused", "Number of unused shared buffers"),
  ofBuffers("buffers_dirty", "Number of dirty shared buffers"),
  ofBuffers("buffers_pinned", "Number of pinned shared buffers"),
  ofBuffers("usagecount_avg", "Average usage count of used shared buffers"),
];

const select = (metrics: readonly TableMetric[], from: string) =>
  `SELECT ${metrics.map(({ column }) => column).join(", ")} FROM ${from}`;

export const serverCollectors: readonly CollectorDefinition[] = [
  tableCollector(
    "stat_bgwriter",
    true,
    { since: 17, query: select(WRITER, "pg_stat_bgwriter"), metrics: WRITER },
    {
      query: select([...WRITER, ...WRITER_UNTIL_16], "pg_stat_bgwriter"),
      metrics: [...WRITER, ...WRITER_UNTIL_16],
    },
  ),
  tableCollector("stat_checkpointer", false, {
    since: 17,
    query: select(CHECKPOINTER, "pg_stat_checkpointer"),
    metrics: CHECKPOINTER,
  }),
  tableCollector("buffercache_summary", false, {
    since: 16,
    query: select(BUFFERS, "pg_buffercache_summary()"),
    metrics: BUFFERS,
  }),
  tableCollector("postmaster", false, {
    query: "SELECT extract(epoch FROM pg_postmaster_start_time()) AS started",
    metrics: [of("started", gauge("pg_postmaster_start_time_seconds", "Time at which postmaster started"))],
  }),
  tableCollector("roles", true, {
    query: "SELECT rolname, rolconnlimit FROM pg_roles",
    nullLabel: "skip row",
    metrics: [
      of(
        "rolconnlimit",
        gauge("pg_roles_connection_limit", "Connection limit set for the role", "rolname"),
        "skip row",
      ),
    ],
  }),
  tableCollector("wal", true, {
    // The names of segments, beside which archives, histories and partial segments lie.
    query: "SELECT count(*) AS segments, sum(size) AS size FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'",
    metrics: [
      of("segments", gauge("pg_wal_segments", "Number of WAL segments")),
      of("size", gauge("pg_wal_size_bytes", "Total size of WAL segments"), "skip"),
    ],
  }),
];
