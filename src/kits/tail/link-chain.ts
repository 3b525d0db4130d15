import { readlink } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** More links in a row than the kernel follows. */
const MAX_LINKS = 40;

/**
 * The names that lead to a file: the path and, where it is a symbolic link, each link on the way and what is at the end.
 * Kubernetes has `/var/log/containers/x.log` → `/var/log/pods/…/0.log` → `/var/lib/docker/containers/…-json.log`: a
 * rotation happens at the end of the chain, and a restart of the container changes the links. Never rejects.
 */
export async function linkChain(path: string): Promise<string[]> {
  const names = [path];
  for (let at = path; names.length <= MAX_LINKS; ) {
    let target: string;
    try {
      target = await readlink(at);
    } catch {
      break; // no link, or not there
    }
    at = resolve(dirname(at), target);
    if (names.includes(at)) break;
    names.push(at);
  }
  return names;
}
