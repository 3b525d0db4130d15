import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#base/clock";
import { linkChain } from "./link-chain.ts";

/** A directory with thousands of files is not read again for each of them. */
const KEEP_MS = 1_000;

/** Finds files again by their inodes, where a rotation usually leaves them: beside the name that they had. */
export class DirectoryInodes {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly atMs: number; readonly paths: Promise<ReadonlyMap<string, string>> }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A path of the file beside `path` or beside one of the names that it leads to by links, as of at most a second ago. */
  async find(path: string, wanted: { readonly device: number; readonly inode: number }): Promise<string | undefined> {
    const directories = new Set((await linkChain(path)).map(dirname));
    for (const directory of directories) {
      const found = (await this.#inodes(directory)).get(`${wanted.device}:${wanted.inode}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #inodes(directory: string): Promise<ReadonlyMap<string, string>> {
    const now = this.#clock.monotonic();
    let known = this.#known.get(directory);
    if (known === undefined || now - known.atMs > KEEP_MS) {
      for (const [path, { atMs }] of this.#known) if (now - atMs > KEEP_MS) this.#known.delete(path);
      known = { atMs: now, paths: readInodes(directory) };
      this.#known.set(directory, known);
    }
    return known.paths;
  }
}

async function readInodes(directory: string): Promise<ReadonlyMap<string, string>> {
  const paths = new Map<string, string>();
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats !== undefined) paths.set(`${stats.dev}:${stats.ino}`, path);
  }
  return paths;
}
