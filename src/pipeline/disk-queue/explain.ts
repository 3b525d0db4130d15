/** A system error in words that say what to do. */
export function explain(error: unknown, dir: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return `no space left for ${dir}: free some, or move --storage.path to a larger disk (data waits in memory)`;
    case "EACCES":
    case "EPERM":
      return `no permission to write to ${dir}: give the agent's user access, or choose another --storage.path`;
    case "EROFS":
      return `${dir} is on a read-only file system: choose another --storage.path`;
    case "ENOTDIR":
    case "EEXIST":
      return `a file is in the way of the folder ${dir}: move it, or choose another --storage.path`;
    case "EMFILE":
    case "ENFILE":
      return `too many open files (${code}): raise the limit of open files`;
    case "EIO":
      return `the disk of ${dir} reports an error: check it (${message})`;
    default:
      return message === "full" ? `the queue in ${dir} is full and waits for its readers` : message;
  }
}
