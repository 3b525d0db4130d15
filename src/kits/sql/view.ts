import { parseDuration } from "#base/duration";
import type { MetricSample, MetricType } from "#base/metrics";
import { formatFloat } from "#base/metrics";
import { parseGoFloat } from "#formats/go-number";
import { cellLabel, cellNumber, columnIndexes, type SqlCell, type SqlKind, type SqlResult } from "./result.ts";

/** What a column of a view is for, in the words of `postgres_exporter`'s files of custom queries. */
export const COLUMN_USAGES = ["DISCARD", "LABEL", "COUNTER", "GAUGE", "HISTOGRAM", "MAPPEDMETRIC", "DURATION"] as const;
export type ColumnUsage = (typeof COLUMN_USAGES)[number];

const METRIC_NAME = /^[a-zA-Z_:][\w:]*$/;

export interface ViewColumn {
  readonly usage: ColumnUsage;
  readonly help: string;
  /** The numbers that texts stand for, of `MAPPEDMETRIC`. */
  readonly mapping?: ReadonlyMap<string, number>;
}

/**
 * A query whose columns are described one by one and whose other columns become untyped metrics: built into an exporter,
 * or written by a user. Metrics are named after the view and the column.
 */
export interface SqlView {
  readonly name: string;
  readonly query: string;
  readonly columns: ReadonlyMap<string, ViewColumn>;
}

export interface ViewSample {
  readonly family: { readonly name: string; readonly help: string; readonly type: MetricType };
  readonly sample: MetricSample;
}

export interface ViewSamples {
  readonly samples: readonly ViewSample[];
  /** Columns of which something was left out, each with its reason. */
  readonly problems: ReadonlyMap<string, string>;
  /** Columns that the view does not describe and that are no numbers. */
  readonly unknownTexts: readonly string[];
}

/**
 * Turns rows into samples, each with the labels `constant` (flat) besides those of the view.
 * Matches `queryNamespaceMapping` of postgres_exporter's `exporter/namespace.go`: NULL is NaN, a label whose column is
 * missing takes the first column's value. Mapped texts and durations work here, which there are never converted.
 */
export function renderView(view: SqlView, result: SqlResult, constant: readonly string[]): ViewSamples {
  const indexes = columnIndexes(result);
  const problems = new Map<string, string>();
  const unknownTexts = new Set<string>();
  const samples: ViewSample[] = [];
  const labelColumns = [...view.columns].filter(([, { usage }]) => usage === "LABEL").map(([name]) => name);
  for (const name of labelColumns) {
    if (!indexes.has(name)) problems.set(name, "the query has no such column; the label takes the first one's value");
  }
  const histogramParts = new Set<string>();
  for (const [name, { usage }] of view.columns) {
    if (usage === "HISTOGRAM") for (const part of ["bucket", "sum", "count"]) histogramParts.add(`${name}_${part}`);
  }

  for (const row of result.rows) {
    const labels = [...constant];
    for (const name of labelColumns) {
      const index = indexes.get(name) ?? 0;
      labels.push(name, cellLabel(result.columns[index]!.kind, row[index]!));
    }
    for (const [index, { name, kind }] of result.columns.entries()) {
      const column = view.columns.get(name);
      if (histogramParts.has(name) || column?.usage === "DISCARD" || column?.usage === "LABEL") continue;
      const family = familyOf(view.name, name, column);
      if (!METRIC_NAME.test(family.name)) {
        problems.set(name, "it cannot be part of a metric's name: rename it with AS");
        continue;
      }
      if (column?.usage === "HISTOGRAM") {
        const problem = addHistogram(samples, family, labels, row, name, indexes);
        if (problem !== undefined) problems.set(name, problem);
        continue;
      }
      const value = numberOf(column, kind, row[index]!);
      if (value !== undefined) samples.push({ family, sample: { name: family.name, labels, value } });
      else if (column === undefined) unknownTexts.add(name);
      else problems.set(name, notANumber(column, row[index]!));
    }
  }
  return { samples, problems, unknownTexts: [...unknownTexts] };
}

