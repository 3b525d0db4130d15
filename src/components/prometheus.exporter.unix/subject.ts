import { NoDataError } from "./collector.ts";
import { isMissing, listFolder, readText } from "./files.ts";

/** As `listFolder`; a folder that is not there means that the host does not have the collector's subject. */
export function listSubject(path: string, reason: string): string[] {
  return orNoData(() => listFolder(path), reason);
}

/** As `readText`; a file that is not there means that the host does not have the collector's subject. */
export function readSubject(path: string, reason: string): string {
  return orNoData(() => readText(path), reason);
}

function orNoData<T>(read: () => T, reason: string): T {
  try {
    return read();
  } catch (error) {
    if (isMissing(error)) throw new NoDataError(reason);
    throw error;
  }
}
