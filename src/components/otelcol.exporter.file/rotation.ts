import { readdir, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";

/** Files that were put aside. Names match timberjack v1.4 as fileexporter v0.158 uses it: `NAME-TIME-size.EXT`. */
export interface Rotation {
  readonly max_megabytes: number;
  readonly max_days: number;
  readonly max_backups: number;
  readonly localtime: boolean;
}

const DAY_MS = 24 * 3_600_000;
const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)-(\d\d)-(\d\d)\.(\d{3})(-.+)?$/;

/** Gives the file a name with the present time, so that another can take its place. */
export async function putAside(path: string, { localtime }: Rotation, now: number): Promise<void> {
  const extension = extname(path);
  const start = path.slice(0, path.length - extension.length);
  for (let ms = now; ; ms++) {
    const target = `${start}-${timeText(ms, localtime)}-size${extension}`;
    // Two in one millisecond must not become one.
    if (
      await stat(target).then(
        () => true,
        () => false,
      )
    )
      continue;
    await rename(path, target);
    return;
  }
}

/** Removes files that were put aside beyond `max_backups` and `max_days`. Those of older versions, without a reason, count as well. */
export async function removeOld(path: string, rotation: Rotation, now: number): Promise<void> {
  const { max_backups: most, max_days: days, localtime } = rotation;
  if (most === 0 && days === 0) return;
  const extension = extname(path);
  const prefix = `${basename(path, extension)}-`;
  const folder = dirname(path);
  const aside: { readonly name: string; readonly ms: number }[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(extension)) continue;
    const ms = timeOf(name.slice(prefix.length, name.length - extension.length), localtime);
    if (ms !== undefined) aside.push({ name, ms });
  }
  aside.sort((a, b) => b.ms - a.ms);
  for (const [i, { name, ms }] of aside.entries()) {
    const isTooOld = days > 0 && ms < now - days * DAY_MS;
    if (isTooOld || (most > 0 && i >= most)) {
      await unlink(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
  }
}

function timeText(ms: number, localtime: boolean): string {
  const shifted = localtime ? new Date(ms - new Date(ms).getTimezoneOffset() * 60_000) : new Date(ms);
  return shifted.toISOString().slice(0, -1).replaceAll(":", "-");
}

function timeOf(text: string, localtime: boolean): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second, ms] = match.slice(1, 8).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return localtime
    ? new Date(year, month - 1, day, hour, minute, second, ms).getTime()
    : Date.UTC(year, month - 1, day, hour, minute, second, ms);
}
