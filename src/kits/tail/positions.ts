import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import { makeFolder } from "#pipeline/make-folder";
import { closeFile, type FileIdentity, fingerprintOf, openFile, readHead, statFile } from "./file-io.ts";
import { type ImportedPosition, parsePositionsYaml } from "./positions-yaml.ts";

/**
 * How far each file has been delivered, kept over restarts. A file is known by its identity, so that it is found again
 * under another name; a path has several entries while files that were rotated away from it are still being delivered.
 */
export interface Position {
  readonly path: string;
  /** The target's labels as text, `{job="a"}`. */
  readonly labels: string;
  /** Undefined for positions taken over from Alloy, which knows files by their paths only. */
  readonly file: FileIdentity | undefined;
  /** Bytes delivered. For compressed files, decompressed bytes. NaN if what the file said is no number. */
  readonly offset: number;
}

const FILE = "positions.json";
const VERSION = 1;
const SAVE_INTERVAL_MS = 250;
const NEW_FILE_SAVE_MS = 20;

export interface PositionsOptions {
  /** The component's folder. Alloy's `positions.yml` in it is taken over when it is newer than our own file. */
  readonly directory: string;
  /** A positions file of Grafana Agent or Promtail, taken over when there is none of ours and none of Alloy's. */
  readonly legacyFile: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told when the file cannot be written, and with undefined when it can again. */
  onProblem(problem: string | undefined): void;
}

/** The store of one component. Entries live in memory; `save` writes them when they changed. */
export class Positions {
  readonly #options: PositionsOptions;
  readonly #path: string;
  /** By path and labels, oldest first. */
  readonly #entries = new Map<string, readonly Position[]>();
  /** The same entries by file. */
  readonly #byFile = new Map<string, readonly Position[]>();
  #changed = false;
  #problem: string | undefined;
  #lastSaveMs = 0;
  #saving: Promise<void> = Promise.resolve();
  #wake = () => {};
  #waiting: (() => void)[] = [];

  constructor(options: PositionsOptions) {
    this.#options = options;
    this.#path = join(options.directory, FILE);
  }

