import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { makeFolder } from "../make-folder.ts";
import type { Entry } from "./reader.ts";
import { addToTotals, encodeFooter, encodeHeader, HEADER_BYTES, SEGMENT_MAGIC } from "./record.ts";
import { type Segment, segmentAt } from "./segment.ts";

export interface WriterOptions {
  readonly segmentBytes: number;
  /** A segment whose first record is older than this is closed, so that old data can go with its segment. */
  readonly segmentAgeMs: number;
  readonly syncIntervalMs: number;
  readonly syncBytes: number;
  readonly now: () => number;
  readonly onNotice: (message: string) => void;
  /** A new segment was begun. */
  readonly onSegment: (segment: Segment) => void;
  /** The entries are written and their places filled in; called before anything is awaited. */
  readonly onWritten: (entries: readonly Entry[]) => void;
  /** Runs with each sync: for what else should reach the disk. */
  readonly alsoSync: () => Promise<void>;
}

/**
 * Appends records to the active segment. What `write` resolved for is in the operating system's hands: `kill -9` does not
 * lose it. A power loss loses what was not synced: at most `syncIntervalMs` of time or `syncBytes` of data.
 */
export class SegmentWriter {
  readonly #dir: string;
  readonly #options: WriterOptions;
  #number: number;
  #segment: Segment | undefined;
  #handle: FileHandle | undefined;
  /** The file may be unusable: go on in another one. */
  #suspect = false;
  #unsynced = 0;
  #newFiles = false;
  #timer: NodeJS.Timeout | undefined;
  #syncing: Promise<void> | undefined;
  readonly #closing = new Set<Promise<void>>();

  constructor(dir: string, firstNumber: number, options: WriterOptions) {
    this.#dir = dir;
    this.#number = firstNumber;
    this.#options = options;
  }

  /** The segment that is written to, if any. */
  get active(): Segment | undefined {
    return this.#segment;
  }

  /** Numbers new segments above `number`. */
  startBehind(number: number): void {
    this.#number = Math.max(this.#number, number + 1);
  }

  /** Writes the entries with one call and fills in where they are. Rejects with the system's error; then nothing counts as written. */
  async write(entries: readonly Entry[]): Promise<void> {
    const bytes = entries.reduce((sum, { record }) => sum + HEADER_BYTES + record.bytes.length, 0);
    if (this.#mustRoll(bytes)) await this.seal();
    const segment = (this.#segment ??= this.#begin());
    try {
      const handle = await this.#open(segment);
      const fresh = segment.totals.records === 0;
      const chunks: Uint8Array[] = fresh ? [SEGMENT_MAGIC] : [];
      for (const { record } of entries) {
        chunks.push(encodeHeader(record, segment.seed));
        if (record.bytes.length > 0) chunks.push(record.bytes);
      }
      const wanted = bytes + (fresh ? SEGMENT_MAGIC.length : 0);
      const { bytesWritten } = await handle.writev(chunks, segment.size + bytes - wanted);
      if (bytesWritten !== wanted) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#suspect = code !== "ENOSPC" && code !== "EDQUOT";
      throw error;
    }
    let end = segment.size;
    for (const entry of entries) {
      end += HEADER_BYTES + entry.record.bytes.length;
      entry.segment = segment;
      entry.end = end;
      addToTotals(segment.totals, entry.record);
    }
    segment.size = end;
    this.#unsynced += bytes;
    this.#options.onWritten(entries);
    const { syncIntervalMs, syncBytes } = this.#options;
    if (syncIntervalMs === 0 || this.#unsynced >= 2 * syncBytes) await this.sync();
    else if (this.#unsynced >= syncBytes) void this.sync();
    else this.#schedule();
  }

  /** Closes the active segment with its footer. Problems are noted, not thrown: a segment without a footer is read in full. */
  async seal(): Promise<void> {
    const segment = this.#segment;
    const handle = this.#handle;
    this.#segment = undefined;
    this.#handle = undefined;
    this.#suspect = false;
    if (segment === undefined || handle === undefined) return;
    const { onNotice } = this.#options;
    if (segment.totals.records === 0) {
      await handle.close().catch(() => {});
      await unlink(segment.path).catch((error) =>
        onNotice(`cannot remove the empty ${segment.path}: ${error.message}`),
      );
      return;
    }
    try {
      await handle.truncate(segment.size); // what a failed write may have left
      const footer = encodeFooter(segment.totals, segment.seed);
      await handle.write(footer, 0, footer.length, segment.size);
    } catch (error) {
      onNotice(`cannot finish ${segment.path}: ${(error as Error).message}`);
    }
    const closed = (async () => {
      try {
        await handle.datasync();
      } catch (error) {
        onNotice(`cannot sync ${segment.path}: ${(error as Error).message}`);
      }
      await handle.close().catch(() => {});
    })().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
    if (this.#options.syncIntervalMs === 0) await closed;
  }

  /** Forces everything written so far to the disk. */
  sync(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#syncing = (this.#syncing ?? Promise.resolve()).then(() => this.#sync());
    return this.#syncing;
  }

  async close(): Promise<void> {
    await this.seal();
    await this.sync();
    await Promise.all(this.#closing);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => void this.sync(), this.#options.syncIntervalMs).unref();
  }

  async #sync(): Promise<void> {
    const handle = this.#unsynced > 0 ? this.#handle : undefined;
    this.#unsynced = 0;
    try {
      await handle?.datasync();
      await Promise.all(this.#closing);
      if (this.#newFiles) {
        this.#newFiles = false;
        const dir = await open(this.#dir, "r");
        await dir.sync().finally(() => dir.close());
      }
      await this.#options.alsoSync();
    } catch (error) {
      // The system may have thrown the pages away; what comes next goes to another file.
      this.#suspect = true;
      this.#options.onNotice(`cannot sync the queue in ${this.#dir}: ${(error as Error).message}`);
    }
  }

  #mustRoll(bytes: number): boolean {
    const segment = this.#segment;
    if (segment === undefined) return false;
    if (this.#suspect) return true;
    if (segment.totals.records === 0) return false;
    const { segmentBytes, segmentAgeMs, now } = this.#options;
    return segment.size + bytes > segmentBytes || now() - segment.totals.firstTime > segmentAgeMs;
  }

  #begin(): Segment {
    const segment = segmentAt(this.#dir, this.#number++);
    this.#options.onSegment(segment);
    return segment;
  }

  async #open(segment: Segment): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC;
    try {
      this.#handle = await open(segment.path, flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      await makeFolder(this.#dir); // the folder was removed under the running agent
      this.#handle = await open(segment.path, flags, 0o600);
    }
    this.#newFiles = true;
    return this.#handle;
  }
}
