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
import { beginsAs, closeFile, fingerprintOf, openFile, readHead } from "./file-io.ts";
import { LineColumns } from "./line-columns.ts";
import { CHUNK_BYTES, MAX_LINE_BYTES } from "./open-file.ts";
import type { Positions } from "./positions.ts";
import type { TailState, TailTarget } from "./tail-environment.ts";

export type CompressionFormat = "gz" | "z" | "bz2";

/** How often files are looked at for changes; compressed files rarely change. */
const LOOK_MS = 1_000;

export interface CompressedOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly positions: Positions;
  readonly encoding: FileEncoding;
  readonly format: CompressionFormat;
  /** Time to wait before a new file is read, so that its compression can finish. */
  readonly initialDelayMs: number;
  readonly accounts: BatchAccounts;
  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
}

/** One compressed file and how far it has been read, in decompressed bytes. */
export class CompressedFile {
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
  async setTargets(targets: Iterable<TailTarget>): Promise<void> {
    const wanted = new Map<string, TailTarget>();
    for (const target of targets) wanted.set(`${target.path}\0${target.labels}`, target);
    for (const key of this.#files.keys()) if (!wanted.has(key)) this.#files.delete(key);
    const readAfter = this.#options.clock.monotonic() + this.#options.initialDelayMs;
    for (const [key, target] of wanted) {
      if (!this.#files.has(key)) this.#files.set(key, new CompressedFile(target, readAfter));
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
        await clock.sleep(LOOK_MS, signal);
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
      if (seen === file.seen) return;
      file.size = stats.size;
      file.state = "running";
      await this.#read(file, { device: stats.dev, inode: stats.ino }, signal);
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

  async #read(file: CompressedFile, identity: { device: number; inode: number }, signal: AbortSignal): Promise<void> {
    const { positions, clock, accounts, encoding: configured } = this.#options;
    const { path } = file.target;
    const fd = await openFile(path);
    const head = await readHead(fd).finally(() => closeFile(fd));
    const known = positions.get(path, file.labelText).at(-1);
    const same = known !== undefined && (known.file === undefined || beginsAs(head, known.file.fingerprint));
    const skip = same && Number.isFinite(known.offset) ? known.offset : 0;
    const commits = new CommitQueue(accounts, () => {
      file.readOffset = commits.committed;
      positions.put({
        path,
        labels: file.labelText,
        file: { ...identity, fingerprint: fingerprintOf(head) },
        offset: commits.committed,
      });
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
      const data = encoding?.decode === undefined ? bytes : Buffer.from(encoding.decode(bytes), "utf8");
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
