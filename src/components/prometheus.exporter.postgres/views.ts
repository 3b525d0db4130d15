import type { SqlView, ViewColumn } from "#kits/sql/view";
import { isAtLeast, type ServerVersion } from "./server-version.ts";

/**
 * The views that are shown with the label `server`: names, help, types and labels of postgres_exporter's
 * `exporter/postgres_exporter.go` and `queries.go`. Their queries ask for all columns, so that those of later versions
 * appear as untyped metrics, as there.
 */

type Columns = Readonly<Record<string, ViewColumn>>;

const label: ViewColumn = { usage: "LABEL", help: "" };
const discard: ViewColumn = { usage: "DISCARD", help: "" };
const counter = (help: string): ViewColumn => ({ usage: "COUNTER", help });
const gauge = (help: string): ViewColumn => ({ usage: "GAUGE", help });
const all = (column: ViewColumn, names: readonly string[]): Columns =>
  Object.fromEntries(names.map((name) => [name, column]));

const CONFLICTS: Columns = {
  ...all(label, ["datid", "datname"]),
  confl_tablespace: counter("Number of queries in this database that have been canceled due to dropped tablespaces"),
  confl_lock: counter("Number of queries in this database that have been canceled due to lock timeouts"),
  confl_snapshot: counter("Number of queries in this database that have been canceled due to old snapshots"),
  confl_bufferpin: counter("Number of queries in this database that have been canceled due to pinned buffers"),
  confl_deadlock: counter("Number of queries in this database that have been canceled due to deadlocks"),
};

const REPLICATION: Columns = {
  // `slot_name` is no column of the view: the label takes the first one's value, which tells senders apart.
  ...all(label, ["application_name", "client_addr", "state", "slot_name"]),
  ...all(discard, [
    ...["pid", "procpid", "usesysid", "usename", "client_hostname", "client_port", "backend_start", "backend_xmin"],
    ...["sent_lsn", "write_lsn", "flush_lsn", "replay_lsn", "write_lag", "flush_lag", "replay_lag"],
    ...["sent_location", "write_location", "flush_location", "replay_location", "sync_priority", "sync_state"],
    ...["pg_current_wal_lsn", "pg_current_xlog_location"],
  ]),
  pg_current_wal_lsn_bytes: gauge("WAL position in bytes"),
  pg_wal_lsn_diff: gauge("Lag in bytes between master and slave"),
  pg_xlog_location_diff: gauge("Lag in bytes between master and slave"),
};

const SLOTS: Columns = {
  ...all(label, ["slot_name", "database"]),
  active: gauge("Flag indicating if the slot is active"),
  pg_wal_lsn_diff: gauge("Replication lag in bytes"),
};

const ARCHIVER: Columns = {
  archived_count: counter("Number of WAL files that have been successfully archived"),
  failed_count: counter("Number of failed attempts for archiving WAL files"),
  last_archive_age: gauge("Time in seconds since last WAL segment was successfully archived"),
  ...all(discard, ["last_archived_wal", "last_archived_time", "last_failed_wal", "last_failed_time", "stats_reset"]),
};

const ACTIVITY: Columns = {
  ...all(label, ["datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event"]),
  count: gauge("number of connections in this state"),
  max_tx_duration: gauge("max duration in seconds any active transaction has been running"),
};

/** States of sessions that are shown with 0 where a database has no such session. */
const STATES = [
  ...["active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "disabled"],
];

const GROUPS = "application_name, backend_type, wait_event_type, wait_event";
const ACTIVITY_QUERY = `SELECT pg_database.datname, states.state, sessions.usename,
  ${GROUPS.split(", ")
    .map((name) => `sessions.${name}`)
    .join(", ")},
  coalesce(sessions.count, 0) AS count, coalesce(sessions.max_tx_duration, 0) AS max_tx_duration
FROM unnest(ARRAY[${STATES.map((state) => `'${state}'`).join(", ")}]) AS states(state)
CROSS JOIN pg_database
LEFT JOIN (
  SELECT datname, state, usename, ${GROUPS}, count(*) AS count,
    max(extract(epoch FROM now() - xact_start))::float AS max_tx_duration
  FROM pg_stat_activity
  WHERE pid <> pg_backend_pid()
  GROUP BY datname, state, usename, ${GROUPS}
) AS sessions ON sessions.state = states.state AND sessions.datname = pg_database.datname`;

/** The built-in views for a version; before 10 the log's functions have other names. */
export function builtInViews(version: ServerVersion): readonly SqlView[] {
  const isNew = isAtLeast(version, 10);
  const [received, current, difference, column] = isNew
    ? ["pg_last_wal_receive_lsn()", "pg_current_wal_lsn()", "pg_wal_lsn_diff", "pg_wal_lsn_diff"]
    : [
        "pg_last_xlog_receive_location()",
        "pg_current_xlog_location()",
        "pg_xlog_location_diff",
        "pg_xlog_location_diff",
      ];
  const end = `(CASE WHEN pg_is_in_recovery() THEN ${received} ELSE ${current} END)`;
  const replayed = isNew ? "replay_lsn" : "replay_location";
  const bytes = isNew ? `, ${difference}(${end}, '0/0')::float AS pg_current_wal_lsn_bytes` : "";
  const view = (name: string, query: string, columns: Columns): SqlView => ({
    name,
    query,
    columns: new Map(Object.entries(columns)),
  });
  return [
    view("pg_stat_database_conflicts", "SELECT * FROM pg_stat_database_conflicts", CONFLICTS),
    view(
      "pg_stat_replication",
      `SELECT *, ${difference}(${end}, ${replayed})::float AS ${column}${bytes} FROM pg_stat_replication`,
      REPLICATION,
    ),
    view(
      "pg_replication_slots",
      `SELECT slot_name, database, active, ${difference}(${end}, restart_lsn) AS ${column} FROM pg_replication_slots`,
      SLOTS,
    ),
    view(
      "pg_stat_archiver",
      "SELECT *, extract(epoch FROM now() - last_archived_time) AS last_archive_age FROM pg_stat_archiver",
      ARCHIVER,
    ),
    view("pg_stat_activity", ACTIVITY_QUERY, ACTIVITY),
  ];
}
