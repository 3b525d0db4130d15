import { readFileSync } from "node:fs";

let known: number | undefined;

/** Type of the entry of the auxiliary vector that holds the size of a page. */
const AT_PAGESZ = 6n;

/** Bytes in a page of memory: 4096 nearly everywhere, 16384 or 65536 on some ARM machines. Node does not tell. */
export function pageSize(): number {
  known ??= readPageSize();
  return known;
}

function readPageSize(): number {
  try {
    const vector = readFileSync("/proc/self/auxv");
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      if (vector.readBigUInt64LE(at) === AT_PAGESZ) return Number(vector.readBigUInt64LE(at + 8));
    }
  } catch {
    // Some sandboxes hide the file.
  }
  return 4096;
}
