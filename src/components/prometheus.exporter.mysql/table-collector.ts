import { parseGoFloat } from "#formats/go-number";
import type { Metric } from "#kits/exporter/page";
import type { MysqlArguments } from "./arguments.ts";
import { type Collector, CollectorError, type Scrape } from "./collector.ts";

/** One metric of a row. */
export interface MetricColumn {
  readonly metric: Metric;
  readonly column: string;
  /** What the value is divided by, such as 1e12 for picoseconds. */
  readonly divisor?: number;
  /** Values of the labels after those that are columns. */
  readonly labels?: readonly string[];
}

/** A collector that is a query and a table: each row of the answer gives the same metrics. */
export interface TableDefinition {
  readonly name: string;
  readonly isDefault?: boolean;
  readonly since: number;
  readonly sql: string;
  readonly values?: (args: MysqlArguments) => readonly (string | number)[];
  /** Columns whose values are the first labels of every metric. */
  readonly labels: readonly string[];
  readonly metrics: readonly MetricColumn[];
  /** Taken from the beginning of the first label. */
  readonly removePrefix?: (args: MysqlArguments) => string;
  /** Runs only where the server gathers these statistics. */
  readonly needsUserStatistics?: boolean;
  /** A server without the table has nothing to say. */
  readonly missingTableIsFine?: boolean;
}

/** ER_UNKNOWN_TABLE, which information_schema answers with. */
const UNKNOWN_TABLE = 1109;

/** Seconds of what the server counts in picoseconds. */
export const PICOSECONDS = 1e12;

export function tableCollector(definition: TableDefinition): Collector {
  const { sql, values } = definition;
  return {
    ...definition,
    async collect(scrape) {
      if (definition.needsUserStatistics && !(await hasUserStatistics(scrape))) return;
      const { args } = scrape;
      const answer = await scrape.query(sql, values?.(args)).catch((error: { readonly errno?: number }) => {
        if (definition.missingTableIsFine && error.errno === UNKNOWN_TABLE) return undefined;
        throw error;
      });
      if (answer === undefined) return;
      const column = indexOf(answer.columns);
      const labelColumns = definition.labels.map(column);
      const metrics = definition.metrics.map((each) => ({ ...each, index: column(each.column) }));
      const prefix = definition.removePrefix?.(args) ?? "";
      for (const row of answer.rows) {
        const labels = labelColumns.map((index) => row[index] ?? "");
        if (prefix !== "" && labels[0]!.startsWith(prefix)) labels[0] = labels[0]!.slice(prefix.length);
        for (const { metric, index, divisor, labels: more } of metrics) {
          const value = parseGoFloat(row[index] ?? "");
          if (value === undefined) continue;
          scrape.page.add(metric, divisor === undefined ? value : value / divisor, ...labels, ...(more ?? []));
        }
      }
    },
  };
}

/** Columns are found by name in whatever case the server gives it. */
function indexOf(columns: readonly string[]): (name: string) => number {
  const indexes = new Map(columns.map((name, i) => [name.toLowerCase(), i]));
  return (name) => {
    const index = indexes.get(name.toLowerCase());
    if (index === undefined) throw new CollectorError(`the server's answer has no column ${name}`);
    return index;
  };
}

/** Whether `userstat` is on; servers that do not have it gather nothing. */
export async function hasUserStatistics(scrape: Scrape): Promise<boolean> {
  const answer = await scrape.query("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('userstat', 'userstat_running')");
  const value = answer.rows[0]?.[1];
  return value !== undefined && value !== null && value !== "OFF";
}
