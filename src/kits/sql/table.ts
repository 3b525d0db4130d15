import type { Metric, Page } from "../exporter/page.ts";
import { cellLabel, cellNumber, columnIndexes, type SqlResult } from "./result.ts";

/**
 * How the rows of a query become samples, as data: one metric for a column, labelled by the columns that have the names
 * of its labels. Queries give their columns the names that labels shall have (`AS datname`).
 */
export interface TableMetric {
  readonly column: string;
  readonly metric: Metric;
  /** What becomes of NULL: 0 (the default), no sample, or no sample of the whole row. */
  readonly whenNull?: "zero" | "skip" | "skip row";
}

export interface SqlTable {
  readonly metrics: readonly TableMetric[];
  /** What stands for a label that is NULL: `unknown` (the default), or no sample of the whole row. */
  readonly nullLabel?: "unknown" | "skip row";
}

/** A metric of a column, for tables. */
export function of(column: string, metric: Metric, whenNull: TableMetric["whenNull"] = "zero"): TableMetric {
  return { column, metric, whenNull };
}

/** Adds the samples of all rows. Throws for a column that the result lacks, and for text where a number should be. */
export function addTable(page: Page, result: SqlResult, table: SqlTable): void {
  const indexes = columnIndexes(result);
  const find = (column: string) => {
    const index = indexes.get(column);
    if (index === undefined) throw new Error(`the server's answer has no column ${column}`);
    return index;
  };
  const plan = table.metrics.map(({ column, metric, whenNull }) => ({
    metric,
    whenNull,
    column: find(column),
    labels: metric.labelNames.map(find),
  }));
  const kinds = result.columns.map(({ kind }) => kind);
  const needed = new Set(plan.filter(({ whenNull }) => whenNull === "skip row").map(({ column }) => column));
  if (table.nullLabel === "skip row") for (const { labels } of plan) for (const index of labels) needed.add(index);

  for (const row of result.rows) {
    if ([...needed].some((index) => row[index] === null)) continue;
    for (const { metric, whenNull, column, labels } of plan) {
      const cell = row[column]!;
      if (cell === null && whenNull === "skip") continue;
      const value = cell === null ? 0 : cellNumber(kinds[column]!, cell);
      if (value === undefined) throw new Error(`the column ${result.columns[column]!.name} is not a number`);
      page.add(
        metric,
        value,
        ...labels.map((index) => (row[index] === null ? "unknown" : cellLabel(kinds[index]!, row[index]!))),
      );
    }
  }
}
