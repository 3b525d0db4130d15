/** A text that is no row of CSV. */
export class CsvError extends Error {
  override readonly name = "CsvError";
}

/**
 * The fields of one row as Go's encoding/csv reads them, except that line breaks outside of quotes are part of a field:
 * the text is one row, whatever is in it. With `lazyQuotes`, quotes may stand anywhere. Throws CsvError.
 */
export function readCsvRow(text: string, delimiter: string, options: { readonly lazyQuotes: boolean }): string[] {
  const rows: string[][] = [];
  const reader = new LineReader(text, delimiter, options.lazyQuotes);
  for (;;) {
    const row = reader.row();
    if (row === undefined) break;
    rows.push(row);
  }
  const [first, ...others] = rows;
  if (first === undefined) throw new CsvError("no csv lines found");
  for (const row of others) {
    first[first.length - 1] += `\n${row[0]}`;
    for (const field of row.slice(1)) first.push(field);
  }
  return first;
}

class LineReader {
  readonly #text: string;
  readonly #delimiter: string;
  readonly #lazyQuotes: boolean;
  #at = 0;

  constructor(text: string, delimiter: string, lazyQuotes: boolean) {
    this.#text = text;
    this.#delimiter = delimiter;
    this.#lazyQuotes = lazyQuotes;
  }

  /** The next line, with the line break, which is always a line feed. */
  #line(): string {
    const end = this.#text.indexOf("\n", this.#at);
    let line = end < 0 ? this.#text.slice(this.#at) : this.#text.slice(this.#at, end + 1);
    this.#at += line.length;
    if (end < 0 && line.endsWith("\r")) line = line.slice(0, -1);
    return line.endsWith("\r\n") ? `${line.slice(0, -2)}\n` : line;
  }

  /** Undefined at the end. */
  row(): string[] | undefined {
    let line = this.#line();
    while (line === "\n") line = this.#line();
    if (line === "") return undefined;
    const fields: string[] = [];
    for (;;) {
      if (!line.startsWith('"')) {
        const end = line.indexOf(this.#delimiter);
        const field = end < 0 ? line.replace(/\n$/, "") : line.slice(0, end);
        if (!this.#lazyQuotes && field.includes('"')) throw new CsvError('bare " in non-quoted field');
        fields.push(field);
        if (end < 0) return fields;
        line = line.slice(end + this.#delimiter.length);
        continue;
      }
      const rest = this.#quoted(line.slice(1), fields);
      if (rest === undefined) return fields;
      line = rest;
    }
  }

  /** Reads a quoted field; gives what comes after the delimiter behind it, or undefined at the end of the row. */
  #quoted(start: string, fields: string[]): string | undefined {
    let line = start;
    let field = "";
    for (;;) {
      const quote = line.indexOf('"');
      if (quote >= 0) {
        field += line.slice(0, quote);
        line = line.slice(quote + 1);
        if (line.startsWith('"')) {
          field += '"';
          line = line.slice(1);
        } else if (line.startsWith(this.#delimiter)) {
          fields.push(field);
          return line.slice(this.#delimiter.length);
        } else if (line === "" || line === "\n") {
          fields.push(field);
          return undefined;
        } else if (this.#lazyQuotes) field += '"';
        else throw new CsvError('extraneous or missing " in quoted-field');
      } else if (line !== "") {
        field += line;
        line = this.#line();
      } else {
        if (!this.#lazyQuotes) throw new CsvError('extraneous or missing " in quoted-field');
        fields.push(field);
        return undefined;
      }
    }
  }
}
