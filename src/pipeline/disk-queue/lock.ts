import { readFileSync, readlinkSync } from "node:fs";
import { type FileHandle, open, readFile, rename, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import { DiskQueueError } from "./types.ts";

/** How often a holder touches its lock, and after which silence a holder that cannot be seen counts as gone. */
const BEAT_MS = 2000;
const SILENCE_MS = 7000;

/** Folders locked by this process: its own pid says nothing about them. */
const held = new Set<string>();

/**
 * Keeps two processes from one folder. The lock file names its holder by process id, start time and process namespace;
 * within the namespace that decides at once. A holder in another namespace (a container on the same volume, another
 * host) counts as alive while it touches the file.
 */
export class FolderLock {
  readonly #path: string;
  readonly #dir: string;
  readonly #beat: NodeJS.Timeout;

  private constructor(dir: string, path: string) {
    this.#dir = dir;
    this.#path = path;
    this.#beat = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => {}); // the next opener judges by what it sees
    }, BEAT_MS).unref();
  }

  /** Locks `dir`. Rejects with a DiskQueueError while somebody else holds it; waits out one that fell silent. */
  static async take(dir: string): Promise<FolderLock> {
    const path = join(dir, "lock");
    if (held.has(path)) throw inUse(dir, "this process (two components with one folder?)");
    held.add(path);
    try {
      for (;;) {
        let handle: FileHandle;
        try {
          handle = await open(path, "wx", 0o600);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
          await waitUntilGone(dir, path);
          await rename(path, `${path}.stale`).catch(ignoreMissing);
          continue;
        }
        await handle.writeFile(identity(process.pid));
        await handle.close();
        await unlink(`${path}.stale`).catch(ignoreMissing);
        return new FolderLock(dir, path);
      }
    } catch (error) {
      held.delete(path);
      throw error;
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#beat);
    await unlink(this.#path).catch(ignoreMissing);
    held.delete(join(this.#dir, "lock"));
  }
}

/** Resolves when the lock's holder is gone, rejects when it lives. */
async function waitUntilGone(dir: string, path: string): Promise<void> {
  const began = performance.now();
  for (;;) {
    let text: string;
    let touched: number;
    try {
      text = await readFile(path, "utf8");
      touched = (await stat(path)).mtimeMs;
    } catch (error) {
      return ignoreMissing(error);
    }
    const [pid, , namespace] = text.split(" ");
    if (namespace === ownNamespace() && Number(pid) > 0) {
      // Its own pid in a file that it does not hold is left over from a predecessor with the same number.
      if (Number(pid) !== process.pid && identity(Number(pid)) === text) throw inUse(dir, `process ${pid}`);
      return;
    }
    if (Math.abs(Date.now() - touched) > SILENCE_MS) return;
    if (performance.now() - began > 2 * SILENCE_MS)
      throw inUse(dir, "a process in another container or on another host");
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

function inUse(dir: string, holder: string): DiskQueueError {
  return new DiskQueueError(
    `${dir} is in use by ${holder}; give each agent a storage path of its own, or stop the other one`,
  );
}

/** `PID START-TIME NAMESPACE`; the start time tells processes with one number apart. Empty start time: no such process. */
function identity(pid: number): string {
  let started = "";
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8");
    started = fields.slice(fields.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  } catch {
    if (process.platform !== "linux" && alive(pid)) started = "unknown";
  }
  return `${pid} ${started} ${ownNamespace()}`;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

let namespace: string | undefined;

/** The boot and the process namespace: within one, process ids can be compared. */
function ownNamespace(): string {
  if (namespace === undefined) {
    try {
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
      namespace = `${boot}/${readlinkSync("/proc/self/ns/pid")}`;
    } catch {
      namespace = `${process.platform}/local`;
    }
  }
  return namespace;
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
