import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "#base/log";
import { Page } from "#kits/exporter/page";
import type { SqlResult } from "#kits/sql/result";
import type { Collection, CollectorOptions, StatementsOptions } from "./collector.ts";
import { COLLECTORS, selectCollectors } from "./collectors.ts";
import { statementsQuery } from "./collectors-statements.ts";
import { parseServerVersion, type ServerVersion, shortVersion } from "./server-version.ts";
import { builtInViews } from "./views.ts";

const STATEMENTS: StatementsOptions = {
  include_query: false,
  query_length: 120,
  limit: 0,
  exclude_databases: [],
  exclude_users: [],
};

const version = (text: string): ServerVersion => parseServerVersion(`PostgreSQL ${text}`, "")!;

/** Runs a collector on answers given in turn; the texts of its queries and the samples. */
async function collect(
  name: string,
  server: ServerVersion,
  options: Partial<CollectorOptions>,
  ...answers: SqlResult[]
) {
  const page = new Page();
  const queries: string[] = [];
  const collection: Collection = {
    page,
    version: server,
    options: { excludedDatabases: [], statements: STATEMENTS, ...options },
    log: createLogger({ enabled: () => false, write: () => {} }),
    async query(text) {
      queries.push(text);
      return answers.shift() ?? { columns: [], rows: [] };
    },
  };
  await COLLECTORS.get(name)!.collect(collection);
  const samples = page.families().flatMap((family) => family.samples);
  return { queries, samples: samples.map(({ name: each, labels, value }) => `${each} ${labels.join("|")} ${value}`) };
}

const answer = (columns: string, ...rows: (string | null)[][]): SqlResult => ({
  columns: columns.split(" ").map((name) => ({ name, kind: "text" })),
  rows,
});

test("without a choice the default collectors run, otherwise those that are named", () => {
  const names = (enabled: readonly string[]) => selectCollectors(enabled).map(({ name }) => name);
  assert.equal(COLLECTORS.size, 22);
  assert.deepEqual(names([]), [
    ...["database", "locks", "replication", "replication_slot", "roles", "stat_bgwriter", "stat_database"],
    ...["stat_progress_vacuum", "stat_user_tables", "statio_user_tables", "wal"],
  ]);
  assert.deepEqual(names(["wal", "postmaster"]), ["postmaster", "wal"]);
});

test("versions are read from what servers call themselves", () => {
  assert.equal(shortVersion(version("15.14 (Debian 15.14-0) on x86_64")), "15.14.0");
  assert.equal(shortVersion(version("9.6.2 on x86_64")), "9.6.2");
  assert.equal(shortVersion(version("18beta1 on x86_64")), "18.0.0");
  assert.equal(shortVersion(parseServerVersion("CockroachDB CCL v23.1", "13.0.0")!), "13.0.0");
  assert.equal(parseServerVersion("Something", "else"), undefined);
});

test("queries go by the version", async () => {
  const asked = async (name: string, text: string) => (await collect(name, version(text), {})).queries;
  const error = /has no column/;
  await assert.rejects(asked("stat_bgwriter", "17.1"), error); // the answer is empty here
  assert.deepEqual(await asked("stat_checkpointer", "16.3"), []);
  await assert.rejects(asked("stat_checkpointer", "17.0"), error);
  assert.deepEqual(await asked("buffercache_summary", "15.0"), []);
  assert.deepEqual(await asked("xlog_location", "15.0"), []);
  await assert.rejects(asked("xlog_location", "9.6.1"), error);
  const [, replication] = builtInViews(version("9.6.2"));
  assert.match(replication!.query, /pg_xlog_location_diff\(.*replay_location\)/);
  assert.match(builtInViews(version("15.1"))[1]!.query, /pg_wal_lsn_diff\(.*replay_lsn\)/);
});

