import { gauge, type Page } from "#kits/exporter/page";
import { type AskMount, type Mount, type MountUsage, MountUsages, parseMount } from "#kits/mounts";
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

export const filesystem: CollectorDefinition = {
  name: "filesystem",
  enabledByDefault: true,
  create: (options) => new FilesystemCollector(options),
};

export class FilesystemCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #usages: MountUsages;
  readonly #mountPoints: NameFilter;
  readonly #types: NameFilter;
  #current: Promise<ReadonlyMap<Mount, MountUsage>> | undefined;

  constructor(options: CollectorOptions, ask?: AskMount) {
    const { args, clock, files, log } = options;
    this.#options = options;
    const timeoutMs = args.filesystem.mount_timeout;
    this.#usages = new MountUsages({ clock, log, timeoutMs, path: (mountPoint) => files.root(mountPoint) }, ask);
    this.#mountPoints = new NameFilter(options.args.filesystem.mount_points_exclude);
    this.#types = new NameFilter(options.args.filesystem.fs_types_exclude);
  }

  async collect(page: Page): Promise<void> {
    // Scrapes at the same time share the calls.
    this.#current ??= this.#usages.ask(this.#mounts()).finally(() => {
      this.#current = undefined;
    });
    for (const [mount, usage] of await this.#current) addMount(page, mount, usage);
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
      const parsed = parseMount(line);
      const mount = { ...parsed, mountPoint: files.stripRoot(parsed.mountPoint) };
      if (this.#mountPoints.ignores(mount.mountPoint) || this.#types.ignores(mount.type)) continue;
      const key = `${mount.device}\n${mount.mountPoint}\n${mount.type}`;
      if (!mounts.has(key)) mounts.set(key, mount);
    }
    return [...mounts.values()];
  }
}

function addMount(page: Page, mount: Mount, usage: MountUsage): void {
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
