import { NoDataError } from "./collector.ts";
import { exists, isMissing, listFolder, readText } from "./files.ts";

/** As `listFolder`; a folder that is not there means that the host does not have the collector's subject. */
export function listSubject(path: string, reason: string): string[] {
  return orNoData(path, listFolder, reason);
}

/** As `readText`; a file that is not there means that the host does not have the collector's subject. */
export function readSubject(path: string, reason: string): string {
  return orNoData(path, readText, reason);
}

function orNoData<T>(path: string, read: (path: string) => T, reason: string): T {
  // Asking is much cheaper than an error, and most hosts lack most subjects at each scrape.
  if (!exists(path)) throw new NoDataError(reason);
  try {
    return read(path);
  } catch (error) {
    if (isMissing(error)) throw new NoDataError(reason);
    throw error;
  }
}
