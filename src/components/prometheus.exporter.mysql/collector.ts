import type { Page } from "#kits/exporter/page";
import type { MysqlRows } from "#kits/mysql-connection";
import type { MysqlArguments } from "./arguments.ts";

/** What the server says it is. */
export interface ServerVersion {
  readonly isMariaDb: boolean;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** What a collector works with during one scrape. */
export interface Scrape {
  readonly version: ServerVersion;
  readonly args: MysqlArguments;
  readonly page: Page;
  /** Rejects with a CollectorError when the answer has too many rows. */
  query(sql: string, values?: readonly (string | number)[]): Promise<MysqlRows>;
}

/** One source of metrics, as `enable_collectors` names it. */
export interface Collector {
  readonly name: string;
  /** Whether Alloy runs it when nothing is said about it. */
  readonly isDefault?: boolean;
  /** The first version that has what it asks for, such as 5.6; MariaDB counts as upstream counts it, by its own numbers. */
  readonly since: number;
  /** Rejects when the server refuses; samples that were added before count. */
  collect(scrape: Scrape): Promise<void>;
}

/** A collector found something that it cannot make metrics of. */
export class CollectorError extends Error {
  override readonly name = "CollectorError";
}

/** A version as a number, as mysqld_exporter compares them: 10.11 is 10.11. */
export function versionNumber({ major, minor }: ServerVersion): number {
  return Number(`${major}.${minor}`);
}

/** Whether the server is this version of its kind or a later one. */
export function isAtLeast(version: ServerVersion, major: number, minor: number, patch = 0): boolean {
  const difference = version.major - major || version.minor - minor || version.patch - patch;
  return difference >= 0;
}

/** Variables by name, as SHOW VARIABLES and SHOW STATUS give them. */
export function pairs({ rows }: MysqlRows): ReadonlyMap<string, string> {
  return new Map(rows.map(([name, value]) => [name ?? "", value ?? ""]));
}
