import { statfs } from "node:fs/promises";
import { gauge, type Page } from "#kits/exporter/page";
import type { Collector, CollectorDefinition, CollectorOptions } from "../collector.ts";
import { errorCode, readLines } from "../files.ts";
import { NameFilter } from "../filter.ts";

const labels = ["device", "mountpoint", "fstype", "device_error"];
const size = gauge("node_filesystem_size_bytes", "Filesystem size in bytes.", ...labels);
const free = gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.", ...labels);
const avail = gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", ...labels);
const inodes = gauge("node_filesystem_files", "Filesystem total file nodes.", ...labels);
const inodesFree = gauge("node_filesystem_files_free", "Filesystem total free file nodes.", ...labels);
const purgeable = gauge(
  "node_filesystem_purgeable_bytes",
  "Filesystem space available including purgeable space (MacOS specific).",
  ...labels,
);
const readOnly = gauge("node_filesystem_readonly", "Filesystem read-only status.", ...labels);
const deviceError = gauge(
  "node_filesystem_device_error",
  "Whether an error occurred while getting statistics for the given device.",
  ...labels,
);
const mountInfo = gauge(
  "node_filesystem_mount_info",
  "Filesystem mount information.",
  ...["device", "major", "minor", "mountpoint"],
);

export interface Mount {
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly readOnly: boolean;
  readonly major: string;
  readonly minor: string;
}

/** What asking a mount gives: sizes in bytes, or the text of the error. */
type Usage = { size: number; free: number; avail: number; files: number; filesFree: number } | { error: string };

const TIMEOUT: Usage = { error: "mountpoint timeout" };
const NOT_ASKED: Usage = { error: "not asked, other mountpoints do not respond" };

/**
 * A call to a dead mount holds one of the few threads that all file access shares until the mount answers, and nothing
 * can take it back. So no more than this many calls are out at a time, those to dead mounts included.
 */
const MAX_CALLS = 2;

export const filesystem: CollectorDefinition = {
  name: "filesystem",
  enabledByDefault: true,
  create: (options) => new FilesystemCollector(options),
};

/** Asks a mount point; replaced in tests. */
type Ask = (
  path: string,
) => Promise<{ bsize: number; blocks: number; bfree: number; bavail: number; files: number; ffree: number }>;

export class FilesystemCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #ask: Ask;
  readonly #mountPoints: NameFilter;
  readonly #types: NameFilter;
  /** Mount points whose call took longer than the timeout and has not returned yet. */
  readonly #stuck = new Set<string>();
  #current: Promise<ReadonlyMap<Mount, Usage>> | undefined;

  constructor(options: CollectorOptions, ask: Ask = statfs) {
    this.#options = options;
    this.#ask = ask;
    this.#mountPoints = new NameFilter(options.args.filesystem.mount_points_exclude);
    this.#types = new NameFilter(options.args.filesystem.fs_types_exclude);
  }

  async collect(page: Page): Promise<void> {
    // Scrapes at the same time share the calls.
    this.#current ??= this.#askAll().finally(() => {
      this.#current = undefined;
    });
    for (const [mount, usage] of await this.#current) addMount(page, mount, usage);
  }

  async #askAll(): Promise<ReadonlyMap<Mount, Usage>> {
    const usages = new Map<Mount, Usage>();
    const waiting: Mount[] = [];
    for (const mount of this.#mounts()) {
      usages.set(mount, this.#stuck.has(mount.mountPoint) ? TIMEOUT : NOT_ASKED);
      if (!this.#stuck.has(mount.mountPoint)) waiting.push(mount);
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

  /** The mounts that pass the filters, each device at each place once. */
  #mounts(): Mount[] {
    const { files } = this.#options;
    let lines: string[];
    try {
      // The first process sees the host's mounts even when the agent runs in a name space of its own.
      lines = readLines(files.proc("1/mountinfo"));
    } catch (error) {
      if (!["ENOENT", "EACCES"].includes(errorCode(error) ?? "")) throw error;
      lines = readLines(files.proc("self/mountinfo"));
    }
    const mounts = new Map<string, Mount>();
    for (const line of lines) {
      const mount = parseMount(line, (path) => files.stripRoot(path));
      if (this.#mountPoints.ignores(mount.mountPoint) || this.#types.ignores(mount.type)) continue;
      const key = `${mount.device}\n${mount.mountPoint}\n${mount.type}`;
      if (!mounts.has(key)) mounts.set(key, mount);
    }
    return [...mounts.values()];
  }

  /** Resolves with `TIMEOUT` when the mount does not answer in time. */
  async #usage(mountPoint: string): Promise<Usage> {
    const call = this.#call(mountPoint).finally(() => {
      if (this.#stuck.delete(mountPoint)) this.#options.log.info("mount point responds again", { mountPoint });
    });
    const abort = new AbortController();
    const timeout = this.#options.clock.sleep(this.#options.args.filesystem.mount_timeout, abort.signal).then(
      () => {
        this.#stuck.add(mountPoint);
        this.#options.log.warn("mount point does not respond; it is left alone until it does", { mountPoint });
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

  async #call(mountPoint: string): Promise<Usage> {
    try {
      const answer = await this.#ask(this.#options.files.root(mountPoint));
      const { bsize } = answer;
      return {
        size: answer.blocks * bsize,
        free: answer.bfree * bsize,
        avail: answer.bavail * bsize,
        files: answer.files,
        filesFree: answer.ffree,
      };
    } catch (error) {
      // "EACCES: permission denied, statfs '/mnt'" → "permission denied"
      return { error: (error as Error).message.replace(/^[A-Z0-9]+: /, "").replace(/, statfs .*$/s, "") };
    }
  }
}

function addMount(page: Page, mount: Mount, usage: Usage): void {
  const { device, mountPoint, type } = mount;
  const error = "error" in usage ? usage.error : "";
  const values = [device, mountPoint, type, error];
  page.add(deviceError, error === "" ? 0 : 1, ...values);
  page.add(readOnly, mount.readOnly ? 1 : 0, ...values);
  if ("error" in usage) return;
  page.add(size, usage.size, ...values);
  page.add(free, usage.free, ...values);
  page.add(avail, usage.avail, ...values);
  page.add(inodes, usage.files, ...values);
  page.add(inodesFree, usage.filesFree, ...values);
  page.add(mountInfo, 1, device, mount.major, mount.minor, mountPoint);
  // Zero on Linux, but there: node_exporter 1.10 has it too.
  page.add(purgeable, 0, ...values);
}

/** A line of /proc/PID/mountinfo; `stripRoot` turns the mount point into what the host calls it. */
export function parseMount(line: string, stripRoot: (path: string) => string): Mount {
  const fields = line.split(" ");
  const separator = fields.indexOf("-", 6);
  const [major, minor] = (fields[2] ?? "").split(":");
  if (separator < 0 || fields.length < separator + 4 || minor === undefined) {
    throw new Error(`unexpected line in mountinfo: ${line}`);
  }
  const options = [...fields[5]!.split(","), ...fields[separator + 3]!.split(",")];
  return {
    device: fields[separator + 2]!,
    mountPoint: stripRoot(fields[4]!.replaceAll("\\040", " ").replaceAll("\\011", "\t")),
    type: fields[separator + 1]!,
    readOnly: options.includes("ro"),
    major: major!,
    minor,
  };
}
