import { counter, gauge, type Metric } from "#kits/exporter/page";
import { of, type TableMetric } from "#kits/sql/table";
import { type CollectorDefinition, tableCollector } from "./collector.ts";

/** Where the log ends: what is written by a primary, or received by a standby. */
const LOG_END = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END)";

function perSlot(column: string, name: string, help: string, whenNull: TableMetric["whenNull"] = "zero"): TableMetric {
  return of(column, gauge(`pg_replication_slot_${name}`, help, "slot_name", "slot_type"), whenNull);
}

const SLOTS: readonly TableMetric[] = [
  perSlot("current_wal_lsn", "slot_current_wal_lsn", "current wal lsn value"),
  perSlot("is_active", "slot_is_active", "whether the replication slot is active or not"),
  // Only of slots that somebody uses.
  perSlot(
    "confirmed_flush_lsn",
    "slot_confirmed_flush_lsn",
    "last lsn confirmed flushed to the replication slot",
    "skip",
  ),
];
const SLOTS_SINCE_13: readonly TableMetric[] = [
  perSlot(
    "safe_wal_size",
    "safe_wal_size_bytes",
    "number of bytes that can be written to WAL such that this slot is not in danger of getting in state lost",
    "skip",
  ),
  of(
    "has_wal_status",
    gauge(
      "pg_replication_slot_wal_status",
      "availability of WAL files claimed by this slot",
      ...["slot_name", "slot_type", "wal_status"],
    ),
    "skip",
  ),
];
const SLOTS_COLUMNS = `slot_name, slot_type, active::int AS is_active,
  ${LOG_END} - '0/0' AS current_wal_lsn,
  CASE WHEN active THEN coalesce(confirmed_flush_lsn, '0/0') - '0/0' END AS confirmed_flush_lsn`;

function ofReceiver(
  kind: (name: string, help: string, ...labels: string[]) => Metric,
  name: string,
  help: string,
  whenNull: TableMetric["whenNull"] = "skip row",
): TableMetric {
  return of(name, kind(`pg_stat_wal_receiver_${name}`, help, "upstream_host", "slot_name", "status"), whenNull);
}

const RECEIVER: readonly TableMetric[] = [
  ofReceiver(
    counter,
    "receive_start_lsn",
    "First write-ahead log location used when WAL receiver is started represented as a decimal",
  ),
  ofReceiver(gauge, "receive_start_tli", "First timeline number used when WAL receiver is started"),
  ofReceiver(gauge, "received_tli", "Timeline number of last write-ahead log location received and flushed to disk"),
  ofReceiver(counter, "last_msg_send_time", "Send time of last message received from origin WAL sender"),
  ofReceiver(counter, "last_msg_receipt_time", "Send time of last message received from origin WAL sender"),
  ofReceiver(counter, "latest_end_lsn", "Last write-ahead log location reported to origin WAL sender as integer"),
  ofReceiver(counter, "latest_end_time", "Time of last write-ahead log location reported to origin WAL sender"),
  ofReceiver(gauge, "upstream_node", "Node ID of the upstream node", "skip"),
];
const FLUSHED = ofReceiver(
  counter,
  "flushed_lsn",
  "Last write-ahead log location already received and flushed to disk, the initial value of this field being the first log location used when WAL receiver is started represented as a decimal",
);
/** Positions keep their lowest 52 bits, which a float holds exactly. */
const position = (column: string) => `(${column} - '0/0') % (2 ^ 52)::bigint AS ${column}`;
const RECEIVER_COLUMNS = `trim(BOTH '''' FROM substring(conninfo FROM 'host=([^ ]*)')) AS upstream_host, slot_name, status,
  ${position("receive_start_lsn")}, receive_start_tli, received_tli, ${position("latest_end_lsn")},
  extract(epoch FROM last_msg_send_time) AS last_msg_send_time,
  extract(epoch FROM last_msg_receipt_time) AS last_msg_receipt_time,
  extract(epoch FROM latest_end_time) AS latest_end_time,
  substring(slot_name FROM 'repmgr_slot_([0-9]*)') AS upstream_node`;

export const replicationCollectors: readonly CollectorDefinition[] = [
  tableCollector("replication", true, {
    query: `SELECT
  CASE
    WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp()))
  END AS lag,
  pg_is_in_recovery()::int AS is_replica,
  greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) AS last_replay`,
    metrics: [
      of("lag", gauge("pg_replication_lag_seconds", "Replication lag behind master in seconds")),
      of("is_replica", gauge("pg_replication_is_replica", "Indicates if the server is a replica")),
      of("last_replay", gauge("pg_replication_last_replay_seconds", "Age of last replay in seconds")),
    ],
  }),
  tableCollector(
    "replication_slot",
    true,
    {
      since: 13,
      query: `SELECT ${SLOTS_COLUMNS}, safe_wal_size, wal_status,
  CASE WHEN wal_status IS NOT NULL THEN 1 END AS has_wal_status
FROM pg_replication_slots`,
      metrics: [...SLOTS, ...SLOTS_SINCE_13],
    },
    { query: `SELECT ${SLOTS_COLUMNS} FROM pg_replication_slots`, metrics: SLOTS },
  ),
  tableCollector(
    "stat_wal_receiver",
    false,
    {
      since: 13,
      query: `SELECT ${RECEIVER_COLUMNS}, ${position("flushed_lsn")} FROM pg_stat_wal_receiver`,
      metrics: [...RECEIVER, FLUSHED],
      nullLabel: "skip row",
    },
    { query: `SELECT ${RECEIVER_COLUMNS} FROM pg_stat_wal_receiver`, metrics: RECEIVER, nullLabel: "skip row" },
  ),
  tableCollector("xlog_location", false, {
    until: 9,
    query: `SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_xlog_replay_location() ELSE pg_current_xlog_location() END
  - '0/0') % (2 ^ 52)::bigint AS bytes`,
    metrics: [
      of(
        "bytes",
        gauge(
          "pg_xlog_location_bytes",
          "Postgres LSN (log sequence number) being generated on primary or replayed on replica (truncated to low 52 bits)",
        ),
      ),
    ],
  }),
];
