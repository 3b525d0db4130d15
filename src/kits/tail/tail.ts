import { explainFailure } from "./explain.ts";
import { beginsAs, FINGERPRINT_BYTES, isSystemError, statIfThere } from "./file-io.ts";
import { fileKey, namesFile } from "./holders.ts";
import type { LastTime } from "./line-columns.ts";
import { OpenFile, type OpenFileOptions, type ReadSlot } from "./open-file.ts";
import { openCopy, openInBetween, openRewritten, openRotated, seekToStart, type TailPlace } from "./resume.ts";
import { RotatedFiles } from "./rotated-files.ts";
import type { TailEnvironment, TailState, TailTarget } from "./tail-environment.ts";
import { TailSchedule } from "./tail-schedule.ts";

/** Positions of one path that are kept: of a file that was just read under an old name, its new name has to find it. */
const KEPT_POSITIONS = 1_000;
/** A file that is read without a rest is looked at this often: nobody writes it anew up to where it is read in that time. */
const LOOK_MS = 10;
/** Enough to find the end of the last line from behind. */
const SEEK_BYTES = 64 * 1024;

/**
 * Follows one path: the file that has the name now, and those that had it before for as long as they have unread lines.
 * All work happens in `step`, called by one worker at a time; only `glance` may come while a step waits for the pipeline.
 */
export class Tail extends TailSchedule {
  readonly target: TailTarget;
  readonly #environment: TailEnvironment;
  readonly #place: TailPlace;
  readonly #lastTime: LastTime = { ms: 0, ns: 0 };
  current: OpenFile | undefined;
  /** Files that lost the name. */
  readonly #rotated: RotatedFiles;
  /** Read to their end, waiting for acknowledgements. */
  #finished: readonly OpenFile[] = [];
  #rested = false;
  #lookedMs = 0;
  /** When the file was made that had the name before the current one (epoch ms). */
  #lastBornMs = 0;
  /** Nothing is read before the file is in the positions: killed later, the agent then finds it under any name. */
  #recording = false;
  #retired = false;
  #isDismissed = false;
  #started = false;
  /** In `step`, and there waiting for the pipeline to take a batch. */
  #stepping = false;
  #delivering = false;
  #glance: Promise<void> | undefined;
  #glanceError: unknown;
  #resetTo: "start" | "end" | undefined;
  /** What is confirmed of a file that was cut without a copy says nothing of the file as it is now. */
  #forgotten: WeakSet<OpenFile> | undefined;
  state: TailState = "waiting";
  /** Settles when the latest file is open and known where to go on in. */
  opening: Promise<void> = Promise.resolve();
  /** What keeps the path from being read. */
  problem: string | undefined;
  linesBefore = 0;

  constructor(target: TailTarget, environment: TailEnvironment) {
    super();
    this.target = target;
    this.#environment = environment;
    this.#rotated = new RotatedFiles(environment.clock, (file) => this.#finish(file));
    const fileOptions: OpenFileOptions = {
      labels: target.labels.with("filename", target.path),
      encoding: environment.encoding,
      lastTime: this.#lastTime,
      accounts: environment.accounts,
      now: () => environment.clock.now(),
      deliver: (batch) => {
        const accepted = environment.deliver(batch);
        return accepted === undefined ? undefined : this.#awaitDelivery(accepted);
      },
      delivered: (file) => this.#delivered(file),
      lineSplit: () =>
        environment.log.warn("a line is longer than 16 MiB and is handed on in pieces", { path: target.path }),
    };
    this.#place = { path: target.path, labelText: target.labels.toString(), environment, fileOptions };
  }

  get labelText(): string {
    return this.#place.labelText;
  }

  /** Bytes of the current file that are delivered; what Alloy calls the read offset. */
  get readOffset(): number {
    const { positions } = this.#environment;
    return this.current?.committed ?? positions.get(this.target.path, this.labelText).at(-1)?.offset ?? 0;
  }

  /** Looks how much there is to read, for `lagBytes` and `oldestUnread`. */
  async observe(now: number): Promise<void> {
    for (const file of this.#files()) await file.observe(now, this.queued);
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
    return this.current === undefined ? this.#rotated.files : [...this.#rotated.files, this.current];
  }

  get lines(): number {
    return this.linesBefore + this.#files().reduce((sum, { lines }) => sum + lines, 0);
  }

  get outstanding(): number {
    return [...this.#files(), ...this.#finished].reduce((sum, file) => sum + file.outstanding, 0);
  }

  /** Whether all that was seen at the last look was read. */
  get #isIdle(): boolean {
    const isAsked = this.#resetTo !== undefined || this.draining || this.#recording || this.problem !== undefined;
    return !isAsked && this.current?.isAtRest(this.#environment.clock.now()) === true;
  }

  /** Whether files that lost the name are still read. */
  get draining(): boolean {
    return !this.#rotated.isEmpty;
  }

  #isClaimed(file: OpenFile): Promise<boolean> {
    const { holders, tailOf } = this.#environment;
    return holders.isClaimed(file, this, (tail) => tailOf(tail.target.path, tail.labelText) === tail);
  }

  #release(file: OpenFile): void {
    const key = fileKey(file);
    const others = [...this.#files(), ...this.#finished].filter((each) => each !== file);
    if (!others.some((each) => fileKey(each) === key)) this.#environment.holders.remove(file, this);
  }

  async #awaitDelivery(accepted: Promise<void>): Promise<void> {
    this.#delivering = true;
    try {
      await accepted;
    } finally {
      this.#delivering = false;
      await this.#glance;
    }
  }

