import { parseMount } from "./mounts.ts";

/** Where control groups are mounted. */
export interface CgroupMounts {
  readonly version: 1 | 2;
  /** Folders by controller; version 2 has one, under "". */
  readonly folders: ReadonlyMap<string, string>;
}

/** Where systems mount control groups; version 2 counts only when it is mounted right there (libcontainer's utils.go). */
const UNIFIED = "/sys/fs/cgroup";

/**
 * Finds the mounts in the text of /proc/self/mountinfo; a controller that is mounted several times counts where it is
 * first. Undefined where nothing is mounted.
 */
export function findCgroupMounts(mountInfo: string): CgroupMounts | undefined {
  const folders = new Map<string, string>();
  for (const line of mountInfo.split("\n")) {
    if (!line.includes(" - cgroup")) continue;
    const { type, mountPoint, superOptions } = parseMount(line);
    if (type === "cgroup2" && mountPoint === UNIFIED) return { version: 2, folders: new Map([["", mountPoint]]) };
    if (type !== "cgroup") continue;
    for (const option of superOptions) {
      if (!FLAGS.has(option) && !option.includes("=") && !folders.has(option)) folders.set(option, mountPoint);
    }
  }
  return folders.size === 0 ? undefined : { version: 1, folders };
}

/** Options of the mount that are no controllers. */
const FLAGS: ReadonlySet<string> = new Set(["rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode"]);
