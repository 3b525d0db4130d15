import { stat } from "node:fs/promises";
import type { Tail } from "./tail.ts";

interface AnyFile {
  readonly device: number;
  readonly inode: number;
}

/** Which tails hold which files open, or wait for confirmations of what they read of them. */
export class Holders {
  readonly #tails = new Map<string, readonly Tail[]>();

  add(file: AnyFile, tail: Tail): void {
    const key = fileKey(file);
    const tails = this.#tails.get(key) ?? [];
    if (!tails.includes(tail)) this.#tails.set(key, [...tails, tail]);
  }

  remove(file: AnyFile, tail: Tail): void {
    const key = fileKey(file);
    const tails = (this.#tails.get(key) ?? []).filter((each) => each !== tail);
    if (tails.length === 0) this.#tails.delete(key);
    else this.#tails.set(key, tails);
  }

  of(file: AnyFile): readonly Tail[] {
    return this.#tails.get(fileKey(file)) ?? [];
  }

  has(file: AnyFile): boolean {
    return this.#tails.has(fileKey(file));
  }

  /**
   * Whether another tail reads the file: one that it was rotated from or to, or one whose target is gone. A file that has
   * both names at once, by a link, is read for both, and one that two targets name with other labels for both of them.
   */
  async isClaimed(file: AnyFile, by: Tail, isPresent: (tail: Tail) => boolean): Promise<boolean> {
    const { path } = by.target;
    for (const other of this.of(file)) {
      if (other === by || (isPresent(other) && other.target.path === path)) continue;
      if (!isPresent(other) || !(await namesFile(other.target.path, file))) return true;
      // Our own name last: of a file that is renamed in between it would seem that it has both.
      if (other.labelText === by.labelText && !(await namesFile(path, file))) return true;
    }
    return false;
  }
}

/** What tells a file from all others that are there at the same time. */
export function fileKey(file: AnyFile): string {
  return `${file.device}:${file.inode}`;
}

/** Whether the path leads to the file. */
export async function namesFile(path: string, file: AnyFile): Promise<boolean> {
  const named = await stat(path).catch(() => undefined);
  return named !== undefined && named.ino === file.inode && named.dev === file.device;
}
