import { lstat, opendir } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { isAbsent, isDenied } from "#kits/proc-files";

const BLOCK_BYTES = 512;
/** As often as cAdvisor: container/common/fsHandler.go. */
const PERIOD_MS = 60_000;
/** Entries looked at before others get their turn. */
const SLICE = 200;

export interface DirectoryUsage {
  readonly bytes: number;
  readonly inodes: number;
}

/** How much a folder and all below it hold, on its own file system; a file with several names counts once. */
export async function measureDirectory(path: string, signal: AbortSignal): Promise<DirectoryUsage> {
  const root = await lstat(path);
  const linked = new Set<number>();
  let bytes = root.blocks * BLOCK_BYTES;
  let inodes = 1;
  let seen = 0;
  const waiting = [path];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    try {
      for await (const entry of await opendir(folder)) {
        signal.throwIfAborted();
        if (++seen % SLICE === 0) await setImmediate();
        const stat = await lstat(`${folder}/${entry.name}`);
        if (stat.dev !== root.dev) continue;
        if (stat.nlink > 1 && !stat.isDirectory()) {
          if (linked.has(stat.ino)) continue;
          linked.add(stat.ino);
        }
        bytes += stat.blocks * BLOCK_BYTES;
        inodes++;
        if (stat.isDirectory()) waiting.push(`${folder}/${entry.name}`);
      }
    } catch (error) {
      // Containers remove files all the time.
      if (!isAbsent(error) && !isDenied(error)) throw error;
    }
  }
  return { bytes, inodes };
}

/** What the folders of one container hold, measured again and again in the background while somebody asks. */
export class ContainerUsage {
  readonly #folders: readonly string[];
  readonly #queue: UsageQueue;
  #usage: DirectoryUsage | undefined;
  #measured = -Infinity;
  #isWaiting = false;

  /** The first of the folders has the inodes that count. */
  constructor(folders: readonly string[], queue: UsageQueue) {
    this.#folders = folders;
    this.#queue = queue;
  }

  /** The last figures; undefined until there are some. */
  get(now: number): DirectoryUsage | undefined {
    if (!this.#isWaiting && now - this.#measured >= PERIOD_MS) {
      this.#isWaiting = true;
      this.#queue.add(async (signal) => {
        try {
          const usages = await Promise.all(this.#folders.map((folder) => measureIfThere(folder, signal)));
          const bytes = usages.reduce((sum, usage) => sum + (usage?.bytes ?? 0), 0);
          if (usages[0] !== undefined) this.#usage = { bytes, inodes: usages[0].inodes };
        } finally {
          this.#measured = now;
          this.#isWaiting = false;
        }
      });
    }
    return this.#usage;
  }
}

async function measureIfThere(folder: string, signal: AbortSignal): Promise<DirectoryUsage | undefined> {
  try {
    return await measureDirectory(folder, signal);
  } catch (error) {
    if (isAbsent(error) || isDenied(error)) return undefined;
    throw error;
  }
}

type Work = (signal: AbortSignal) => Promise<void>;

/** Measures one container after the other: walking through folders keeps the threads busy that all file access shares. */
export class UsageQueue {
  readonly #signal: AbortSignal;
  readonly #fail: (error: unknown) => void;
  #last: Promise<void> = Promise.resolve();

  constructor(signal: AbortSignal, fail: (error: unknown) => void) {
    this.#signal = signal;
    this.#fail = fail;
  }

  add(work: Work): void {
    this.#last = this.#last
      .then(() => (this.#signal.aborted ? undefined : work(this.#signal)))
      .catch((error) => {
        if (!this.#signal.aborted) this.#fail(error);
      });
  }
}
