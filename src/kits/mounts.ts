import { statfs } from "node:fs/promises";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";

export interface Mount {
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly readOnly: boolean;
  readonly major: string;
  readonly minor: string;
  /** Options of the file system itself, rather than of this mount. */
  readonly superOptions: readonly string[];
}

/** A line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Throws for what is none. */
export function parseMount(line: string): Mount {
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  const [major, minor] = (fields[2] ?? "").split(":");
  if (separator < 0 || fields.length < separator + 4 || minor === undefined) {
    throw new Error(`unexpected line in mountinfo: ${line}`);
  }
  const superOptions = fields[separator + 3]!.split(",");
  return {
    device: fields[separator + 2]!,
    mountPoint: fields[4]!.replaceAll("\\040", " ").replaceAll("\\011", "\t"),
    type: fields[separator + 1]!,
    readOnly: fields[5]!.split(",").includes("ro") || superOptions.includes("ro"),
    major: major!,
    minor,
    superOptions,
  };
}

/** What asking a mount gives: sizes in bytes, or the text of the error. */
export type MountUsage =
  | {
      readonly size: number;
      readonly free: number;
      readonly avail: number;
      readonly files: number;
      readonly filesFree: number;
    }
  | { readonly error: string };

const TIMEOUT: MountUsage = { error: "mountpoint timeout" };
const NOT_ASKED: MountUsage = { error: "not asked, other mountpoints do not respond" };

/**
 * A call to a dead mount holds one of the few threads that all file access shares until the mount answers, and nothing
 * can take it back. So no more than this many calls are out at a time, those to dead mounts included.
 */
const MAX_CALLS = 2;

/** Asks a mount point; replaced in tests. */
export type AskMount = (
  path: string,
) => Promise<{ bsize: number; blocks: number; bfree: number; bavail: number; files: number; ffree: number }>;

export interface MountUsagesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly timeoutMs: number;
  /** The path of a mount point as this process sees it. */
  path(mountPoint: string): string;
}

/** Asks mounts for their sizes, and leaves those alone that do not answer until they do. */
export class MountUsages {
  readonly #options: MountUsagesOptions;
  readonly #ask: AskMount;
  /** Mount points whose call took longer than the timeout and has not returned yet. */
  readonly #stuck = new Set<string>();

  constructor(options: MountUsagesOptions, ask: AskMount = statfs) {
    this.#options = options;
    this.#ask = ask;
  }

  /** By mount, in the order given. */
  async ask<M extends Pick<Mount, "mountPoint">>(mounts: readonly M[]): Promise<ReadonlyMap<M, MountUsage>> {
    const usages = new Map<M, MountUsage>();
    const waiting: M[] = [];
    for (const mount of mounts) {
      const isStuck = this.#stuck.has(mount.mountPoint);
      usages.set(mount, isStuck ? TIMEOUT : NOT_ASKED);
      if (!isStuck) waiting.push(mount);
    }
    const work = async () => {
      for (let mount = waiting.shift(); mount !== undefined; mount = waiting.shift()) {
        const usage = await this.#usage(mount.mountPoint);
        usages.set(mount, usage);
        // The call is still out, so this worker must not make another.
        if (usage === TIMEOUT) return;
      }
    };
    await Promise.all(Array.from({ length: Math.max(0, MAX_CALLS - this.#stuck.size) }, work));
    return usages;
  }

  /** Resolves with `TIMEOUT` when the mount does not answer in time. */
  async #usage(mountPoint: string): Promise<MountUsage> {
    const { clock, log, timeoutMs } = this.#options;
    const call = this.#call(mountPoint).finally(() => {
      if (this.#stuck.delete(mountPoint)) log.info("mount point responds again", { mountPoint });
    });
    const abort = new AbortController();
    const timeout = clock.sleep(timeoutMs, abort.signal).then(
      () => {
        this.#stuck.add(mountPoint);
        log.warn("mount point does not respond; it is left alone until it does", { mountPoint });
        return TIMEOUT;
      },
      () => TIMEOUT,
    );
    try {
      return await Promise.race([call, timeout]);
    } finally {
      abort.abort();
    }
  }

  async #call(mountPoint: string): Promise<MountUsage> {
    try {
      const { bsize, blocks, bfree, bavail, files, ffree } = await this.#ask(this.#options.path(mountPoint));
      return { size: blocks * bsize, free: bfree * bsize, avail: bavail * bsize, files, filesFree: ffree };
    } catch (error) {
      // "EACCES: permission denied, statfs '/mnt'" → "permission denied"
      return { error: (error as Error).message.replace(/^[A-Z0-9]+: /, "").replace(/, statfs .*$/s, "") };
    }
  }
}
