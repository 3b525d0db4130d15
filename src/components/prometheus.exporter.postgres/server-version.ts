import type { Version } from "#kits/version-range";

/** What a server calls itself: `PostgreSQL 15.14 (Debian …) on x86_64…`, and its number. */
export interface ServerVersion {
  readonly text: string;
  readonly number: Version;
}

const LONG = /^\w+ (\d+)(?:\.(\d+))?(?:\.(\d+))?/;
const SHORT = /^(\d+)(?:\.(\d+))?(?:\.(\d+))?/;

/** Reads `version()`, or `server_version` for products that call themselves otherwise; undefined if neither has a number. */
export function parseServerVersion(version: string, serverVersion: string): ServerVersion | undefined {
  const match = LONG.exec(version) ?? SHORT.exec(serverVersion);
  if (match === null) return undefined;
  return { text: version, number: [Number(match[1]), Number(match[2] ?? 0), Number(match[3] ?? 0)] };
}

export function shortVersion({ number }: ServerVersion): string {
  return number.join(".");
}

/** Whether it is this major version or a later one. */
export function isAtLeast({ number }: ServerVersion, major: number): boolean {
  return number[0] >= major;
}
