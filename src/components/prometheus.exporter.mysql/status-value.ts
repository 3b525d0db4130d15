import { parseGoFloat } from "#formats/go-number";

const WORDS: ReadonlyMap<string, number> = new Map([
  ["yes", 1],
  ["on", 1],
  ["no", 0],
  ["off", 0],
  ["disabled", 0],
  // Slave_IO_Running: not yet.
  ["connecting", 0],
  // wsrep_cluster_status
  ["primary", 1],
  ["non-primary", 0],
  ["disconnected", 0],
]);

/** `Jan  2 15:04:05 2006 GMT`, as of certificates. */
const TEXT_TIME = /^([A-Z][a-z]{2}) [ \d]?\d \d\d:\d\d:\d\d \d{4} [A-Z]{3,4}$/;
const SQL_TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)?$/;

/**
 * The number that a status or a variable stands for; undefined for texts. Times are Unix seconds, read as UTC.
 * Matches mysqld_exporter's `parseStatus` (`collector/collector.go`).
 */
export function parseStatusValue(text: string): number | undefined {
  const word = WORDS.get(text.toLowerCase());
  if (word !== undefined) return word;
  const time = SQL_TIME.exec(text);
  const ms =
    time !== null
      ? Date.parse(`${time[1]}T${time[2]}Z`)
      : TEXT_TIME.test(text)
        ? Date.parse(text.replace(/[A-Z]+$/, "GMT"))
        : Number.NaN;
  return Number.isNaN(ms) ? parseGoFloat(text) : Math.floor(ms / 1000);
}

/** A name that metrics may have. */
export function metricName(text: string): string {
  return text.replace(/[^a-zA-Z0-9_]/g, "_").toLowerCase();
}
