import { closeSync, openSync, writeSync } from "node:fs";

export interface FileLoad {
  readonly path: string;
  readonly lines: number;
  readonly bytes: number;
}

/** Writes numbered lines into a file. */
export function writeLines(path: string, lines: number, line: (sequence: number) => string): FileLoad {
  const file = openSync(path, "w");
  let bytes = 0;
  let chunk = "";
  for (let i = 0; i < lines; i++) {
    chunk += `${line(i)}\n`;
    if (chunk.length > 4 << 20 || i === lines - 1) {
      bytes += writeSync(file, chunk);
      chunk = "";
    }
  }
  closeSync(file);
  return { path, lines, bytes };
}
