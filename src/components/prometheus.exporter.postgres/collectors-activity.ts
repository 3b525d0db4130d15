import { formatFloat } from "#base/metrics";
import { gauge } from "#kits/exporter/page";
import { cellNumber } from "#kits/sql/result";
import { of } from "#kits/sql/table";
import { type Collection, type CollectorDefinition, tableCollector } from "./collector.ts";

const LOCK_MODES = [
  "accesssharelock",
  "rowsharelock",
  "rowexclusivelock",
  "shareupdateexclusivelock",
  "sharelock",
  "sharerowexclusivelock",
  "exclusivelock",
  "accessexclusivelock",
  "sireadlock",
];

/** Every mode of every database, those without a lock with 0. */
const LOCKS_QUERY = `SELECT pg_database.datname, modes.mode, count(pg_locks.mode) AS count
FROM unnest(ARRAY[${LOCK_MODES.map((mode) => `'${mode}'`).join(", ")}]) AS modes(mode)
CROSS JOIN pg_database
LEFT JOIN pg_locks ON pg_locks.database = pg_database.oid AND lower(pg_locks.mode) = modes.mode
GROUP BY pg_database.datname, modes.mode`;

/** Upper bounds of idle times in seconds. */
const IDLE_BOUNDS = [1, 2, 5, 15, 30, 60, 90, 120, 300];
const IDLE_QUERY = `SELECT state, application_name, sum(seconds::bigint)::float AS sum, count(*) AS count,
  ${IDLE_BOUNDS.map((bound) => `count(*) FILTER (WHERE seconds <= ${bound})`).join(",\n  ")}
FROM (
  SELECT state, application_name, extract(epoch FROM now() - state_change) AS seconds
  FROM pg_stat_activity
  WHERE state LIKE 'idle%' AND pid <> pg_backend_pid()
) AS sessions
GROUP BY state, application_name`;
const idleSeconds = {
  name: "pg_process_idle_seconds",
  help: "Idle time of server processes",
  type: "histogram",
} as const;

/** One histogram for each state and application; postgres_exporter gives only the first of them, and fails without any. */
async function collectIdle({ page, query }: Collection): Promise<void> {
  for (const [state, application, sum, count, ...counts] of (await query(IDLE_QUERY)).rows) {
    const labels = ["state", state ?? "unknown", "application_name", application ?? "unknown"];
    const add = (suffix: string, cell: string | null | undefined, ...own: string[]) =>
      page.addSample(idleSeconds, {
        name: `${idleSeconds.name}_${suffix}`,
        labels: [...labels, ...own],
        value: cellNumber("float", cell ?? "0")!,
      });
    for (const [i, bound] of IDLE_BOUNDS.entries()) add("bucket", counts[i], "le", formatFloat(bound));
    add("bucket", count, "le", "+Inf");
    add("sum", sum);
    add("count", count);
  }
}

export const activityCollectors: readonly CollectorDefinition[] = [
  tableCollector("locks", true, {
    query: LOCKS_QUERY,
    nullLabel: "skip row",
    metrics: [of("count", gauge("pg_locks_count", "Number of locks", "datname", "mode"))],
  }),
  tableCollector("long_running_transactions", false, {
    query: `SELECT count(*) AS transactions, max(extract(epoch FROM clock_timestamp() - xact_start)) AS oldest
FROM pg_stat_activity
WHERE state IS DISTINCT FROM 'idle' AND query NOT LIKE 'autovacuum:%' AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`,
    metrics: [
      of("transactions", gauge("pg_long_running_transactions", "Current number of long running transactions")),
      of(
        "oldest",
        gauge(
          "pg_long_running_transactions_oldest_timestamp_seconds",
          "The current maximum transaction age in seconds",
        ),
      ),
    ],
  }),
  tableCollector("stat_activity_autovacuum", false, {
    query: `SELECT split_part(query, '.', 2) AS relname, extract(epoch FROM xact_start) AS started
FROM pg_stat_activity WHERE query LIKE 'autovacuum:%'`,
    metrics: [
      of(
        "started",
        gauge(
          "pg_stat_activity_autovacuum_timestamp_seconds",
          "Start timestamp of the vacuum process in seconds",
          "relname",
        ),
        "skip row",
      ),
    ],
  }),
  { name: "process_idle", byDefault: false, collect: collectIdle },
];
