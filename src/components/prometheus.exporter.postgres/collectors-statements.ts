import { counter, type Metric } from "#kits/exporter/page";
import { addTable, of, type TableMetric } from "#kits/sql/table";
import type { Collection, CollectorDefinition, StatementsOptions } from "./collector.ts";
import { isAtLeast, type ServerVersion } from "./server-version.ts";

function perStatement(column: string, help: string): TableMetric {
  return of(column, counter(`pg_stat_statements_${column}`, help, "user", "datname", "queryid"));
}

const STATEMENTS: readonly TableMetric[] = [
  perStatement("calls_total", "Number of times executed"),
  perStatement("seconds_total", "Total time spent in the statement, in seconds"),
  perStatement("rows_total", "Total number of rows retrieved or affected by the statement"),
  perStatement("block_read_seconds_total", "Total time the statement spent reading blocks, in seconds"),
  perStatement("block_write_seconds_total", "Total time the statement spent writing blocks, in seconds"),
];
const queryId: Metric = counter("pg_stat_statements_query_id", "SQL Query to queryid mapping", "queryid", "query");

/** What `limit = 0` stands for. */
const DEFAULT_LIMIT = 100;

/** Columns of `pg_stat_statements` that were given other names. */
function columnsOf(version: ServerVersion): { readonly total: string; readonly read: string; readonly write: string } {
  return {
    total: isAtLeast(version, 13) ? "total_exec_time" : "total_time",
    read: isAtLeast(version, 17) ? "shared_blk_read_time" : "blk_read_time",
    write: isAtLeast(version, 17) ? "shared_blk_write_time" : "blk_write_time",
  };
}

/** The statements that take longest, without the tenth that takes least. */
export function statementsQuery(options: StatementsOptions, version: ServerVersion): string {
  const { total, read, write } = columnsOf(version);
  // Without the texts of the statements the server need not read its file of them.
  const view = (withTexts: boolean) =>
    isAtLeast(version, 13) ? `pg_stat_statements(${withTexts})` : "pg_stat_statements";
  const conditions = [
    `${total} > (SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY ${total}) FROM ${view(false)})`,
    ...excluding("pg_database.datname", options.exclude_databases),
    ...excluding("pg_get_userbyid(userid)", options.exclude_users),
  ];
  return `SELECT pg_get_userbyid(userid) AS user, datname, queryid, calls AS calls_total, rows AS rows_total,
  ${total} / 1000.0 AS seconds_total, ${read} / 1000.0 AS block_read_seconds_total,
  ${write} / 1000.0 AS block_write_seconds_total
  ${options.include_query ? `, left(query, ${options.query_length}) AS query` : ""}
FROM ${view(options.include_query)} AS statements JOIN pg_database ON pg_database.oid = statements.dbid
WHERE ${conditions.join(" AND ")}
ORDER BY seconds_total DESC
LIMIT ${options.limit === 0 ? DEFAULT_LIMIT : options.limit}`;
}

function excluding(expression: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  return [`${expression} NOT IN (${names.map(quote).join(", ")})`];
}

/** A text as SQL, whatever `standard_conforming_strings` is. */
function quote(text: string): string {
  return `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
}

async function collectStatements({ page, version, options, query }: Collection): Promise<void> {
  const { columns, rows } = await query(statementsQuery(options.statements, version));
  // Statements of one id may differ in whether they ran at the top level; the one that took longest stands first.
  const seen = new Set<string>();
  const distinct = rows.filter(([user, datname, id]) => {
    const key = JSON.stringify([user, datname, id]);
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
  addTable(page, { columns, rows: distinct }, { metrics: STATEMENTS });
  if (!options.statements.include_query) return;
  const texts = new Map<string, string>();
  for (const row of distinct) {
    const id = row[2] ?? "unknown";
    if (!texts.has(id)) texts.set(id, row.at(-1) ?? "unknown");
  }
  for (const [id, text] of texts) page.add(queryId, 1, id, text);
}

export const statementsCollector: CollectorDefinition = {
  name: "stat_statements",
  byDefault: false,
  collect: collectStatements,
};
