import { statIfThere } from "./file-io.ts";
import type { Glob } from "./glob.ts";

/** Times of directories may be this coarse: one that was changed more recently may change again and keep its time. */
const SETTLED_MS = 3_000;
/** Not every file system keeps the times of its directories. */
const TRUSTED_MS = 60_000;

interface Listing {
  readonly paths: readonly string[];
  /** The directories that were read, with what they were then. */
  readonly directories: ReadonlyMap<string, string>;
  readonly untilMs: number;
}

/** What patterns match, looked up again only when a directory has changed that a pattern leads through. */
export class GlobListings {
  readonly #known = new Map<Glob, Listing>();

  /**
   * As `Glob.find`; the same array while nothing has changed. `nowMs`: epoch time.
   */
  async find(
    glob: Glob,
    nowMs: number,
    onError: (path: string, error: NodeJS.ErrnoException) => void,
  ): Promise<readonly string[]> {
    const before = this.#known.get(glob);
    if (before !== undefined && nowMs < before.untilMs && (await isCurrent(before))) return before.paths;
    this.#known.delete(glob);
    const directories = new Map<string, string>();
    let isSure = true;
    const unsure = () => {
      isSure = false;
    };
    const failed = (path: string, error: NodeJS.ErrnoException) => {
      unsure();
      onError(path, error);
    };
    const directory = async (path: string) => {
      const state = await stateOf(path, nowMs);
      if (state === undefined || (directories.has(path) && directories.get(path) !== state)) unsure();
      else directories.set(path, state);
    };
    const fresh = await glob.find(failed, { unsure, directory });
    const isSame = before !== undefined && isEqual(before.paths, fresh);
    const paths = isSame ? before.paths : fresh;
    // One that is not sure is kept for the sake of its strings, and looked up again the next time.
    this.#known.set(glob, { paths, directories, untilMs: isSure ? nowMs + TRUSTED_MS : 0 });
    return paths;
  }

  /** Forgets patterns that are not among these. */
  keep(globs: ReadonlySet<Glob>): void {
    for (const glob of this.#known.keys()) if (!globs.has(glob)) this.#known.delete(glob);
  }
}

async function isCurrent({ directories }: Listing): Promise<boolean> {
  for (const [path, state] of directories) if ((await stateOf(path, Infinity)) !== state) return false;
  return true;
}

/** What changes with a directory's names and with who may read it; undefined if nobody can say. */
async function stateOf(path: string, nowMs: number): Promise<string | undefined> {
  const stats = await statIfThere(path).catch((error: Error) => error);
  if (stats === undefined) return ABSENT;
  if (stats instanceof Error || stats.mtimeMs > nowMs - SETTLED_MS) return undefined;
  return `${stats.dev}:${stats.ino}:${stats.mtimeMs}:${stats.ctimeMs}`;
}

const ABSENT = "";

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
