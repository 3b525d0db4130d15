import { readdirSync, readFileSync } from "node:fs";

/**
 * Reading of procfs, sysfs and cgroupfs. Their files are made on the spot, so that reading them waits for no disk, and
 * hundreds of them are read for one scrape: whole files in one call, numbers found without splitting lines.
 */

/** What reading fails with when a process or control group is gone, or the kernel does not have the file. */
const ABSENT: ReadonlySet<unknown> = new Set([
  "ENOENT",
  "ESRCH",
  "ENOTDIR",
  "ENODEV",
  "EINVAL",
  "EOPNOTSUPP",
  "ENOTSUP",
]);
const DENIED: ReadonlySet<unknown> = new Set(["EACCES", "EPERM"]);

/** Whether an error says that the thing is not there (any more), rather than that it cannot be read. */
export function isAbsent(error: unknown): boolean {
  return ABSENT.has((error as NodeJS.ErrnoException).code);
}
export function isDenied(error: unknown): boolean {
  return DENIED.has((error as NodeJS.ErrnoException).code);
}

/** A whole file; undefined when it is not there. Throws when it may not be read. */
export function readIfThere(path: string): string | undefined {
  return ifThere(() => readFileSync(path, "utf8"));
}

/** Names of the entries of a folder; undefined when it is not there. Throws when it may not be read. */
export function listIfThere(path: string): string[] | undefined {
  return ifThere(() => readdirSync(path));
}

/** What `read` gives; undefined when it fails because the thing is not there. */
export function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

const ZERO = 0x30;
const NINE = 0x39;
const SPACE = 0x20;
const TAB = 0x09;

/** The decimal digits at `at`, after any spaces and tabs, as a number; NaN where there are none. */
export function numberAt(text: string, at: number): number {
  let i = at;
  for (let c = text.charCodeAt(i); c === SPACE || c === TAB; c = text.charCodeAt(++i));
  const start = i;
  let value = 0;
  for (let c = text.charCodeAt(i); c >= ZERO && c <= NINE; c = text.charCodeAt(++i)) value = value * 10 + (c - ZERO);
  if (i === start) return Number.NaN;
  // Beyond this, multiplying digit by digit would round more than once.
  return value < Number.MAX_SAFE_INTEGER ? value : Number(text.slice(start, i));
}

/**
 * The number behind `key` at the start of a line: `key` is all up to the number but spaces and tabs, such as `VmRSS:` or
 * `anon `. Undefined where no line starts so, NaN where something else follows.
 */
export function numberOf(text: string, key: string): number | undefined {
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) {
    if (at === 0 || text.charCodeAt(at - 1) === 0x0a) return numberAt(text, at + key.length);
  }
  return undefined;
}