  /**
   * Reads what earlier runs left. Rejects if a file is there and cannot be read or understood, since starting without it
   * would send everything again.
   */
  async load(): Promise<void> {
    const { directory, legacyFile, log } = this.#options;
    const ours = await readIfThere(this.#path);
    const alloyPath = join(directory, "positions.yml");
    const alloy = await readIfThere(alloyPath);
    if (ours !== undefined) this.#readOwn(ours.text);
    if (alloy !== undefined && (ours === undefined || alloy.modified > ours.modified)) {
      this.#import(parseOrExplain(alloyPath, alloy.text));
      log.info("took over the positions file of Alloy", { path: alloyPath, entries: this.#entries.size });
    }
    if (legacyFile === "" || ours !== undefined || alloy !== undefined) return;
    const legacy = await readIfThere(legacyFile);
    if (legacy === undefined || legacy.text === "") {
      log.info("will not convert the legacy positions file as it is not valid or does not exist", { path: legacyFile });
      return;
    }
    let imported: ImportedPosition[];
    try {
      imported = parsePositionsYaml(legacy.text);
    } catch (error) {
      log.error("error parsing legacy positions file", { path: legacyFile, error });
      return;
    }
    this.#import(imported.map((each) => ({ ...each, labels: "{}" })));
    log.info("converted the legacy positions file", { path: legacyFile, entries: imported.length });
  }

  /** All entries of a target, oldest first. */
  get(path: string, labels: string): readonly Position[] {
    return this.#entries.get(keyOf(path, labels)) ?? [];
  }

  /** Entries of a file under any path and labels, to find a file that was renamed, or whose target has other labels now. */
  ofFile(file: { readonly device: number; readonly inode: number }): readonly Position[] {
    return this.#byFile.get(fileKey(file)) ?? [];
  }

  *all(): Iterable<Position> {
    for (const entries of this.#entries.values()) yield* entries;
  }

  /** Returns whether the file was not known under this path before; `saved` tells when it is on the disk. */
  put(position: Position): boolean {
    const key = keyOf(position.path, position.labels);
    // What Alloy knew of the path is settled by the first entry of ours.
    const entries =
      this.#entries.get(key)?.filter(({ file }) => position.file === undefined || file !== undefined) ?? [];
    const index = entries.findIndex(({ file }) => isSameFile(file, position.file));
    // A file that nobody knows could be rotated away while the agent is down, and would never be found.
    const fresh = index < 0;
    if (fresh) this.#wake();
    this.#entries.set(key, fresh ? [...entries, position] : entries.with(index, position));
    if (position.file !== undefined) {
      const file = fileKey(position.file);
      const others = this.#byFile.get(file) ?? [];
      const known = others.findIndex((each) => isOfTarget(each, position));
      this.#byFile.set(file, known < 0 ? [...others, position] : others.with(known, position));
    }
    this.#changed = true;
    return fresh;
  }

  /** Resolves when the next attempt to save has ended, well or not. */
  saved(): Promise<void> {
    this.#wake();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Forgets one file of a target, or all of them. */
  remove(path: string, labels: string, file?: FileIdentity): void {
    const key = keyOf(path, labels);
    const entries = this.#entries.get(key);
    if (entries === undefined) return;
    const kept = file === undefined ? [] : entries.filter((each) => !isSameFile(each.file, file));
    for (const gone of entries) {
      if (gone.file === undefined || kept.includes(gone)) continue;
      const others = (this.#byFile.get(fileKey(gone.file)) ?? []).filter((each) => each !== gone);
      if (others.length === 0) this.#byFile.delete(fileKey(gone.file));
      else this.#byFile.set(fileKey(gone.file), others);
    }
    if (kept.length === 0) this.#entries.delete(key);
    else this.#entries.set(key, kept);
    this.#changed = true;
  }

  /** Begins anew with the file that has the name now; at its end, what was rotated away before it is passed over too. */
  async reset(path: string, labels: string, to: "start" | "end"): Promise<void> {
    const entries = this.get(path, labels);
    if (entries.length === 0) return;
    const now = await identify(path).catch(() => undefined);
    if (to === "end") this.remove(path, labels);
    else if (now !== undefined) this.remove(path, labels, now.file);
    if (now !== undefined) this.put({ path, labels, file: now.file, offset: to === "start" ? 0 : now.size });
  }

  /**
   * Saves once a second, and soon after a file was seen for the first time, until `signal` is aborted. A slow disk makes it
   * rarer, so that saving stays below 2 % of the time.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const pause = new AbortController();
      const end = () => pause.abort();
      this.#wake = end;
      signal.addEventListener("abort", end, { once: true });
      // A file that came while the last save was under way waits for the next one, and nothing of it is read until then.
      if (this.#waiting.length > 0) end();
      await clock.sleep(Math.max(SAVE_INTERVAL_MS, 50 * this.#lastSaveMs), pause.signal).catch(() => {});
      this.#wake = () => {};
      signal.removeEventListener("abort", end);
      // Several new files are saved together; with thousands of them saving stays below a fifth of the time.
      const together = Math.max(NEW_FILE_SAVE_MS, 4 * this.#lastSaveMs);
      if (pause.signal.aborted) await clock.sleep(together, signal).catch(() => {});
      if (!signal.aborted) await this.save();
    }
  }

  /** Writes the file if anything changed: a new file, synced, put in the place of the old one. Never rejects. */
  async save(): Promise<void> {
    const before = this.#saving;
    this.#saving = (async () => {
      await before; // both would write the same temporary file
      const waiting = this.#waiting.splice(0);
      if (this.#changed) await this.#write();
      for (const resolve of waiting) resolve();
    })();
    await this.#saving;
  }

  async #write(): Promise<void> {
    this.#changed = false;
    const { clock, log, onProblem } = this.#options;
    const began = clock.monotonic();
    const temporary = `${this.#path}.tmp`;
    try {
      await makeFolder(dirname(this.#path), 0o750);
      const handle = await open(temporary, "w", 0o600);
      try {
        await handle.writeFile(this.#serialize());
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.#path);
      if (this.#problem !== undefined) {
        this.#problem = undefined;
        log.info("positions are saved again", { path: this.#path });
        onProblem(undefined);
      }
    } catch (error) {
      this.#changed = true;
      await rm(temporary, { force: true }).catch(() => {});
      const problem = `cannot save positions: ${errorText(error)}; after a restart lines would be sent again. Free space or mend ${this.#path}`;
      if (this.#problem === undefined) log.warn("cannot save positions", { path: this.#path, error });
      if (this.#problem !== problem) onProblem(problem);
      this.#problem = problem;
    }
    this.#lastSaveMs = clock.monotonic() - began;
  }

  #serialize(): string {
    const lines: string[] = [];
    for (const entries of this.#entries.values()) {
      // An offset that was no number stays what it is only in memory.
      for (const entry of entries) if (Number.isFinite(entry.offset)) lines.push(JSON.stringify(entry));
    }
    return `{"version":${VERSION},"positions":[\n${lines.join(",\n")}\n]}\n`;
  }

  #readOwn(text: string): void {
    const broken = (why: string) =>
      new Error(`${this.#path} is damaged: ${why}. Remove it to read all files according to \`tail_from_end\``);
    let content: { version?: unknown; positions?: unknown };
    try {
      content = JSON.parse(text);
    } catch (error) {
      throw broken(errorText(error));
    }
    if (content.version !== VERSION || !Array.isArray(content.positions)) throw broken("unknown version or form");
    for (const entry of content.positions as Position[]) {
      if (typeof entry.path !== "string" || typeof entry.labels !== "string") throw broken("an entry without a path");
      this.put({ path: entry.path, labels: entry.labels, file: entry.file, offset: Number(entry.offset) });
    }
    this.#changed = false;
  }

  #import(entries: readonly ImportedPosition[]): void {
    for (const { path, labels, position } of entries) {
      // Cursors of other kinds of sources share these files.
      if (path.startsWith("cursor-") || path.startsWith("journal-")) continue;
      const offset = /^[-+]?[0-9]+$/.test(position) ? Number(position) : Number.NaN;
      this.remove(path, labels ?? "{}");
      this.put({ path, labels: labels ?? "{}", file: undefined, offset });
    }
  }
}

/** The file that has the name now. Rejects if there is none that can be read. */
async function identify(path: string): Promise<{ readonly file: FileIdentity; readonly size: number }> {
  const fd = await openFile(path);
  try {
    const { dev: device, ino: inode, size } = await statFile(fd);
    return { file: { device, inode, fingerprint: fingerprintOf(await readHead(fd)) }, size };
  } finally {
    await closeFile(fd);
  }
}

function parseOrExplain(path: string, text: string): ImportedPosition[] {
  try {
    return text.trim() === "" ? [] : parsePositionsYaml(text);
  } catch (error) {
    throw new Error(`invalid yaml positions file [${path}]: ${errorText(error)}. Mend or remove it`, { cause: error });
  }
}

async function readIfThere(path: string): Promise<{ text: string; modified: number } | undefined> {
  try {
    return { text: await readFile(path, "utf8"), modified: (await stat(path)).mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(
      `positions file ${path} exists but could not be read, refusing to start to avoid sending lines again`,
      {
        cause: error,
      },
    );
  }
}

function keyOf(path: string, labels: string): string {
  return `${path}\0${labels}`;
}

type AnyFile = { readonly device: number; readonly inode: number };

function fileKey({ device, inode }: AnyFile): string {
  return `${device}:${inode}`;
}

function isSameFile(a: AnyFile | undefined, b: AnyFile | undefined): boolean {
  return a?.device === b?.device && a?.inode === b?.inode;
}

function isOfTarget(a: Position, b: Position): boolean {
  return a.path === b.path && a.labels === b.labels;
}
