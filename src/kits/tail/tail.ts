import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { explainFailure } from "./explain.ts";
import { beginsAs, type FileIdentity } from "./file-io.ts";
import type { LastTime } from "./line-columns.ts";
import { OpenFile, type OpenFileOptions, type ReadSlot } from "./open-file.ts";
import type { Position } from "./positions.ts";
import type { TailEnvironment, TailState, TailTarget } from "./tail-environment.ts";

/** How long a file that lost its name is read on, since its writer may take a moment to notice. */
const LINGER_MS = 5_000;
/** Files of one path that are kept in the positions beside the current one. */
const KEPT_POSITIONS = 8;

/**
 * Follows one path: the file that has the name now, and those that had it before for as long as they have unread lines.
 * All work happens in `step`, called by one worker at a time.
 */
export class Tail {
  readonly target: TailTarget;
  readonly #environment: TailEnvironment;
  readonly #labelText: string;
  readonly #fileOptions: OpenFileOptions;
  readonly #lastTime: LastTime = { ms: 0, ns: 0 };
  current: OpenFile | undefined;
  /** Files that lost the name, oldest first, each with the time until which it is read on. */
  readonly #rotated: { readonly file: OpenFile; until: number }[] = [];
  /** Read to their end, waiting for acknowledgements. */
  readonly #finished = new Set<OpenFile>();
  #started = false;
  #rested = false;
  /** Nothing is read before the file is in the positions: killed later, the agent then finds it under any name. */
  #recording = false;
  #retired = false;
  /** Read until its target went; what is confirmed of it later is not kept. */
  #forgotten: OpenFile | undefined;
  state: TailState = "waiting";
  /** What keeps the path from being read. */
  problem: string | undefined;
  /** Monotonic time of the next look at the file, for the tailer. */
  dueMs = 0;
  /** Present pause between two looks. */
  pauseMs = 0;
  /** In the queue of work or being worked on. */
  queued = false;
  /** Set when something happened to the file while it was worked on. */
  woken = false;
  linesBefore = 0;