  /** Does one piece of work. Resolves to whether there may be more at once. Rejects only when a batch was not accepted. */
  async step(slot: ReadSlot): Promise<boolean> {
    await this.#glance;
    if (this.#glanceError !== undefined) throw this.#glanceError;
    this.#stepping = true;
    try {
      if (await this.#work(slot)) return true;
      // After a rest the file is looked at before it is read, since it may have been rewritten.
      this.#rested = true;
      return false;
    } finally {
      this.#stepping = false;
    }
  }

  async #work(slot: ReadSlot): Promise<boolean> {
    const isDue = this.#rested || this.#environment.clock.monotonic() - this.#lookedMs >= LOOK_MS;
    this.#rested = false;
    if (this.#recording) return false;
    if (!this.#retired) {
      if (this.current === undefined) await this.#open(slot);
      else if (isDue && !(await this.#look()) && this.#isIdle) return false;
      if (this.#recording) return false;
    }
    if (this.#resetTo !== undefined) await this.#reset(slot);
    if (await this.#rotated.read(slot)) return true;
    if (this.#retired || this.current === undefined) return false;
    const file = this.current;
    try {
      // Of a short file that was cut, what is read may stand behind where reading stopped, and be taken for its beginning.
      const isShort = file.offset < FINGERPRINT_BYTES;
      if (await file.read(slot, { isChecked: isDue || isShort })) return true;
      if (file.wasCut && file === this.current) {
        await this.#cut(file, Math.max(file.size, file.backlog.size));
        return true;
      }
    } catch (error) {
      if (!isSystemError(error)) throw error;
      await this.#fail(error);
      return false;
    }
    return this.#look();
  }

  /**
   * Looks at the name while reading is held up: a file that has it only for a moment is opened, or it would be gone when
   * reading goes on. Does nothing while a step does the same. Never rejects.
   */
  glance(): void {
    if (this.#glance !== undefined || (this.#stepping && !this.#delivering)) return;
    if (!this.#started || this.#isDismissed || this.#recording || this.#rotated.isFull) return;
    const look = async () => {
      if (this.current === undefined) await this.#open({ buffer: Buffer.allocUnsafe(SEEK_BYTES) });
      else await this.#look();
    };
    this.#glance = look()
      .catch((error) => {
        if (!isSystemError(error)) this.#glanceError = error;
      })
      .finally(() => {
        this.#glance = undefined;
      });
  }

  /** Held until all is confirmed: a target with the file's new name would go on where the confirmations are. */
  async #finish(file: OpenFile): Promise<void> {
    this.linesBefore += file.lines;
    await file.refresh().catch(() => {});
    if (file.links === 0) this.#note(file);
    if (file.outstanding > 0) this.#finished = [...this.#finished, file];
    else this.#release(file);
    await file.close();
  }

  #delivered(file: OpenFile): void {
    const isDone = file.outstanding === 0 && this.#finished.includes(file);
    if (isDone) this.#finished = this.#finished.filter((each) => each !== file);
    if (isDone) this.#release(file);
    if (!this.#forgotten?.has(file)) this.#note(file.successor ?? file);
  }

  /** Puts a file into the positions. Returns whether it was not known before. */
  #note(file: OpenFile): boolean {
    const { path, labelText, environment } = this.#place;
    if (file.links === 0) {
      // It cannot be found again, but another file may get its inode.
      environment.positions.remove(path, labelText, file.identity);
      return false;
    }
    return environment.positions.put({ path, labels: labelText, file: file.identity, offset: file.committed });
  }

  /** Opens the file that has the name now and finds out where to go on. */
  #open(slot: Pick<ReadSlot, "buffer">): Promise<void> {
    this.opening = this.#openNow(slot);
    return this.opening;
  }

  async #openNow(slot: Pick<ReadSlot, "buffer">): Promise<void> {
    const { path } = this.target;
    const { log, opened } = this.#environment;
    if (this.#isDismissed) return;
    let file: OpenFile;
    try {
      file = await OpenFile.open(path, this.#place.fileOptions);
    } catch (error) {
      await this.#fail(error as NodeJS.ErrnoException);
      return;
    }
    const back = this.#rotated.take(file, ({ identity }) => beginsAs(file.head, identity.fingerprint));
    if (back !== undefined) {
      await file.close();
      return this.#take(back); // it was moved away and has come back
    }
    const first = !this.#started;
    // Held before it is asked who else holds it: of two tails that open it at the same time one sees the other.
    this.#environment.holders.add(file, this);
    const begun = (await this.#isClaimed(file)) ? "waiting" : await seekToStart(this.#place, file, slot);
    if (begun === "damaged") {
      this.state = "failed";
      this.problem = `${path}: its position is no number, and \`on_positions_file_error\` is "skip"`;
    }
    if (begun !== "ready" || (await this.#isClaimed(file)) || this.#isDismissed) {
      this.#release(file);
      await file.close();
      return;
    }
    this.#take(file);
    this.#started = true;
    if (first) for (const old of await openRotated(this.#place, file)) this.#queueRotated(old, false);
    await this.#queueInBetween(file, true);
    this.#record(file);
    opened(this);
    log.info("start tailing file", { path, offset: file.offset });
  }

  #take(file: OpenFile): void {
    this.current = file;
    this.#environment.holders.add(file, this);
    this.state = "running";
    this.problem = undefined;
    this.#lookedMs = this.#environment.clock.monotonic();
  }

  #queueRotated(file: OpenFile, lingers: boolean): void {
    this.#environment.holders.add(file, this);
    this.#rotated.add(file, lingers);
    this.#record(file);
  }

  /** Queues what had the name since the last file or copy that is known, and was never seen with it. */
  async #queueInBetween(current: OpenFile, lingers: boolean): Promise<void> {
    for (const old of await openInBetween(this.#place, this.#lastBornMs, current)) {
      this.#lastBornMs = Math.max(this.#lastBornMs, old.bornMs);
      this.#queueRotated(old, lingers);
    }
  }

  #record(file: OpenFile): void {
    if (!this.#note(file)) return;
    this.#recording = true;
    void this.#environment.positions.saved().then(() => {
      this.#recording = false;
      this.#rested = false; // nothing of it has been read yet
      this.#environment.wake(this);
    });
  }

  /** Has the name gone to another file, was the file cut, or is there more of it? Resolves to whether there is work to do. */
  async #look(): Promise<boolean> {
    const file = this.current!;
    const { path } = this.target;
    this.#lookedMs = this.#environment.clock.monotonic();
    const named = await statIfThere(path).catch((error: NodeJS.ErrnoException) => error);
    if (named instanceof Error) {
      this.problem = explainFailure(path, named);
      return false;
    }
    if (named === undefined || named.dev !== file.device || named.ino !== file.inode) {
      await this.#rotate(named !== undefined);
      return true;
    }
    this.problem = undefined;
    if (named.size === file.size && named.mtimeMs === file.modifiedMs && named.size >= file.offset) return false;
    const before = file.size;
    const wasEmpty = file.head.length === 0;
    file.size = named.size;
    file.modifiedMs = named.mtimeMs;
    if (named.size < file.offset || !(await file.beginsTheSame())) {
      await this.#cut(file, Math.max(before, file.backlog.size));
      return true;
    }
    // What was written to it and cut since it was seen empty shows only by the copy.
    if (wasEmpty) await this.#queueInBetween(file, false);
    return named.size > before || named.size > file.offset;
  }

  /**
   * The file was cut, and begins anew. Who rotates with copytruncate leaves a copy, in which what was not read yet can be
   * read; what was written between the copy and the cut nobody has. `size`: how much of it was seen.
   */
  async #cut(file: OpenFile, size: number): Promise<void> {
    const { log, lost, holders } = this.#environment;
    const { path } = this.target;
    // Not by its name, which may have gone on meanwhile.
    const fresh = await OpenFile.open(`/dev/fd/${file.fd}`, this.#place.fileOptions);
    fresh.seek(0);
    const copy = await openCopy(this.#place, file);
    // Who is about to read the copy looks at our position for where to go on, so that stays until then.
    for (const other of copy === undefined ? [] : holders.of(copy)) if (other !== this) await other.opening;
    lost(path, Math.max(0, size - (copy?.size ?? file.offset)), "truncated");
    this.#take(fresh);
    const isRead = (tail: Tail) => tail.#files().some((each) => fileKey(each) === fileKey(copy!));
    if (copy === undefined || holders.of(copy).some(isRead)) {
      (this.#forgotten ??= new WeakSet()).add(file);
      await copy?.close();
    } else {
      copy.continueFrom(file);
      this.#queueRotated(copy, false);
      this.#lastBornMs = copy.bornMs;
      await this.#queueInBetween(fresh, false);
    }
    this.#note(fresh);
    log.info("file was truncated, reading it from its beginning", { path, copied: copy !== undefined });
    await this.#finish(file);
  }

  /** The name went away from the current file, to another one if `replaced`. */
  async #rotate(replaced: boolean): Promise<void> {
    const { log, rotated, positions } = this.#environment;
    const { path } = this.target;
    if (await this.current!.isCut()) await this.#cut(this.current!, this.current!.backlog.size);
    const old = this.current!;
    const past = positions.get(path, this.labelText).slice(0, -KEPT_POSITIONS);
    if (this.#rotated.isEmpty) for (const entry of past) positions.remove(entry.path, entry.labels, entry.file);
    if (replaced && (await this.#isRewritten(old))) return;
    await old.refresh().catch(() => {});
    if (old.links === 0) this.#note(old);
    const unreadBytes = Math.max(0, old.size - old.offset);
    rotated({ path, unreadBytes, unreadBefore: this.#rotated.unread });
    log.info("file was moved or deleted, reading what is left of it", { path, unread_bytes: unreadBytes });
    this.current = undefined;
    this.state = "waiting";
    this.#lastBornMs = old.bornMs;
    this.#rotated.add(old, true);
    // At once, though the old file is read first: this one may lose the name too before that is done.
    if (replaced) await this.#open({ buffer: Buffer.allocUnsafe(SEEK_BYTES) });
  }

  /** Goes on in a longer copy that was put in the place of the file. Resolves to whether there is one. */
  async #isRewritten(old: OpenFile): Promise<boolean> {
    const file = await openRewritten(this.#place, old);
    if (file === undefined) return false;
    file.continueFrom(old);
    this.#take(file);
    this.#environment.positions.remove(this.target.path, this.labelText, old.identity);
    this.#note(file);
    await this.#finish(old);
    return true;
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

  /** Has the file read again from its beginning, or passes over all that is in it and in those rotated away before it. */
  reset(to: "start" | "end"): void {
    this.#resetTo = to;
  }

  async #reset(slot: ReadSlot): Promise<void> {
    const to = this.#resetTo!;
    this.#resetTo = undefined;
    const { path } = this.target;
    const { positions, log } = this.#environment;
    await positions.reset(path, this.labelText, to);
    if (to === "end") for (const file of this.#rotated.takeAll()) await this.#finish(file);
    const file = this.current;
    if (file === undefined) return;
    await file.refresh();
    if (to === "end") await file.seekToEnd(slot);
    else file.seek(0);
    this.#note(file);
    log.info("position was reset", { path, offset: file.offset });
  }

  /** The target is gone. What has the name from now on is the next target's; `retire` follows as soon as a worker is free. */
  dismiss(): void {
    this.#isDismissed = true;
  }

  /**
   * Lets go of the name. A file that still has its name is left alone at once, one that lost it is read to its end: a
   * pattern that was looked at in the middle of a rotation finds the file under neither name, and under the new one the
   * next time. Positions stay: a target that comes back, or has other labels now, goes on where this one ends. Resolves to
   * whether there is something left to do.
   */
  async retire(): Promise<boolean> {
    if (this.#retired) return this.draining;
    this.#isDismissed = true;
    this.#retired = true;
    await this.#glance;
    const { path } = this.target;
    if (await this.current?.isCut()) await this.#cut(this.current!, this.current!.backlog.size);
    const file = this.current;
    this.current = undefined;
    if (file !== undefined && (await namesFile(path, file))) await this.#finish(file);
    else if (file !== undefined) {
      await file.refresh().catch(() => {});
      this.#rotated.add(file, false);
    }
    this.#environment.log.info("stopped tailing file", { path });
    return this.draining;
  }

  /** Whether it has still to be found out what has the name. */
  get isUnopened(): boolean {
    return this.current === undefined && this.problem === undefined && !this.#retired;
  }

  get retired(): boolean {
    return this.#retired;
  }

  /** Lets go of all files. Positions stay. */
  async close(): Promise<void> {
    this.#isDismissed = true;
    this.#retired = true;
    await this.#glance;
    const files = this.#files();
    for (const file of files) {
      await file.refresh().catch(() => {});
      // A file that has no name any longer is gone with us.
      if (file.links > 0) continue;
      this.#environment.lost(this.target.path, Math.max(0, file.size - file.offset), "deleted");
      this.#note(file);
    }
    this.#rotated.takeAll();
    this.current = undefined;
    // What is on its way is still waited for: a stop that forgot it would have it read again at the next start.
    this.#finished = [...this.#finished, ...files.filter((file) => file.outstanding > 0)];
    for (const file of files) this.#release(file);
    await Promise.all(files.map((file) => file.close()));
  }
}
