import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "#base/clock";
import { createLogger, errorText } from "#base/log";
import { DirectoryInodes } from "#kits/tail/directory-inodes";
import { beginsAs, closeFile, openFile, readHead } from "#kits/tail/file-io";
import { type PositionReset, readResets } from "#kits/tail/position-resets";
import { type Position, Positions } from "#kits/tail/positions";

/** What a position says of a file. */
export type PositionState =
  /** The file still has its name. */
  | "current"
  /** It has another name now. */
  | "rotated"
  /** It is not there any longer. */
  | "gone"
  /** It is shorter than what was read of it, or begins with something else. */
  | "cut"
  /** Taken over from Alloy, Promtail or Grafana Agent; the file was not opened yet. */
  | "imported"
  /** Containers and the journal. */
  | "-";

export interface PositionRow {
  readonly component: string;
  readonly kind: "file" | "docker" | "journal";
  /** The component's folder. */
  readonly directory: string;
  /** The file as its target has it; for containers their id, for the journal nothing. */
  readonly path: string;
  readonly labels: string;
  /** For people: bytes of files, times of others. */
  readonly position: string;
  /** Bytes delivered, of the decompressed content for compressed files. */
  readonly offset?: number;
  readonly state: PositionState;
  /** Bytes that are not delivered; undefined where it is not known. */
  readonly unreadBytes?: number;
  /** Where the file is now, if it was renamed. */
  readonly nowPath?: string;
  readonly pendingReset?: "start" | "end";
}

const KINDS: ReadonlyMap<string, (component: string, directory: string) => Promise<PositionRow[]>> = new Map([
  ["loki.source.file.", filePositions],
  ["loki.source.docker.", dockerPositions],
  ["loki.source.journal.", journalPositions],
]);
const COMPRESSED = /\.(?:gz|bz2|z|zlib)$/i;

/** Whether a component of this local id keeps positions. */
export function hasPositions(localId: string): boolean {
  return [...KINDS.keys()].some((prefix) => localId.startsWith(prefix));
}

/** What a component has kept. Reads only, so an agent may run; rejects if a file cannot be read or understood. */
export function readPositions(component: string, directory: string): Promise<PositionRow[]> {
  const localId = component.slice(component.lastIndexOf("/") + 1);
  const [, read] = [...KINDS].find(([prefix]) => localId.startsWith(prefix))!;
  return read(component, directory);
}

async function filePositions(component: string, directory: string): Promise<PositionRow[]> {
  const log = createLogger({ enabled: () => false, write: () => {} });
  const positions = new Positions({ directory, legacyFile: "", clock: systemClock, log, onProblem: () => {} });
  await positions.load();
  const resets = await readResets(directory);
  const inodes = new DirectoryInodes(systemClock);
  const rows: PositionRow[] = [];
  for (const position of positions.all()) {
    rows.push({ component, kind: "file", directory, ...(await describe(position, inodes, resets)) });
  }
  return rows.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

async function describe(position: Position, inodes: DirectoryInodes, resets: readonly PositionReset[]) {
  const { path, labels, file, offset } = position;
  const pending = resets.find((each) => each.path === path && each.labels === labels)?.to;
  const common = {
    path,
    labels,
    position: Number.isNaN(offset) ? "damaged" : String(offset),
    ...(Number.isNaN(offset) ? {} : { offset }),
    ...(pending === undefined ? {} : { pendingReset: pending }),
  };
  const found = file === undefined ? path : await inodes.find(path, file);
  const stats = found === undefined ? undefined : await stat(found).catch(() => undefined);
  if (found === undefined || stats === undefined) return { ...common, state: "gone" as const };
  const unread = Number.isNaN(offset) || COMPRESSED.test(path) ? {} : { unreadBytes: Math.max(0, stats.size - offset) };
  if (file === undefined) return { ...common, ...unread, state: "imported" as const };
  if (!(await stillBegins(found, file.fingerprint)) || (!COMPRESSED.test(path) && offset > stats.size)) {
    return { ...common, unreadBytes: stats.size, state: "cut" as const };
  }
  const named = await stat(path).catch(() => undefined);
  if (named?.ino === file.inode && named.dev === file.device)
    return { ...common, ...unread, state: "current" as const };
  return { ...common, ...unread, state: "rotated" as const, nowPath: found };
}

async function stillBegins(path: string, fingerprint: Parameters<typeof beginsAs>[1]): Promise<boolean> {
  const fd = await openFile(path).catch(() => undefined);
  if (fd === undefined) return true; // it cannot be read by this user
  try {
    return beginsAs(await readHead(fd), fingerprint);
  } finally {
    await closeFile(fd);
  }
}

async function dockerPositions(component: string, directory: string): Promise<PositionRow[]> {
  const content = (await readJson(join(directory, "positions.json"))) as
    | { containers?: Record<string, Record<"stdout" | "stderr", { seconds: number } | undefined> & { since?: number }> }
    | undefined;
  return Object.entries(content?.containers ?? {}).map(([id, { stdout, stderr, since = 0 }]) => {
    const seconds = Math.max(stdout?.seconds ?? 0, stderr?.seconds ?? 0, since);
    const position = new Date(seconds * 1_000).toISOString();
    return { component, kind: "docker", directory, path: id, labels: "", position, state: "-" };
  });
}

async function journalPositions(component: string, directory: string): Promise<PositionRow[]> {
  const content = (await readJson(join(directory, "cursor.json"))) as { cursor?: string } | undefined;
  if (content?.cursor === undefined) return [];
  const micros = /(?:^|;)t=([0-9a-f]{1,13})(?:;|$)/.exec(content.cursor)?.[1];
  const position = micros === undefined ? content.cursor : new Date(Number.parseInt(micros, 16) / 1_000).toISOString();
  return [{ component, kind: "journal", directory, path: "", labels: "", position, state: "-" }];
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path} is damaged: ${errorText(error)}`, { cause: error });
  }
}