  constructor(target: TailTarget, environment: TailEnvironment) {
    this.target = target;
    this.#environment = environment;
    this.#labelText = target.labels.toString();
    this.#fileOptions = {
      labels: target.labels.with("filename", target.path),
      encoding: environment.encoding,
      lastTime: this.#lastTime,
      accounts: environment.accounts,
      now: () => environment.clock.now(),
      deliver: (batch) => environment.deliver(batch),
      delivered: (file) => this.#delivered(file),
      lineSplit: () =>
        environment.log.warn("a line is longer than 16 MiB and is handed on in pieces", { path: target.path }),
    };
  }

  get labelText(): string {
    return this.#labelText;
  }

  /** Bytes of the current file that are delivered; what Alloy calls the read offset. */
  get readOffset(): number {
    return (
      this.current?.committed ?? this.#environment.positions.get(this.target.path, this.#labelText).at(-1)?.offset ?? 0
    );
  }

  /** Looks how much there is to read, for `lagBytes` and `oldestUnread`. */
  async observe(now: number): Promise<void> {
    await Promise.all(this.#files().map((file) => file.observe(now, this.queued)));
  }

  /** Bytes that were there and not read yet at the last `observe`, … */
  get lagBytes(): number {
    return this.#files().reduce((sum, { backlog }) => sum + backlog.bytes, 0);
  }
  /** … and since when the oldest of them have been there (epoch ms). */
  get oldestUnread(): number | undefined {
    return this.#files().find(({ backlog }) => backlog.oldest !== undefined)?.backlog.oldest;
  }

  /** Open files, the oldest first. */
  #files(): OpenFile[] {
    const files = this.#rotated.map(({ file }) => file);
    if (this.current !== undefined) files.push(this.current);
    return files;
  }

  get lines(): number {
    return this.linesBefore + (this.current?.lines ?? 0);
  }

  get outstanding(): number {
    let count = this.current?.outstanding ?? 0;
    for (const { file } of this.#rotated) count += file.outstanding;
    for (const file of this.#finished) count += file.outstanding;
    return count;
  }

  /** Whether files that lost the name are still read. */
  get draining(): boolean {
    return this.#rotated.length > 0;
  }

  /**
   * Whether the file was rotated from the name of another target, whose tail still reads it. A file that has both names at
   * once, by a link, is read for both.
   */
  async #isClaimed(file: OpenFile): Promise<boolean> {
    for (const other of this.#environment.holders.get(holderKey(file)) ?? []) {
      if (other === this || other.labelText !== this.#labelText) continue;
      if (!(await namesFile(other.target.path, file))) return true;
    }
    return false;
  }

  #hold(file: OpenFile): void {
    const { holders } = this.#environment;
    const key = holderKey(file);
    const tails = holders.get(key);
    if (tails === undefined) holders.set(key, new Set([this]));
    else tails.add(this);
  }

  #release(file: OpenFile): void {
    const { holders } = this.#environment;
    const tails = holders.get(holderKey(file));
    tails?.delete(this);
    if (tails?.size === 0) holders.delete(holderKey(file));
  }

  /** Does one piece of work. Resolves to whether there may be more at once. Rejects only when a batch was not accepted. */
  async step(slot: ReadSlot): Promise<boolean> {
    const rested = this.#rested;
    this.#rested = false;
    if (this.#recording) return this.#rest();
    if (await this.#readRotated(slot)) return true;
    if (this.#retired) return this.#rest();
    if (this.current === undefined) {
      if (!(await this.#open(slot)) || this.#recording) return this.#rest();
      if (this.draining) return true;
    } else if ((rested || this.current.offset >= this.current.size) && !(await this.#look())) {
      return this.#rest();
    }
    // A look may have found that the name went to another file.
    if (this.current === undefined) return true;
    try {
      if (await this.current.read(slot)) return true;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      await this.#fail(error);
      return this.#rest();
    }
    return (await this.#look()) || this.#rest();
  }

  /** After a rest, and at the known end, the file is looked at before it is read, since it may have been rewritten. */
  #rest(): false {
    this.#rested = true;
    return false;
  }

  /** Reads what was rotated away, the oldest first. Resolves to whether it got any further. */
  async #readRotated(slot: ReadSlot): Promise<boolean> {
    for (let i = 0; i < this.#rotated.length; ) {
      const old = this.#rotated[i]!;
      let read = false;
      try {
        read = await old.file.read(slot);
      } catch (error) {
        if (!isSystemError(error)) throw error;
        old.until = 0;
      }
      if (read) return true;
      if (this.#environment.clock.monotonic() < old.until) {
        i += 1; // its writer may add to it; those that were rotated after it do not wait for that
        continue;
      }
      // What its writer left without a newline is the last line.
      try {
        await old.file.read(slot, true);
      } catch (error) {
        if (!isSystemError(error)) throw error;
      }
      this.#rotated.splice(i, 1);
      await this.#finish(old.file);
    }
    return false;
  }

  /** Held until all of it is confirmed: a target with the file's new name would go on where the confirmations are. */
  async #finish(file: OpenFile): Promise<void> {
    this.linesBefore += file.lines;
    if (file.outstanding > 0) this.#finished.add(file);
    else this.#release(file);
    await file.close();
  }

  #delivered(file: OpenFile): void {
    const { positions } = this.#environment;
    if (file.outstanding === 0 && this.#finished.delete(file)) this.#release(file);
    if (file === this.#forgotten) return;
    positions.put({ path: this.target.path, labels: this.#labelText, file: file.identity, offset: file.committed });
  }

  /** Opens the file that has the name now and finds out where to go on. Resolves to whether it is open. */
  async #open(slot: ReadSlot): Promise<boolean> {
    const { path } = this.target;
    let file: OpenFile;
    try {
      file = await OpenFile.open(path, this.#fileOptions);
    } catch (error) {
      await this.#fail(error as NodeJS.ErrnoException);
      return false;
    }
    if (await this.#isClaimed(file)) {
      // The file was rotated from another target's name, and its lines come from there until it is read.
      await file.close();
      this.state = "waiting";
      return false;
    }
    let ready = true;
    if (this.#started) file.seek(0);
    else ready = await this.#resume(file, slot);
    if (!ready) {
      await file.close();
      return false;
    }
    this.#record(file);
    this.#started = true;
    this.current = file;
    this.#hold(file);
    this.state = "running";
    this.problem = undefined;
    this.#environment.log.info("start tailing file", { path, offset: file.offset });
    return true;
  }

  /** Sets the offset of a file that is opened for the first time. */
  async #resume(file: OpenFile, slot: ReadSlot): Promise<boolean> {
    const { positions, legacy, onPositionError, tailFromEnd, log } = this.#environment;
    const { path } = this.target;
    let entries = positions.get(path, this.#labelText);
    if (entries.length === 0 && legacy) entries = positions.get(path, "{}");
    const isFile = (entry: Position) => entry.file !== undefined && sameFile(entry.file, file);
    const own = entries.find(isFile) ?? (await this.#renamedFrom(file));
    await this.#resumeRotated(entries.filter((entry) => entry.file !== undefined && entry !== own));
    const entry = own ?? entries.find((each) => each.file === undefined);
    if (entry !== undefined && Number.isNaN(entry.offset)) {
      if (onPositionError === "skip") {
        this.state = "failed";
        this.problem = `${path}: its position is no number, and \`on_positions_file_error\` is "skip"`;
        return false;
      }
      if (onPositionError === "restart_from_end") await file.seekToEnd(slot);
      else file.seek(0);
      log.info("reset position after a positions file error", { path, offset: file.offset });
    } else if (entry !== undefined && entry.offset > file.size) {
      // Truncated while nobody looked; how much was lost is not known.
      file.seek(0);
    } else if (entry !== undefined && entry.offset > 0) {
      file.seek(entry.offset);
    } else if (entries.some((each) => each.file !== undefined) || !tailFromEnd) {
      file.seek(0);
    } else {
      await file.seekToEnd(slot);
    }
    return true;
  }

  #record(file: OpenFile): void {
    const { positions, wake } = this.#environment;
    const position = { path: this.target.path, labels: this.#labelText, file: file.identity, offset: file.committed };
    if (!positions.put(position)) return;
    this.#recording = true;
    void positions.saved().then(() => {
      this.#recording = false;
      this.#rested = false; // nothing of it has been read yet
      wake(this);
    });
  }

  /**
   * The position that the file had under a name that it no longer has. After several rotations there may be one for each
   * name; the furthest is the latest, and the others are forgotten with it once the file is recorded under its new name.
   */
  async #renamedFrom(file: OpenFile): Promise<Position | undefined> {
    const { positions } = this.#environment;
    const past: Position[] = [];
    for (const entry of positions.ofFile(file, this.#labelText)) {
      if (sameFile(entry.file!, file) && !(await namesFile(entry.path, file))) past.push(entry);
    }
    past.sort((a, b) => b.offset - a.offset);
    for (const stale of past.slice(1)) positions.remove(stale.path, stale.labels, stale.file);
    return past[0];
  }

  /** Goes on with files that were rotated away while the agent was not running or had not finished them. */
  async #resumeRotated(entries: readonly Position[]): Promise<void> {
    const { positions, clock, isTarget, inodes } = this.#environment;
    for (const entry of entries) {
      const wanted = entry.file!;
      const path = await inodes.find(dirname(this.target.path), wanted);
      if (path === undefined) {
        positions.remove(entry.path, entry.labels, wanted);
        continue;
      }
      if (isTarget(path, this.target.labels)) continue;
      let file: OpenFile;
      try {
        file = await OpenFile.open(path, this.#fileOptions);
      } catch {
        continue;
      }
      if (sameFile(wanted, file) && file.size > entry.offset) {
        file.seek(entry.offset);
        this.#hold(file);
        this.#rotated.push({ file, until: clock.monotonic() });
      } else {
        await file.close();
      }
    }
    for (const old of entries.slice(0, -KEPT_POSITIONS)) positions.remove(old.path, old.labels, old.file);
  }

  /** Has the name gone to another file, was the file cut, or is there more of it? Resolves to whether there is work to do. */
  async #look(): Promise<boolean> {
    const file = this.current!;
    const { path } = this.target;
    let named: { dev: number; ino: number; size: number; mtimeMs: number } | undefined;
    try {
      named = await stat(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT" && code !== "ENOTDIR") {
        this.problem = explainFailure(path, error as NodeJS.ErrnoException);
        return false;
      }
    }
    if (named === undefined || named.dev !== file.device || named.ino !== file.inode) {
      await this.#rotate(named !== undefined);
      return true;
    }
    this.problem = undefined;
    if (named.size === file.size && named.mtimeMs === file.modifiedMs && named.size >= file.offset) return false;
    const before = file.size;
    file.size = named.size;
    file.modifiedMs = named.mtimeMs;
    if (named.size < file.offset || !(await file.beginsTheSame())) {
      const lost = Math.max(0, Math.max(before, file.backlog.size) - file.offset);
      this.#environment.lost(path, lost, "truncated");
      await file.relearn();
      file.seek(0);
      this.#environment.positions.put({ path, labels: this.#labelText, file: file.identity, offset: file.committed });
      this.#environment.log.info("file was truncated, reading it from its beginning", { path });
      return true;
    }
    return named.size > before || named.size > file.offset;
  }

  /** The name went away from the current file, to another one if `replaced`. */
  async #rotate(replaced: boolean): Promise<void> {
    const old = this.current!;
    const { clock, log, rotated, positions } = this.#environment;
    const { path } = this.target;
    this.current = undefined;
    this.state = "waiting";
    rotated(path);
    const past = positions.get(path, this.#labelText).slice(0, -KEPT_POSITIONS);
    for (const entry of past) positions.remove(entry.path, entry.labels, entry.file);
    if (replaced && (await this.#isRewritten(old))) return;
    await old.refresh().catch(() => {});
    this.#rotated.push({ file: old, until: clock.monotonic() + LINGER_MS });
    log.info("file was moved or deleted, reading what is left of it", { path, unread_bytes: old.size - old.offset });
  }

  /**
   * Editors and some programs rewrite a file by putting a longer copy in its place. The old one is gone then, and the new
   * one begins with all of the old one's beginning: go on in it at the same place.
   */
  async #isRewritten(old: OpenFile): Promise<boolean> {
    if (old.head.length === 0) return false;
    let file: OpenFile | undefined;
    try {
      await old.refresh();
      if (old.links > 0) return false;
      file = await OpenFile.open(this.target.path, this.#fileOptions);
      if (
        file.size >= old.offset &&
        beginsAs(file.head, old.identity.fingerprint) &&
        file.head.length >= old.head.length
      ) {
        file.seek(old.offset);
        this.current = file;
        this.#hold(file);
        this.state = "running";
        const { positions } = this.#environment;
        positions.remove(this.target.path, this.#labelText, old.identity);
        positions.put({ path: this.target.path, labels: this.#labelText, file: file.identity, offset: file.committed });
        await this.#finish(old);
        return true;
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
    await file?.close();
    return false;
  }

  async #fail(error: NodeJS.ErrnoException): Promise<void> {
    const problem = explainFailure(this.target.path, error);
    if (this.problem === undefined && error.code !== "ENOENT") this.#environment.failed(this.target.path, problem);
    this.problem = problem;
    this.state = error.code === "ENOENT" ? "waiting" : "failed";
    if (error.code !== "ENOENT" && this.current !== undefined) {
      const file = this.current;
      this.current = undefined;
      await this.#finish(file);
    }
  }

  /**
   * The target is gone. A file that still has its name is left alone at once and its position forgotten, as Alloy does; one
   * that lost it is read to its end, and its position kept: a pattern that was looked at in the middle of a rotation finds
   * the file under neither name, and under the new one the next time. Resolves to whether there is something left to do.
   */
  async retire(): Promise<boolean> {
    if (this.#retired) return this.#rotated.length > 0;
    this.#retired = true;
    const { path } = this.target;
    const file = this.current;
    this.current = undefined;
    if (file !== undefined) {
      if (await namesFile(path, file)) {
        this.#forgotten = file;
        await this.#finish(file);
      } else {
        await file.refresh().catch(() => {});
        this.#rotated.push({ file, until: this.#environment.clock.monotonic() });
      }
    }
    const { positions, log } = this.#environment;
    for (const entry of positions.get(path, this.#labelText)) {
      if (entry.file === undefined || (await namesFile(path, entry.file))) {
        positions.remove(path, this.#labelText, entry.file);
      }
    }
    log.info("stopped tailing file", { path });
    return this.#rotated.length > 0;
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** Lets go of all files. Positions stay. */
  async close(): Promise<void> {
    const files = this.#files();
    this.#rotated.length = 0;
    this.current = undefined;
    // What is on its way is still waited for: a stop that forgot it would have it read again at the next start.
    for (const file of files) if (file.outstanding > 0) this.#finished.add(file);
    for (const file of files) this.#release(file);
    await Promise.all(files.map((file) => file.close()));
  }
}

function sameFile(entry: FileIdentity, file: OpenFile): boolean {
  return entry.device === file.device && entry.inode === file.inode && beginsAs(file.head, entry.fingerprint);
}

function holderKey(file: { readonly device: number; readonly inode: number }): string {
  return `${file.device}:${file.inode}`;
}

/** Whether the path leads to the file. */
async function namesFile(path: string, file: { readonly device: number; readonly inode: number }): Promise<boolean> {
  const named = await stat(path).catch(() => undefined);
  return named !== undefined && named.ino === file.inode && named.dev === file.device;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === "string";
}
