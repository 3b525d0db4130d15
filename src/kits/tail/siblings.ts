import { readdir, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { linkChain } from "./link-chain.ts";

/** What stands beside a log file after rotations. */
export interface Sibling {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly size: number;
  /** When the file was made (epoch ms); 0 where the file system does not know. */
  readonly bornMs: number;
}

/** Of a directory full of names that begin alike so many are looked at, the newest first. */
const MAX_SIBLINGS = 200;
const DATE_OR_NUMBER = "[-_.][0-9][-_.:0-9TZ]*";
const AT_END = new RegExp(`^(.+?)${DATE_OR_NUMBER}$`);
const BEFORE_EXTENSION = new RegExp(`^(.+?)${DATE_OR_NUMBER}(\\.[A-Za-z]+)$`);

/** The names that a rotated file may have had: `app.log` for `app.log.1`, `app.log-20260131` and `app-2026-01-31.log`. */
export function originalNames(name: string): string[] {
  const names: string[] = [];
  const atEnd = AT_END.exec(name);
  if (atEnd !== null) names.push(atEnd[1]!);
  const before = BEFORE_EXTENSION.exec(name);
  if (before !== null) names.push(before[1]! + before[2]!);
  return names;
}

/** Whether a name is one that a rotation gives to a file called `original`. */
export function isRotationOf(name: string, original: string): boolean {
  return originalNames(name).includes(original);
}

/**
 * Files beside `path`, and beside what its links lead to, whose names begin like the file's name, without the file itself;
 * the newest first. `isStable` says whether they kept their names meanwhile. Never rejects.
 */
export async function siblingsOf(
  path: string,
  isWanted: (name: string, original: string) => boolean,
): Promise<{ readonly siblings: readonly Sibling[]; readonly isStable: boolean }> {
  const found = new Map<string, Sibling>();
  let isStable = true;
  for (const name of await linkChain(path)) {
    const directory = dirname(name);
    const base = basename(name);
    const stem = base.slice(0, base.length - extname(base).length);
    const before = await modified(directory);
    for (const each of await readdir(directory).catch(() => [])) {
      if (each === base || !each.startsWith(stem) || !isWanted(each, base)) continue;
      const sibling = join(directory, each);
      const stats = await stat(sibling).catch(() => undefined);
      isStable &&= stats !== undefined;
      if (stats === undefined || !stats.isFile()) continue;
      const { dev: device, ino: inode, size, birthtimeMs: bornMs } = stats;
      found.set(`${device}:${inode}`, { path: sibling, device, inode, size, bornMs });
    }
    isStable &&= before === (await modified(directory));
  }
  const siblings = [...found.values()].sort((a, b) => b.bornMs - a.bornMs).slice(0, MAX_SIBLINGS);
  return { siblings, isStable };
}

async function modified(directory: string): Promise<number> {
  return (await stat(directory).catch(() => undefined))?.mtimeMs ?? 0;
}
