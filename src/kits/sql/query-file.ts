import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { errorText } from "#base/log";
import { parseVersionRange, type Version } from "../version-range.ts";
import { COLUMN_USAGES, type SqlView, type ViewColumn } from "./view.ts";

/** A query of a user's file. */
export interface CustomQuery extends SqlView {
  /** Asked of the database that was configured, not of those that were found beside it. */
  readonly mainOnly: boolean;
  /** For how long an answer is shown again in place of another query; 0 for not at all. */
  readonly cacheMs: number;
  /** Whether it is for servers of this version. */
  appliesTo(version: Version): boolean;
}

/** A file of custom queries as it was last read. */
export interface QueryFile {
  /** SHA-256 of the file in hexadecimal; empty if it could not be read. */
  readonly hash: string;
  readonly queries: readonly CustomQuery[];
  /** Why there are no queries; undefined if the file is well. */
  readonly problem: string | undefined;
  /** What in it has no effect, each with its place. */
  readonly warnings: readonly string[];
}

/** The largest file that is read. */
const MAX_BYTES = 4 * 1024 * 1024;
const QUERY_KEYS = new Set(["query", "metrics", "master", "cache_seconds", "runonserver"]);
const COLUMN_KEYS = new Set(["usage", "description", "metric_mapping", "pg_version"]);

/** Reads a file of custom queries; never rejects. `previous` is given back while the file is the same. */
export async function readQueryFile(path: string, previous: QueryFile | undefined): Promise<QueryFile> {
  const nothing = { queries: [], warnings: [] };
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason = { ENOENT: "there is no such file", EACCES: "the agent may not read it" }[code ?? ""];
    return { ...nothing, hash: "", problem: `${path} cannot be read: ${reason ?? errorText(error)}` };
  }
  const hash = createHash("sha256").update(bytes).digest("hex");
  if (hash === previous?.hash) return previous;
  if (bytes.length > MAX_BYTES) {
    return { ...nothing, hash, problem: `${path} is larger than ${MAX_BYTES} bytes: split it` };
  }
  try {
    return { hash, problem: undefined, ...parseQueryFile(bytes.toString("utf8")) };
  } catch (error) {
    return { ...nothing, hash, problem: `${path}: ${errorText(error)}` };
  }
}

/**
 * Reads the format of postgres_exporter's `queries.yaml`: by name a query, its columns and how often to ask. Throws for
 * what is no such file. An unknown usage is DISCARD, as there.
 */
export function parseQueryFile(text: string): Pick<QueryFile, "queries" | "warnings"> {
  const document = parseDocument(text, { uniqueKeys: false });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(error.message.split("\n")[0]!.replace(/:$/, ""));
  const warnings: string[] = [];
  const queries: CustomQuery[] = [];
  const content: unknown = document.toJS({ mapAsMap: true });
  if (content !== null && !(content instanceof Map)) throw new Error("it must be a map of names to queries");
  for (const [name, value] of (content ?? new Map()) as Map<unknown, unknown>) {
    queries.push(parseQuery(String(name), value, warnings));
  }
  return { queries, warnings };
}

function parseQuery(name: string, value: unknown, warnings: string[]): CustomQuery {
  if (!/^[a-zA-Z_:][\w:]*$/.test(name)) throw new Error(`${JSON.stringify(name)} cannot begin the name of a metric`);
  if (!(value instanceof Map)) throw new Error(`${name} must be a map with a query and metrics`);
  const entry = value as Map<string, unknown>;
  for (const key of entry.keys()) if (!QUERY_KEYS.has(key)) warnings.push(`${name}: ${key} is unknown`);
  const query = entry.get("query") ?? "";
  if (typeof query !== "string") throw new Error(`${name}: query must be a text`);
  const seconds = entry.get("cache_seconds") ?? 0;
  if (typeof seconds !== "number" || !Number.isInteger(seconds) || seconds < 0) {
    throw new Error(`${name}: cache_seconds must be a whole number of seconds`);
  }
  const master = String(entry.get("master") ?? false);
  if (!/^(true|false|yes|no|on|off)$/i.test(master)) throw new Error(`${name}: master must be true or false`);
  const range = entry.get("runonserver") ?? "";
  if (typeof range !== "string") throw new Error(`${name}: runonserver must be a text such as ">=10.0.0"`);
  return {
    name,
    query,
    columns: parseColumns(name, entry.get("metrics") ?? [], warnings),
    mainOnly: /^(true|yes|on)$/i.test(master),
    cacheMs: seconds * 1000,
    appliesTo: range.trim() === "" ? () => true : inQuery(name, () => parseVersionRange(range)),
  };
}

function inQuery<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}

function parseColumns(query: string, list: unknown, warnings: string[]): ReadonlyMap<string, ViewColumn> {
  if (!Array.isArray(list)) throw new Error(`${query}: metrics must be a list`);
  const columns = new Map<string, ViewColumn>();
  for (const item of list as readonly unknown[]) {
    if (!(item instanceof Map)) throw new Error(`${query}: each of metrics must be a map of a column to its usage`);
    for (const [key, value] of item as Map<unknown, unknown>) {
      const place = `${query}.${String(key)}`;
      if (!(value instanceof Map)) throw new Error(`${place} must be a map with usage and description`);
      columns.set(String(key), parseColumn(place, value as Map<string, unknown>, warnings));
    }
  }
  return columns;
}

function parseColumn(place: string, entry: ReadonlyMap<string, unknown>, warnings: string[]): ViewColumn {
  for (const key of entry.keys()) if (!COLUMN_KEYS.has(key)) warnings.push(`${place}: ${key} is unknown`);
  if (entry.has("pg_version")) warnings.push(`${place}: pg_version has no effect; use runonserver of the query`);
  const given = entry.get("usage");
  const usage = COLUMN_USAGES.find((each) => each === given);
  if (usage === undefined) {
    warnings.push(`${place}: its usage is none of ${COLUMN_USAGES.join(", ")}, so the column is left out`);
  }
  if (usage === "LABEL" && !/^[a-zA-Z_]\w*$/.test(place.slice(place.indexOf(".") + 1))) {
    throw new Error(`${place} cannot be the name of a label: rename the column with AS`);
  }
  const help = entry.get("description") ?? "";
  const mapping = entry.get("metric_mapping") ?? new Map();
  if (!(mapping instanceof Map) || [...mapping.values()].some((number) => typeof number !== "number")) {
    throw new Error(`${place}: metric_mapping must be a map of texts to numbers`);
  }
  return {
    usage: usage ?? "DISCARD",
    help: String(help),
    mapping: new Map([...mapping].map(([word, number]) => [String(word), number as number])),
  };
}