test("the writer's columns before and since version 17", async () => {
  const columns = "buffers_clean maxwritten_clean buffers_alloc stats_reset";
  const { samples, queries } = await collect(
    "stat_bgwriter",
    version("17.0"),
    {},
    answer(columns, ["1", "2", "3", null]),
  );
  assert.deepEqual(samples, [
    "pg_stat_bgwriter_buffers_alloc_total  3",
    "pg_stat_bgwriter_buffers_clean_total  1",
    "pg_stat_bgwriter_maxwritten_clean_total  2",
    "pg_stat_bgwriter_stats_reset_total  0",
  ]);
  assert.equal(queries[0]!.includes("checkpoint"), false);
});

test("a vacuum shows the phase that it is in", async () => {
  const columns = "datname relname param1 param2 param3 param4 param5 param6 param7";
  const row = ["app", null, "2", "100", "50", "10", "1", "999", "5"];
  const { samples } = await collect("stat_progress_vacuum", version("15.0"), {}, answer(columns, row));
  const labels = "datname|app|relname|unknown";
  assert.equal(samples.filter((each) => each.startsWith("pg_stat_progress_vacuum_phase ")).length, 7);
  assert.ok(samples.includes(`pg_stat_progress_vacuum_phase ${labels}|phase|vacuuming indexes 1`));
  assert.ok(samples.includes(`pg_stat_progress_vacuum_phase ${labels}|phase|vacuuming heap 0`));
  assert.ok(samples.includes(`pg_stat_progress_vacuum_heap_blks_scanned ${labels} 50`));
});

test("databases on the list are left out", async () => {
  const { samples, queries } = await collect(
    "database",
    version("15.0"),
    { excludedDatabases: ["secrets"] },
    answer("datname connection_limit oid", ["app", "-1", "5"], ["secrets", "-1", "6"]),
    answer("size", ["1234"]),
  );
  assert.deepEqual(samples, ["pg_database_connection_limit datname|app -1", "pg_database_size_bytes datname|app 1234"]);
  assert.match(queries[1]!, /pg_database_size\(5::oid\)/);
});

test("statements are limited and filtered, and their texts come once", async () => {
  const options: StatementsOptions = {
    include_query: true,
    query_length: 40,
    limit: 7,
    exclude_databases: ["it's", "b\\c"],
    exclude_users: ["root"],
  };
  const query = statementsQuery(options, version("15.0"));
  assert.match(query, /FROM pg_stat_statements\(true\)/);
  assert.match(query, /FROM pg_stat_statements\(false\)\)/);
  assert.match(query, /left\(query, 40\) AS query/);
  assert.ok(query.includes("datname NOT IN (E'it''s', E'b\\\\c')"), query);
  assert.match(query, /pg_get_userbyid\(userid\) NOT IN \(E'root'\)/);
  assert.match(query, /LIMIT 7$/);
  assert.match(statementsQuery(STATEMENTS, version("17.2")), /shared_blk_read_time(.|\n)*LIMIT 100$/);
  const old = statementsQuery(STATEMENTS, version("12.2"));
  assert.ok(old.includes("total_time >") && !old.includes("total_exec_time") && !old.includes("pg_stat_statements("));

  const columns =
    "user datname queryid calls_total rows_total seconds_total block_read_seconds_total block_write_seconds_total query";
  const row = (user: string | null, calls: string) => [user, "app", "77", calls, "1", "0.5", "0", "0", "SELECT 1"];
  const { samples } = await collect(
    "stat_statements",
    version("15.0"),
    { statements: options },
    answer(columns, row("a", "5"), row("a", "3"), row(null, "2")),
  );
  assert.ok(samples.includes("pg_stat_statements_calls_total user|a|datname|app|queryid|77 5"));
  assert.ok(samples.includes("pg_stat_statements_calls_total user|unknown|datname|app|queryid|77 2"));
  assert.equal(samples.filter((each) => each.startsWith("pg_stat_statements_calls_total")).length, 2);
  assert.deepEqual(
    samples.filter((each) => each.startsWith("pg_stat_statements_query_id")),
    ["pg_stat_statements_query_id queryid|77|query|SELECT 1 1"],
  );
});
