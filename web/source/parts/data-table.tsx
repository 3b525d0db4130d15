import type { ComponentChildren } from "preact";
import { setQuery, usePlace } from "../router.tsx";

export interface Column<Row> {
  /** Unique in the table; stands in the address. */
  readonly name: string;
  readonly title: ComponentChildren;
  readonly isNumber?: boolean;
  /** What rows are sorted by, and searched in as text. Columns without it are neither. */
  readonly value?: (row: Row) => string | number;
  readonly cell: (row: Row) => ComponentChildren;
}

interface DataTableProps<Row> {
  /** Unique on the page; stands in the address with the search and the order. */
  readonly name: string;
  readonly label: string;
  /** What a row is, in the plural: "targets". */
  readonly noun: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row, place: number) => string | number;
  readonly rowClass?: (row: Row) => string;
  /** How many rows are shown before somebody asks for all. */
  readonly first?: number;
  /** What else decides about the rows. */
  readonly controls?: ComponentChildren;
}

const MAX_ROWS = 200;
/** Shorter tables are seen at a glance. */
const SEARCH_FROM = 10;

/** A table to sort by its headings, to search when it is long, and cut when it is very long. */
export function DataTable<Row>({
  name,
  label,
  noun,
  columns,
  rows,
  keyOf,
  rowClass,
  first = MAX_ROWS,
  controls,
}: DataTableProps<Row>) {
  const { query } = usePlace();
  const search = query.get(`${name}.search`) ?? "";
  const sort = query.get(`${name}.sort`) ?? "";
  const found = sorted(searched(rows, columns, search), columns, sort);
  const isWhole = query.get(`${name}.all`) === "1" || search !== "";
  const shown = found.slice(0, isWhole ? MAX_ROWS : first);
  const hidden = Math.min(found.length, MAX_ROWS) - shown.length;
  const isSearched = rows.length > SEARCH_FROM || search !== "";
  return (
    <div class="data-table">
      {(isSearched || controls !== undefined) && (
        <div class="controls">
          {isSearched && (
            <input
              type="search"
              aria-label={`Search ${noun}`}
              placeholder={`Search ${noun}`}
              value={search}
              onInput={(event) => setQuery({ [`${name}.search`]: event.currentTarget.value })}
            />
          )}
          {isSearched && (
            <span class="quiet" role="status">
              {countText(Math.min(found.length, MAX_ROWS), found.length, rows.length, noun)}
            </span>
          )}
          {controls}
        </div>
      )}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="scroll" tabIndex={0} aria-label={label}>
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <Heading
                  key={column.name}
                  column={column}
                  sort={sort}
                  change={(to) => setQuery({ [`${name}.sort`]: to })}
                />
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, i) => (
              <tr key={keyOf(row, i)} class={rowClass?.(row) ?? ""}>
                {columns.map((column) => (
                  <td key={column.name} class={column.isNumber ? "number" : ""} data-title={titleOf(column)}>
                    <div>{column.cell(row)}</div>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {hidden > 0 && (
        <button type="button" class="small" onClick={() => setQuery({ [`${name}.all`]: "1" })}>
          Show {hidden} more
        </button>
      )}
    </div>
  );
}

/** What stands before the cell where the screen is too narrow for columns. */
function titleOf<Row>({ title, name }: Column<Row>): string {
  return typeof title === "string" ? title : name;
}

interface HeadingProps<Row> {
  readonly column: Column<Row>;
  readonly sort: string;
  change(sort: string): void;
}

function Heading<Row>({ column, sort, change }: HeadingProps<Row>) {
  const { name, title, isNumber, value } = column;
  const look = isNumber ? "number" : "";
  if (value === undefined) {
    return (
      <th scope="col" class={look}>
        {title}
      </th>
    );
  }
  const order = sort === name ? "ascending" : sort === `-${name}` ? "descending" : undefined;
  // Numbers are of interest from the largest, texts from A; the third press gives the agent's order back.
  const [first, second] = isNumber ? [`-${name}`, name] : [name, `-${name}`];
  const next = sort === first ? second : sort === second ? "" : first;
  return (
    <th scope="col" class={look} aria-sort={order}>
      <button type="button" class="sort" onClick={() => change(next)}>
        {title}
        <span aria-hidden="true">{order === undefined ? "" : order === "ascending" ? " ↑" : " ↓"}</span>
      </button>
    </th>
  );
}

function searched<Row>(rows: readonly Row[], columns: readonly Column<Row>[], search: string): readonly Row[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const text = columns.map(({ value }) => String(value?.(row) ?? "").toLowerCase()).join("\n");
    return words.every((word) => text.includes(word));
  });
}

function sorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sort: string): readonly Row[] {
  const value = columns.find(({ name }) => name === sort.replace(/^-/, ""))?.value;
  if (value === undefined) return rows;
  const sign = sort.startsWith("-") ? -1 : 1;
  return [...rows].sort((a, b) => sign * compare(value(a), value(b)));
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function countText(shown: number, found: number, all: number, noun: string): string {
  if (shown < found) return `the first ${shown} of ${found} ${noun}; search to see the others`;
  return found < all ? `${found} of ${all} ${noun}` : `${all} ${noun}`;
}
