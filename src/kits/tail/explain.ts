import { statSync } from "node:fs";
import { dirname, posix } from "node:path";
import { missingPermission } from "./permissions.ts";

/** Why a path cannot be read, in words that say what to do. For paths that failed; not for hot paths. */

/** The longest existing directory on the way to a path. */
export function deepestExisting(path: string): string {
  for (let at = dirname(path); ; at = dirname(at)) {
    try {
      statSync(at);
      return at;
    } catch {
      if (at === dirname(at)) return at;
    }
  }
}

/** An error of opening or reading `path` as a sentence with cause and remedy. */
export function explainFailure(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT": {
      const parent = dirname(path);
      const existing = deepestExisting(path);
      if (existing === parent) return `${path} does not exist; it will be read when it appears`;
      return `${path} does not exist: there is no directory ${parent} (deepest existing: ${existing}). Does the agent run in a container? Then mount it`;
    }
    case "EACCES":
    case "EPERM":
      return `${path}: permission denied: ${missingPermission(path)}`;
    case "EISDIR":
      return `${path} is a directory; use a pattern such as ${posix.join(path, "*.log")} with \`file_match\``;
    case "ELOOP":
      return `${path}: too many symbolic links, or links in a circle`;
    case "ENOTDIR":
      return `${path}: a part of the path is a file, not a directory`;
    case "EMFILE":
    case "ENFILE":
      return `${path}: too many open files; raise the limit (\`ulimit -n\`, \`LimitNOFILE=\` of systemd)`;
    default:
      return `${path}: ${error.message}`;
  }
}
