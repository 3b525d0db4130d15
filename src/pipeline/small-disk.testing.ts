import { execFile } from "node:child_process";
import { mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of 1 MiB in memory, to be filled and emptied. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves no byte free. */
  fill(): Promise<void>;
  empty(): Promise<void>;
}

/** Mounts a small disk in a folder of its own; undefined without the right to mount. */
export async function mountSmallDisk(): Promise<SmallDisk | undefined> {
  const path = await mkdtemp(join(tmpdir(), "small-disk-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path]);
  } catch {
    await rmdir(path);
    return undefined;
  }
  const ballast = join(path, "ballast");
  return {
    path,
    async fill() {
      await writeFile(ballast, Buffer.alloc(1 << 20)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOSPC") throw error;
      });
    },
    empty: () => rm(ballast),
    async [Symbol.asyncDispose]() {
      await run("umount", ["--lazy", path]);
      await rmdir(path);
    },
  };
}
