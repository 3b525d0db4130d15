import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { abortable } from "#base/abortable";
import type { ComponentContext } from "#pipeline/component";
import { makeFolder } from "#pipeline/make-folder";
import { putAside, type Rotation, removeOld } from "./rotation.ts";
import { wholeRecordsEnd } from "./whole-records.ts";

/** Records end with a newline, or begin with their length as four bytes, the highest first. */
export type Framing = "lines" | "lengths";

export interface OutputOptions {
  readonly framing: Framing;
  readonly flushIntervalMs: number;
  readonly rotation: Rotation | undefined;
  readonly makesFolders: boolean;
  /** Empty the file when it is opened. */
  readonly truncates: boolean;
}

export interface OutputRecord {
  readonly bytes: Uint8Array;
  readonly items: number;
  readonly onWritten: () => void;
}

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
/** A buffer with so much is written at once, … */
const FULL_BYTES = 256 * 1024;
/** … and one with so much takes no more. */
const MOST_BYTES = 8 * 1024 * 1024;
const RETRY_MS = 1_000;
const MEBIBYTE = 1024 * 1024;
const DEFAULT_MEGABYTES = 100;

type Context = Pick<ComponentContext, "clock" | "log" | "flow" | "run" | "signal">;

/**
 * One file, to which whole records are written: a write that fails or is cut off leaves none in part, neither when the
 * disk is full nor, once the file is opened again, after a kill. What cannot be written waits in memory, up to a bound.
 */
export class OutputFile {
  readonly #path: string;
  readonly #options: OutputOptions;
  readonly #ctx: Context;
  #handle: FileHandle | undefined;
  #truncates: boolean;
  #waiting: OutputRecord[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #room: (() => void)[] = [];
  #problem: string | undefined;
  readonly #closing = new AbortController();

  constructor(ctx: Context, path: string, options: OutputOptions) {
    this.#ctx = ctx;
    this.#path = path;
    this.#options = options;
    this.#truncates = options.truncates;
    this.#write();
  }

  /** What is wrong with the file and what to do. */
  get problem(): string | undefined {
    return this.#problem;
  }
  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#writing === undefined;
  }

  /** Resolves with true once the buffer has the record, with false when the file is closed. Rejects with the signal's reason. */
  async add(record: OutputRecord, signal: AbortSignal): Promise<boolean> {
    while (this.#waitingBytes >= MOST_BYTES) {
      await abortable(new Promise<void>((resolve) => this.#room.push(resolve)), signal);
    }
    if (this.#closing.signal.aborted) return false;
    this.#waiting.push(record);
    this.#waitingBytes += record.bytes.length;
    const { flushIntervalMs } = this.#options;
    if (flushIntervalMs === 0 || this.#waitingBytes >= FULL_BYTES) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), flushIntervalMs);
    return true;
  }

  /** Resolves when everything is written, or when `deadline` is aborted. */
  async flush(deadline: AbortSignal): Promise<void> {
    while (!this.isIdle && !deadline.aborted) {
      this.#write();
      await abortable(this.#writing!, deadline).catch(() => {});
    }
  }

  /** Returns how many items were not written. */
  async close(): Promise<number> {
    clearTimeout(this.#timer);
    this.#write();
    this.#closing.abort(new Error("the file is closing"));
    await this.#writing;
    await this.#handle?.close().catch(() => {});
    return this.#waiting.reduce((sum, { items }) => sum + items, 0);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes until nothing waits; tries again after a pause when it cannot. Never rejects. */
  async #writeAll(): Promise<void> {
    do {
      try {
        this.#handle ??= await this.#open();
        await this.#writeWaiting(this.#handle);
        if (this.#problem !== undefined) this.#ctx.log.info("the file can be written again", { path: this.#path });
        this.#says(undefined);
      } catch (error) {
        const problem = explain(error as NodeJS.ErrnoException, this.#path);
        if (problem !== this.#problem) this.#ctx.log.error("cannot write, trying again", { error: problem });
        this.#says(problem);
        if (this.#closing.signal.aborted) return;
        await this.#ctx.clock.sleep(RETRY_MS, this.#closing.signal).catch(() => {});
      }
    } while (this.#waiting.length > 0 || this.#problem !== undefined);
  }

  async #writeWaiting(first: FileHandle): Promise<void> {
    let handle = first;
    const { rotation } = this.#options;
    const limit = rotation === undefined ? Infinity : (rotation.max_megabytes || DEFAULT_MEGABYTES) * MEBIBYTE;
    while (this.#waiting.length > 0) {
      // Somebody may have shortened the file, as log rotation by others does.
      let { size } = await handle.stat();
      const group: OutputRecord[] = [];
      let bytes = 0;
      for (const record of this.#waiting) {
        if (group.length > 0 && (bytes >= FULL_BYTES || size + bytes + record.bytes.length > limit)) break;
        bytes += record.bytes.length;
        group.push(record);
      }
      if (size > 0 && size + bytes > limit) {
        await handle.close();
        this.#handle = undefined;
        await putAside(this.#path, rotation!, this.#ctx.clock.now());
        handle = this.#handle = await this.#open();
        size = 0;
      }
      const content = Buffer.concat(
        group.map((record) => record.bytes),
        bytes,
      );
      await this.#writeWhole(handle, content, size);
      this.#waiting.splice(0, group.length);
      this.#waitingBytes -= bytes;
      for (const { onWritten } of group) onWritten();
      for (const resolve of this.#room.splice(0)) resolve();
    }
  }

  /** Writes all or, when the disk takes only a part, nothing. */
  async #writeWhole(handle: FileHandle, bytes: Buffer, size: number): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
    } catch (error) {
      await handle.truncate(size).catch(() => {});
      throw error;
    }
  }

  async #open(): Promise<FileHandle> {
    const { makesFolders, framing, rotation } = this.#options;
    if (makesFolders) await makeFolder(dirname(this.#path), FOLDER_MODE);
    if (rotation !== undefined) await removeOld(this.#path, rotation, this.#ctx.clock.now());
    const { O_RDWR, O_CREAT, O_APPEND, O_TRUNC } = constants;
    const flags = O_RDWR | O_CREAT | O_APPEND | (this.#truncates ? O_TRUNC : 0);
    const handle = await open(this.#path, flags, FILE_MODE);
    try {
      this.#truncates = false;
      const { size } = await handle.stat();
      const whole = await wholeRecordsEnd(handle, size, framing);
      if (whole < size) {
        await handle.truncate(whole);
        this.#ctx.log.warn("a record at the end of the file was not whole, and was removed", {
          path: this.#path,
          bytes: size - whole,
        });
      }
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  #says(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#ctx.flow.judge();
  }
}

function explain({ code, message }: NodeJS.ErrnoException, path: string): string {
  switch (code) {
    case "ENOENT":
      return `the folder of ${path} is not there: make it`;
    case "EACCES":
    case "EPERM":
      return `no permission to write to ${path}: give the agent's user access`;
    case "ENOSPC":
    case "EDQUOT":
      return `no space left for ${path}: free some (data waits in memory, then senders wait)`;
    case "EISDIR":
      return `${path} is a folder: name a file in it`;
    case "EROFS":
      return `${path} is on a read-only file system`;
    case "ENOTDIR":
      return `a file is in the way of the folder of ${path}`;
    default:
      return `cannot write to ${path}: ${message}`;
  }
}
