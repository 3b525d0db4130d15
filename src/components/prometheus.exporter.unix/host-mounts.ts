import { type Mount, parseMount } from "#kits/mounts";
import { errorCode, type HostFiles, readText } from "./files.ts";

/** The host's mounts, with their mount points as the host calls them. */
export function hostMounts(files: HostFiles): Mount[] {
  return parseMounts(readMountInfo(files), files);
}

/** The first process sees the host's mounts even when the agent runs in a name space of its own. */
export function readMountInfo(files: HostFiles): string {
  try {
    return readText(files.proc("1/mountinfo"));
  } catch (error) {
    if (!["ENOENT", "EACCES"].includes(errorCode(error) ?? "")) throw error;
    return readText(files.proc("self/mountinfo"));
  }
}

export function parseMounts(text: string, files: HostFiles): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const mount = parseMount(line);
    mounts.push({ ...mount, mountPoint: files.stripRoot(mount.mountPoint) });
  }
  return mounts;
}
