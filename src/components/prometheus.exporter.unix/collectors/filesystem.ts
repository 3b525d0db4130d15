import { gauge, type Page } from "#kits/exporter/page";
import { type AskMount, type Mount, type MountUsage, MountUsages } from "#kits/mounts";
import type { Collector, CollectorDefinition, CollectorOptions } from "../collector.ts";
import { NameFilter } from "../filter.ts";
import { parseMounts, readMountInfo } from "../host-mounts.ts";

const labels = ["device", "mountpoint", "fstype"];
const size = gauge("node_filesystem_size_bytes", "Filesystem size in bytes.", ...labels);
const free = gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.", ...labels);
const avail = gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", ...labels);
const inodes = gauge("node_filesystem_files", "Filesystem total file nodes.", ...labels);
const inodesFree = gauge("node_filesystem_files_free", "Filesystem total free file nodes.", ...labels);
const readOnly = gauge("node_filesystem_readonly", "Filesystem read-only status.", ...labels);
const deviceError = gauge(
  "node_filesystem_device_error",
  "Whether an error occurred while getting statistics for the given device.",
  ...labels,
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
  /** Why mount points did not answer the last time. */
  #failures: ReadonlyMap<string, string> = new Map();
  #mountInfo: string | undefined;
  #wanted: readonly Mount[] = [];
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
    const usages = await this.#current;
    this.#tell(usages);
    for (const [mount, usage] of usages) addMount(page, mount, usage);
  }

  /** Logs why a mount does not answer, once: the metric only says that it does not. */
  #tell(usages: ReadonlyMap<Mount, MountUsage>): void {
    const failures = new Map<string, string>();
    for (const [{ mountPoint }, usage] of usages) if ("error" in usage) failures.set(mountPoint, usage.error);
    for (const [mountPoint, error] of failures) {
      if (this.#failures.get(mountPoint) !== error) {
        this.#options.log.info("cannot get the usage of a mount point", { mountPoint, error });
      }
    }
    this.#failures = failures;
  }

  /** The mounts that pass the filters, each device at each place once; they are the same at most scrapes. */
  #mounts(): readonly Mount[] {
    const text = readMountInfo(this.#options.files);
    if (text !== this.#mountInfo) {
      this.#wanted = this.#choose(parseMounts(text, this.#options.files));
      this.#mountInfo = text;
    }
    return this.#wanted;
  }

  #choose(all: readonly Mount[]): Mount[] {
    const mounts = new Map<string, Mount>();
    for (const mount of all) {
      if (this.#mountPoints.ignores(mount.mountPoint) || this.#types.ignores(mount.type)) continue;
      const key = `${mount.device}\n${mount.mountPoint}\n${mount.type}`;
      if (!mounts.has(key)) mounts.set(key, mount);
    }
    return [...mounts.values()];
  }
}

function addMount(page: Page, mount: Mount, usage: MountUsage): void {
  const values = [mount.device, mount.mountPoint, mount.type] as const;
  page.add(deviceError, "error" in usage ? 1 : 0, ...values);
  page.add(readOnly, mount.readOnly ? 1 : 0, ...values);
  if ("error" in usage) return;
  page.add(size, usage.size, ...values);
  page.add(free, usage.free, ...values);
  page.add(avail, usage.avail, ...values);
  page.add(inodes, usage.files, ...values);
  page.add(inodesFree, usage.filesFree, ...values);
}