function familyOf(view: string, name: string, column: ViewColumn | undefined): ViewSample["family"] {
  switch (column?.usage) {
    case "COUNTER":
      return { name: `${view}_${name}`, help: column.help, type: "counter" };
    case "GAUGE":
    case "MAPPEDMETRIC":
      return { name: `${view}_${name}`, help: column.help, type: "gauge" };
    case "DURATION":
      return { name: `${view}_${name}_milliseconds`, help: column.help, type: "gauge" };
    case "HISTOGRAM":
      return { name: `${view}_${name}`, help: column.help, type: "histogram" };
    default:
      return { name: `${view}_${name}`, help: `Unknown metric from ${view}`, type: "untyped" };
  }
}

function numberOf(column: ViewColumn | undefined, kind: SqlKind, cell: SqlCell): number | undefined {
  if (column?.usage === "MAPPEDMETRIC" && cell !== null) {
    const mapped = column.mapping?.get(cell);
    if (mapped !== undefined) return mapped;
  }
  if (column?.usage === "DURATION" && kind === "text" && cell !== null) {
    const duration = milliseconds(cell);
    if (duration !== undefined) return duration;
  }
  return cellNumber(kind, cell);
}

/** The whole milliseconds of a duration such as `1m30s`; undefined for what is none. */
function milliseconds(text: string): number | undefined {
  try {
    return Math.trunc(parseDuration(text));
  } catch {
    return undefined;
  }
}

function notANumber(column: ViewColumn, cell: SqlCell): string {
  const shown = JSON.stringify((cell ?? "").slice(0, 40));
  if (column.usage === "MAPPEDMETRIC") return `its metric_mapping has no number for ${shown}`;
  return column.usage === "DURATION" ? `${shown} is no duration` : `${shown} is not a number`;
}

/** Adds the samples of a histogram: an array of bounds, and beside it one of cumulative counts, a sum and a count. */
function addHistogram(
  samples: ViewSample[],
  family: ViewSample["family"],
  labels: readonly string[],
  row: readonly SqlCell[],
  column: string,
  indexes: ReadonlyMap<string, number>,
): string | undefined {
  const { name } = family;
  const part = (suffix: string): SqlCell | undefined => {
    const found = indexes.get(`${column}_${suffix}`);
    return found === undefined ? undefined : row[found]!;
  };
  const [counts, sum, count] = [part("bucket"), part("sum"), part("count")];
  if (counts === undefined || sum === undefined || count === undefined) {
    return "a histogram needs columns of this name with _bucket, _sum and _count at their ends";
  }
  const bounds = arrayNumbers(row[indexes.get(column)!]!);
  const values = arrayNumbers(counts);
  const sumValue = cellNumber("text", sum);
  const countValue = count === null ? 0 : cellNumber("text", count);
  if (bounds === undefined || values === undefined) return "its bounds or counts are no array of numbers";
  if (sumValue === undefined || countValue === undefined) return "its sum or count is not a number";
  const push = (suffix: string, value: number, own: readonly string[] = []) =>
    samples.push({ family, sample: { name: `${name}_${suffix}`, labels: [...labels, ...own], value } });
  const buckets = bounds.map((bound, i) => [bound, values[i]] as const).sort((a, b) => a[0] - b[0]);
  for (const [bound, value] of buckets) {
    if (value !== undefined && bound !== Infinity) push("bucket", value, ["le", formatFloat(bound)]);
  }
  push("bucket", countValue, ["le", "+Inf"]);
  push("sum", sumValue);
  push("count", countValue);
  return undefined;
}

/** The numbers of an array as SQL writes it, `{1,2.5}`; undefined for anything else. */
export function arrayNumbers(cell: SqlCell): number[] | undefined {
  if (cell === null || !cell.startsWith("{") || !cell.endsWith("}")) return undefined;
  if (cell === "{}") return [];
  const numbers: number[] = [];
  for (const each of cell.slice(1, -1).split(",")) {
    const value = parseGoFloat(each);
    if (value === undefined) return undefined;
    numbers.push(value);
  }
  return numbers;
}
