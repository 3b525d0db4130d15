import { formatFloat } from "#base/metrics";
import { parseGoFloat } from "#formats/go-number";

/** What the values of a column are; they stand as text, whatever they are, until somebody needs a number. */
export type SqlKind = "integer" | "float" | "boolean" | "time" | "text";

export interface SqlColumn {
  readonly name: string;
  readonly kind: SqlKind;
}

/** A cell as text, `null` for NULL. Booleans are `true` and `false`, times whole seconds since 1970. */
export type SqlCell = string | null;

/** What a query gave, independent of the database and its client. */
export interface SqlResult {
  readonly columns: readonly SqlColumn[];
  readonly rows: readonly (readonly SqlCell[])[];
}

/** Answers one query. Rejects with what the server, the connection or the time limit says; `signal` ends it. */
export interface SqlSource {
  query(text: string, signal: AbortSignal): Promise<SqlResult>;
}

/** The number that a cell is, NaN for NULL; undefined for text that is none. */
export function cellNumber(kind: SqlKind, cell: SqlCell): number | undefined {
  if (cell === null) return Number.NaN;
  if (kind === "boolean") return cell === "true" ? 1 : 0;
  if (kind === "integer") return Number(cell);
  return parseGoFloat(cell);
}

/** The text of a cell as a label's value: floats as Go prints them, nothing for NULL. */
export function cellLabel(kind: SqlKind, cell: SqlCell): string {
  if (cell === null) return "";
  if (kind !== "float") return cell;
  const value = parseGoFloat(cell);
  return value === undefined ? cell : formatFloat(value);
}

/** The index of each column by its name; of several with one name, the last. */
export function columnIndexes({ columns }: SqlResult): ReadonlyMap<string, number> {
  return new Map(columns.map(({ name }, index) => [name, index]));
}
