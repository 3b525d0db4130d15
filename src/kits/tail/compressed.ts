import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createGunzip, createInflate } from "node:zlib";
import type { Clock } from "#base/clock";
import { errorText, type Logger } from "#base/log";
import type { LogBatch } from "#pipeline/batch";
import { decompressBzip2 } from "./bzip2.ts";
import { type BatchAccounts, CommitQueue } from "./commit-queue.ts";
import { detectByteOrderMark, type FileEncoding } from "./encoding.ts";
import { explainFailure } from "./explain.ts";
import { beginsAs, closeFile, type FileIdentity, fingerprintOf, openFile, readHead } from "./file-io.ts";
import { LineColumns } from "./line-columns.ts";
import { CHUNK_BYTES, MAX_LINE_BYTES } from "./open-file.ts";
import type { PositionReset } from "./position-resets.ts";
import type { Position, Positions } from "./positions.ts";
import type { PositionErrorAction, TailState, TailTarget } from "./tail-environment.ts";

export type CompressionFormat = "gz" | "z" | "bz2";

/** How often files are looked at for changes; compressed files rarely change. … */
const LOOK_MS = 1_000;
/** … With many of them a look at each costs this much time. */
const LOOK_EACH_MS = 10;

export interface CompressedOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly positions: Positions;
  readonly encoding: FileEncoding;
  readonly format: CompressionFormat;
  /** Time to wait before a new file is read, so that its compression can finish. */
  readonly initialDelayMs: number;
  readonly accounts: BatchAccounts;
  readonly onPositionError: PositionErrorAction;
  /** Whether positions without labels count for any labels of their path. */
  readonly legacy: boolean;
  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
}

/** One compressed file and how far it has been read, in decompressed bytes. */
class CompressedFile {
  readonly target: TailTarget;
  readonly labelText: string;
  state: TailState = "waiting";
  problem: string | undefined;
  lines = 0;
  size = 0;
  readOffset = 0;
  commits: CommitQueue | undefined;
  /** The state of the file, size and time, at which it was read to its end or failed. */
  seen = "";
  readAfterMs: number;
  /** Asked for, and not begun yet. */
  resetTo: "start" | "end" | undefined;

  constructor(target: TailTarget, readAfterMs: number) {
    this.target = target;
    this.labelText = target.labels.toString();
    this.readAfterMs = readAfterMs;
  }

  get outstanding(): number {
    return this.commits?.outstanding ?? 0;
  }
  get lagBytes(): number {
    return 0; // how much a compressed file holds is known only when it is read
  }
}

/** Reads compressed files from their beginnings to their ends, one after another, and again when they have changed. */
export class CompressedFiles {
  readonly #options: CompressedOptions;
  readonly #files = new Map<string, CompressedFile>();
  readonly #columns = new LineColumns();

  constructor(options: CompressedOptions) {
    this.#options = options;
  }

  get tails(): Iterable<CompressedFile> {
    return this.#files.values();
  }

