import { parseMysqlDsn } from "#kits/mysql-dsn";
import { type Infer, s } from "#lang/schema";

const names = (text: string) => s.list(s.string()).default([]).doc(text);

const processlist = s.object({
  min_time: s.int().default(0).doc("Least time, in seconds, that a thread has been in its state to be counted."),
  processes_by_user: s.bool().default(true).doc("Report the number of processes of each user."),
  processes_by_host: s.bool().default(true).doc("Report the number of processes of each host."),
});

const tables = s.object({
  databases: s.string().default("*").doc("Databases whose tables are reported, separated by commas; `*` for all."),
});

const statements = s.object({
  limit: s.int(0).default(250).doc("How many statements are reported: those with the most time."),
  time_limit: s.int(0).default(86_400).doc("How long ago, in seconds, a statement may have been seen last."),
  text_limit: s.int(0).default(120).doc("Longest text of a statement."),
  exclude_schemas: names("Databases whose statements are left out, beside MySQL's own."),
});

const fileInstances = s.object({
  filter: s.string().default(".*").doc("Regular expression of the server for the files that are reported."),
  remove_prefix: s.string().default("/var/lib/mysql").doc("What is taken from the beginning of the names of files."),
});

const memoryEvents = s.object({
  remove_prefix: s.string().default("memory/").doc("What is taken from the beginning of the names of events."),
});

const heartbeat = s.object({
  database: s.string().default("heartbeat").doc("Database of the table that pt-heartbeat writes."),
  table: s.string().default("heartbeat").doc("Table that pt-heartbeat writes."),
  utc: s.bool().default(false).doc("pt-heartbeat is called with `--utc`."),
});

const user = s.object({
  privileges: s.bool().default(false).doc("Report the privileges of each user."),
});

/** As in Alloy's `internal/component/prometheus/exporter/mysql/mysql.go`. */
export const mysqlArguments = s
  .object({
    data_source_name: s
      .secret()
      .default("")
      .doc(
        "The server: `user:password@tcp(host:3306)/`; without it, the environment variable `MYSQLD_EXPORTER_DATA_SOURCE_NAME`.",
      ),
    enable_collectors: names("Collectors to add to those that run by default."),
    disable_collectors: names("Collectors to leave out of those that run by default."),
    set_collectors: names("Collectors to run in place of those that run by default."),
    enable_lock_wait_timeout: s.bool().default(true).doc("Set `lock_wait_timeout` for the exporter's queries."),
    lock_wait_timeout: s.int(0).default(2).doc("Longest, in seconds, that a query waits for a lock of metadata."),
    log_slow_filter: s
      .bool()
      .default(false)
      .doc("Keep the exporter's queries out of the slow query log; MariaDB and Percona only."),
    "info_schema.processlist": s.block(processlist).presentByDefault().doc("The collector of that name."),
    "info_schema.tables": s.block(tables).presentByDefault().doc("The collector of that name."),
    "perf_schema.eventsstatements": s.block(statements).presentByDefault().doc("The collector of that name."),
    "perf_schema.file_instances": s.block(fileInstances).presentByDefault().doc("The collector of that name."),
    "perf_schema.memory_events": s.block(memoryEvents).presentByDefault().doc("The collector of that name."),
    heartbeat: s.block(heartbeat).presentByDefault().doc("The collector of that name."),
    "mysql.user": s.block(user).presentByDefault().doc("The collector of that name."),
  })
  .rule(
    "data_source_name",
    ({ data_source_name }) => problemOf(data_source_name.reveal()) === undefined,
    ({ data_source_name }) => problemOf(data_source_name.reveal()) ?? "",
  );

export type MysqlArguments = Infer<typeof mysqlArguments>;

function problemOf(dsn: string): string | undefined {
  try {
    parseMysqlDsn(dsn);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
