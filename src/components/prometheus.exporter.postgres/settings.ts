import { parseGoFloat } from "#formats/go-number";
import { gauge, type Page } from "#kits/exporter/page";
import type { SqlResult } from "#kits/sql/result";

/** Settings that are left out, for their values are no numbers on some hosted servers. */
const LEFT_OUT = ["sync_commit_cancel_wait", "google_dataplex.max_messages"];

export const SETTINGS_QUERY = `SELECT name, setting, coalesce(unit, '') AS unit, vartype FROM pg_settings
WHERE vartype IN ('bool', 'integer', 'real') AND name NOT IN (${LEFT_OUT.map((name) => `'${name}'`).join(", ")})`;

/** What values are multiplied with to become seconds or bytes. */
const SECONDS: ReadonlyMap<string, number> = new Map([
  ["s", 1],
  ["min", 60],
  ["h", 60 * 60],
  ["d", 24 * 60 * 60],
]);
const BYTES = /^(\d*)(B|kB|MB|GB|TB)$/;
const BYTE_UNITS: Readonly<Record<string, number>> = { B: 1, kB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };

/** Units that some servers write behind the value. */
const UNIT_BEHIND = /^(\S+?)\s*(?:ms|s|min|h|d|B|kB|MB|GB|TB)$/;

/**
 * Adds `pg_settings_…`, a gauge for each setting that is a number or a switch. Returns what is wrong with settings that
 * cannot be one. Matches postgres_exporter's `exporter/pg_setting.go`.
 */
export function addSettings(page: Page, result: SqlResult, server: string): readonly string[] {
  const problems: string[] = [];
  for (const row of result.rows) {
    const [name = "", setting = "", unit = "", kind] = row.map((cell) => cell ?? "");
    const metricName = `pg_settings_${name.replaceAll(/[.-]/g, "_")}`;
    const help = `Server Parameter: ${name}`;
    if (kind === "bool") {
      page.add(gauge(metricName, help, "server"), setting === "on" ? 1 : 0, server);
      continue;
    }
    const value = parseGoFloat(setting) ?? parseGoFloat(UNIT_BEHIND.exec(setting)?.[1] ?? "");
    const scale = scaleOf(unit);
    if (value === undefined) problems.push(`the setting ${name} is not a number`);
    else if (scale === undefined) problems.push(`the setting ${name} has the unknown unit ${unit}`);
    else {
      const metric =
        scale.unit === ""
          ? gauge(metricName, help, "server")
          : gauge(`${metricName}_${scale.unit}`, `${help} [Units converted to ${scale.unit}.]`, "server");
      // -1 stands for "off" or "the default", whatever the unit.
      page.add(metric, value === -1 ? -1 : scale.apply(value), server);
    }
  }
  return problems;
}

function scaleOf(unit: string): { readonly unit: string; apply(value: number): number } | undefined {
  if (unit === "") return { unit: "", apply: (value) => value };
  // Milliseconds are divided: a product with 0.001 would differ in its last digit.
  if (unit === "ms") return { unit: "seconds", apply: (value) => value / 1000 };
  const seconds = SECONDS.get(unit);
  if (seconds !== undefined) return { unit: "seconds", apply: (value) => value * seconds };
  const match = BYTES.exec(unit);
  if (match === null) return undefined;
  const bytes = Number(match[1] || 1) * BYTE_UNITS[match[2]!]!;
  return { unit: "bytes", apply: (value) => value * bytes };
}