  get outstanding(): number {
    let count = 0;
    for (const file of this.#files.values()) count += file.outstanding;
    return count;
  }

  follows(target: TailTarget): boolean {
    return this.#files.has(`${target.path}\0${target.labels}`);
  }

  /** Positions of files that are no longer wanted stay, so that they are not read again if they come back. */
  setTargets(targets: Iterable<TailTarget>): void {
    const wanted = new Map<string, TailTarget>();
    for (const target of targets) wanted.set(`${target.path}\0${target.labels}`, target);
    for (const key of this.#files.keys()) if (!wanted.has(key)) this.#files.delete(key);
    const readAfter = this.#options.clock.monotonic() + this.#options.initialDelayMs;
    for (const [key, target] of wanted) {
      if (!this.#files.has(key)) this.#files.set(key, new CompressedFile(target, readAfter));
    }
  }

  /** All files: there is no cheaper way to know which have changed. */
  get size(): number {
    return this.#files.size;
  }

  takeChanged(): Iterable<CompressedFile> {
    return this.#files.values();
  }

  /** Has positions begin anew. The end of a compressed file is where it ends when it is looked at next. */
  async reset(resets: readonly PositionReset[]): Promise<void> {
    for (const { path, labels, to } of resets) {
      const file = this.#files.get(`${path}\0${labels}`);
      if (file === undefined) await this.#options.positions.reset(path, labels, to);
      else {
        file.resetTo = to;
        file.seen = "";
      }
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      for (const file of [...this.#files.values()]) {
        if (signal.aborted) return;
        if (clock.monotonic() >= file.readAfterMs) await this.#readIfChanged(file, signal);
      }
      try {
        await clock.sleep(Math.max(LOOK_MS, LOOK_EACH_MS * this.#files.size), signal);
      } catch {
        return;
      }
    }
  }

  async #readIfChanged(file: CompressedFile, signal: AbortSignal): Promise<void> {
    const { path } = file.target;
    try {
      const stats = await stat(path);
      if (stats.isDirectory()) throw Object.assign(new Error("EISDIR"), { code: "EISDIR" });
      const seen = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`;
      // What is still on its way would be read twice: where to go on is known when it is confirmed.
      if (seen === file.seen || file.outstanding > 0) return;
      file.size = stats.size;
      file.state = "running";
      if (!(await this.#read(file, { device: stats.dev, inode: stats.ino }, signal))) return;
      file.seen = seen;
      file.problem = undefined;
      file.state = "waiting";
    } catch (error) {
      if (signal.aborted) return;
      const system = error as NodeJS.ErrnoException;
      const problem =
        typeof system.syscall === "string" || system.code === "EISDIR"
          ? explainFailure(path, system)
          : `${path}: cannot be decompressed as ${this.#options.format}: ${errorText(error)}; is it complete, and is \`format\` right? It is read again when it changes`;
      if (file.problem !== problem) this.#options.log.error("failed to tail file", { path, error: problem });
      file.problem = problem;
      file.state = "failed";
      // A damaged file is tried again when it has changed, not each second.
      const stats = await stat(path).catch(() => undefined);
      if (stats !== undefined) file.seen = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`;
    }
  }

  /** Up to where the file was delivered, in decompressed bytes; undefined if it is to be skipped. */
  #start(file: CompressedFile, identity: FileIdentity, head: Buffer): number | undefined {
    const { positions, legacy, onPositionError } = this.#options;
    const { path } = file.target;
    if (file.resetTo !== undefined) return file.resetTo === "start" ? 0 : Infinity;
    // By the file first: `app.log.1.gz` is called `app.log.2.gz` tomorrow.
    const same = (entry: Position) => entry.file !== undefined && beginsAs(head, entry.file.fingerprint);
    const known = positions.ofFile(identity).filter((entry) => entry.labels === file.labelText && same(entry));
    if (known.length > 0) return Math.max(...known.map((entry) => entry.offset));
    let entries = positions.get(path, file.labelText);
    if (entries.length === 0 && legacy) entries = positions.get(path, "{}");
    const last = entries.at(-1);
    if (last === undefined || (last.file !== undefined && !same(last))) return 0;
    if (!Number.isNaN(last.offset)) return last.offset;
    if (onPositionError === "skip") return undefined;
    return onPositionError === "restart_from_end" ? Infinity : 0;
  }

  /** Resolves to whether it was read; its position may forbid that. */
  async #read(
    file: CompressedFile,
    { device, inode }: { device: number; inode: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { positions, clock, accounts, encoding: configured } = this.#options;
    const { path } = file.target;
    const fd = await openFile(path);
    const head = await readHead(fd).finally(() => closeFile(fd));
    const identity = { device, inode, fingerprint: fingerprintOf(head) };
    const skip = this.#start(file, identity, head);
    file.resetTo = undefined;
    if (skip === undefined) {
      file.state = "failed";
      file.problem = `${path}: its position is no number, and \`on_positions_file_error\` is "skip"`;
      return false;
    }
    const note = (offset: number) => positions.put({ path, labels: file.labelText, file: identity, offset });
    const commits = new CommitQueue(accounts, () => {
      file.readOffset = commits.committed;
      note(commits.committed);
    });
    commits.reset(skip);
    file.commits = commits;
    const labels = file.target.labels.with("filename", path);
    const lastTime = { ms: 0, ns: 0 };
    let encoding: FileEncoding | undefined;
    let carry: Buffer = Buffer.alloc(0);
    let at = 0; // decompressed bytes before `carry`
    const emit = async (end: number) => {
      const bytes = carry.subarray(0, end);
      const { decode } = encoding ?? configured;
      const data = decode === undefined ? bytes : Buffer.from(decode(bytes), "utf8");
      this.#columns.split(data, 0, data.length);
      const { count } = this.#columns;
      const { acknowledgement, cancel } = commits.add(at + end, count, end);
      try {
        await this.#options.consume(this.#columns.batch(data, labels, clock.now(), lastTime, acknowledgement), signal);
        file.lines += count;
      } catch (error) {
        cancel();
        throw error;
      }
      carry = carry.subarray(end);
      at += end;
    };
    for await (const piece of decompress(path, this.#options.format)) {
      signal.throwIfAborted();
      carry = carry.length === 0 ? piece : Buffer.concat([carry, piece]);
      if (encoding === undefined && carry.length >= 4) {
        const mark = detectByteOrderMark(carry, configured);
        encoding = mark.encoding;
        carry = carry.subarray(mark.skip);
        at += mark.skip;
      }
      if (at < skip) {
        const known = Math.min(skip - at, carry.length);
        carry = carry.subarray(known);
        at += known;
      }
      const end = lineEnd(carry, encoding ?? configured);
      if (end > 0) await emit(end);
      else if (carry.length >= MAX_LINE_BYTES) await emit(carry.length);
    }
    if (carry.length > 0) await emit(carry.length);
    // Nothing new, so nothing will be confirmed: what is known is noted under the name and for the state that it has now.
    if (commits.committed === skip && commits.outstanding === 0) note(Math.min(skip, at));
    return true;
  }
}

/** The index after the last newline. */
function lineEnd(bytes: Buffer, encoding: FileEncoding): number {
  if (bytes.length === 0) return 0;
  if (encoding.unit === 1) return bytes.lastIndexOf(0x0a) + 1;
  for (let i = (bytes.length & ~1) - 2; i >= 0; i -= 2) {
    if (bytes[i + encoding.newlineByte] === 0x0a && bytes[i + 1 - encoding.newlineByte] === 0) return i + 2;
  }
  return 0;
}

async function* decompress(path: string, format: CompressionFormat): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  try {
    if (format === "bz2") {
      yield* decompressBzip2(source);
      return;
    }
    const unzip =
      format === "gz" ? createGunzip({ chunkSize: CHUNK_BYTES }) : createInflate({ chunkSize: CHUNK_BYTES });
    source.on("error", (error) => unzip.destroy(error));
    source.pipe(unzip);
    yield* unzip as AsyncIterable<Buffer>;
  } finally {
    source.destroy();
  }
}
