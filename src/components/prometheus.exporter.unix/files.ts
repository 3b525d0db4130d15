import { existsSync, opendirSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { errorText } from "#base/log";
import { numberAt } from "#kits/proc-files";
import type { UnixArguments } from "./arguments.ts";

type HostPaths = Pick<UnixArguments, "procfs_path" | "sysfs_path" | "rootfs_path" | "udev_data_path">;

/** Where the host's file systems are mounted, so that an agent in a container can look at its host. */
export class HostFiles {
  readonly #paths: HostPaths;

  constructor(paths: HostPaths) {
    this.#paths = paths;
  }
  proc(path: string): string {
    return `${this.#paths.procfs_path}/${path}`;
  }
  sys(path: string): string {
    return `${this.#paths.sysfs_path}/${path}`;
  }
  udev(path: string): string {
    return `${this.#paths.udev_data_path}/${path}`;
  }
  /** `path` starts with a slash. */
  root(path: string): string {
    return this.#paths.rootfs_path === "/" ? path : this.#paths.rootfs_path.replace(/\/$/, "") + path;
  }
  /** Which of the file systems is not there at all; collectors take that for a host without their subject. */
  get problem(): string | undefined {
    for (const name of ["procfs_path", "sysfs_path", "rootfs_path"] as const) {
      const path = this.#paths[name];
      try {
        const folder = opendirSync(path);
        const first = folder.readSync();
        folder.closeSync();
        if (first !== null) continue;
        return `${name} ${path} is empty: mount the host's there`;
      } catch (error) {
        return `${name}: ${explain(error, path)}${isMissing(error) ? "; in a container, mount the host's there" : ""}`;
      }
    }
    return undefined;
  }

  /** A path of the host as the host itself calls it: without the prefix under which its root is mounted here. */
  stripRoot(path: string): string {
    const { rootfs_path } = this.#paths;
    if (rootfs_path === "/" || !path.startsWith(rootfs_path)) return path;
    return path.slice(rootfs_path.length) || "/";
  }
}

/**
 * What reading an attribute fails with when the device does not have it, is down, or hides it from this user: the file
 * is there in sysfs for all devices of a class.
 */
const ABSENT = new Set([
  "ENOENT",
  "EACCES",
  "EPERM",
  "EINVAL",
  "EOPNOTSUPP",
  "ENOTSUP",
  "ENODEV",
  "ENXIO",
  "ENODATA",
  "ENOTDIR",
]);

export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === "ENOENT";
}

/** An error of reading a file in words, with what to do where the agent's user may not read it. */
export function explain(error: unknown, path: string | undefined = (error as NodeJS.ErrnoException).path): string {
  const code = errorCode(error);
  if (path === undefined) return errorText(error);
  if (code === "ENOENT") return `${path} does not exist`;
  if (code === "EACCES" || code === "EPERM") {
    return `the agent's user has no permission to read ${path}; grant it, or take the collector out with disable_collectors`;
  }
  return errorText(error);
}

/** Files of procfs and sysfs are made on the spot, so reading them does not wait for a disk. */
export function readText(path: string): string {
  return readFileSync(path, "utf8");
}

export function readTrimmed(path: string): string {
  return readFileSync(path, "utf8").trim();
}

/** Trimmed; undefined when the host does not have the file or the attribute has no value. */
export function readIfAny(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** As `readIfAny`, off the main thread: for attributes behind which the kernel asks slow hardware. */
export async function readSlowIfAny(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (ABSENT.has(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** A number in decimal or, with `0x`, in hexadecimal. Throws for anything else. */
export function parseNumber(text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new Error(`expected a number, found ${JSON.stringify(text.slice(0, 40))}`);
  return value;
}

export function parseHex(text: string): number {
  const value = /^[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (Number.isNaN(value)) throw new Error(`expected a hexadecimal number, found ${JSON.stringify(text.slice(0, 40))}`);
  return value;
}

export function readNumber(path: string): number {
  try {
    return parseNumber(readText(path));
  } catch (error) {
    if (errorCode(error) !== undefined) throw error;
    throw new Error(`${path}: ${(error as Error).message}`);
  }
}

export function readNumberIfAny(path: string): number | undefined {
  const text = readIfAny(path);
  return text === undefined || text === "" ? undefined : parseNumber(text);
}

export function exists(path: string): boolean {
  return existsSync(path);
}

/** Names of the entries of a folder, sorted; throws when there is no such folder. */
export function listFolder(path: string): string[] {
  return readdirSync(path).sort();
}

/** Names of the entries that match, sorted; none when there is no such folder. */
export function listMatching(path: string, pattern: RegExp): string[] {
  // Asking is much cheaper than an error, and most hosts lack most of what is looked for at each scrape.
  if (!existsSync(path)) return [];
  try {
    return listFolder(path).filter((name) => pattern.test(name));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Names of the entries that are not plain files, sorted: devices stand in class folders as links or folders. */
export function listDevices(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => !entry.isFile())
    .map((entry) => entry.name)
    .sort();
}

/**
 * Calls `visit` with each line's name and number, as /proc/vmstat has them: one behind the other, with spaces or tabs
 * between. Lines of another form are passed over.
 */
export function eachField(text: string, visit: (name: string, value: number) => void): void {
  for (let start = 0; start < text.length; ) {
    let end = start;
    while (text.charCodeAt(end) > SPACE) end++;
    const value = numberAt(text, end);
    if (end > start && !Number.isNaN(value)) visit(text.slice(start, end), value);
    const next = text.indexOf("\n", end);
    if (next < 0) return;
    start = next + 1;
  }
}

const SPACE = 0x20;

/** The lines of a file without the empty ones. */
export function readLines(path: string): string[] {
  return readText(path)
    .split("\n")
    .filter((line) => line !== "");
}

/** Words between white space. */
export function words(line: string): string[] {
  return line.match(/\S+/g) ?? [];
}

/** `0-3,8` as numbers: how the kernel writes sets of CPUs. */
export function parseRanges(text: string): number[] {
  const numbers: number[] = [];
  for (const part of text.trim().split(",")) {
    if (part === "") continue;
    const [first, last] = part.split("-");
    const end = parseNumber(last ?? first!);
    for (let i = parseNumber(first!); i <= end; i++) numbers.push(i);
  }
  return numbers;
}
