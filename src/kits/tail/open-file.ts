import type { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import { Backlog } from "./backlog.ts";
import { type BatchAccounts, CommitQueue } from "./commit-queue.ts";
import { detectByteOrderMark, type FileEncoding } from "./encoding.ts";
import {
  closeFile,
  FINGERPRINT_BYTES,
  type FileIdentity,
  fingerprintOf,
  openFile,
  readFile,
  readHead,
  statFile,
} from "./file-io.ts";
import type { LastTime, LineColumns } from "./line-columns.ts";

/** Bytes read at once. */
export const CHUNK_BYTES = 256 * 1024;
/** Bytes before the offset that are remembered, to know a copy of the file by. */
const TRAIL_BYTES = 64;
/** Much longer than a tick of any file system's clock. */
const SETTLED_MS = 2_000;
const NO_BYTES: Buffer = Buffer.alloc(0);
/** A line beyond this is handed on in pieces of this size: nothing is lost, and memory stays bounded. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** What a worker reads into. Lent to the pipeline until the batch is accepted. */
export interface ReadSlot {
  readonly buffer: Buffer;
  readonly columns: LineColumns;
}

export interface OpenFileOptions {
  readonly labels: Labels;
  readonly encoding: FileEncoding;
  readonly lastTime: LastTime;
  readonly accounts: BatchAccounts;
  now(): number;
  /** Hands a batch on; resolves when it was accepted. */
  deliver(batch: LogBatch): void | Promise<void>;
  /** Told when more of the file was delivered for good. */
  delivered(file: OpenFile): void;
  /** Told about each piece of an over-long line but the last. */
  lineSplit(file: OpenFile): void;
}

/**
 * One file that is held open, whatever happens to its name. Reads complete lines and follows their acknowledgements:
 * `offset` is where the next line begins, and up to `committed` everything has been delivered.
 */
export class OpenFile {
  readonly fd: number;
  readonly device: number;
  readonly inode: number;
  readonly #options: OpenFileOptions;
  #encoding: FileEncoding;
  /** When the file was made (epoch ms); 0 where the file system does not know. */
  readonly bornMs: number;
  /** Up to FINGERPRINT_BYTES first bytes. */
  head: Buffer;
  size: number;
  modifiedMs: number;
  /** Names that the file has, when it was last refreshed. */
  links = 1;
  offset = 0;
  wasCut = false;
  /** Lines handed on. */
  lines = 0;
  /** No newline lies between `offset` and here. */
  #scanned = 0;
  readonly #commits: CommitQueue;
  /** Bytes of a byte order mark. */
  #skip: number;
  /** The last bytes before `offset`, as far as they were read here. */
  #trail = NO_BYTES;
  /** The file whose content this one goes on with, a copy or a longer version of it. */
  #predecessor: OpenFile | undefined;
  /** The file that goes on with the content of this one. */
  successor: OpenFile | undefined;
  /** What there is to read, as of the latest `observe`. */
  readonly backlog = new Backlog();

  private constructor(
    fd: number,
    identity: { device: number; inode: number; size: number; modifiedMs: number; bornMs: number },
    head: Buffer,
    options: OpenFileOptions,
  ) {
    this.fd = fd;
    this.device = identity.device;
    this.inode = identity.inode;
    this.size = identity.size;
    this.modifiedMs = identity.modifiedMs;
    this.bornMs = identity.bornMs;
    this.head = head;
    this.#options = options;
    this.#commits = new CommitQueue(options.accounts, () => options.delivered(this));
    const mark = detectByteOrderMark(head, options.encoding);
    this.#encoding = mark.encoding;
    this.#skip = mark.skip;
  }

  /** Rejects with what the operating system says, or with EISDIR. */
  static async open(path: string, options: OpenFileOptions): Promise<OpenFile> {
    const fd = await openFile(path);
    try {
      const stats = await statFile(fd);
      if (stats.isDirectory())
        throw Object.assign(new Error(`EISDIR: is a directory, open '${path}'`), { code: "EISDIR" });
      const head = Buffer.from(await readHead(fd)); // of its own length: thousands of files are open at once
      const { dev: device, ino: inode, size, mtimeMs: modifiedMs, birthtimeMs: bornMs } = stats;
      return new OpenFile(fd, { device, inode, size, modifiedMs, bornMs }, head, options);
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  close(): Promise<void> {
    return closeFile(this.fd);
  }

  get identity(): FileIdentity {
    return { device: this.device, inode: this.inode, fingerprint: fingerprintOf(this.head) };
  }

  get isEncoded(): boolean {
    return this.#encoding.decode !== undefined;
  }

  /**
   * Whether all of the size that is known was read, but for the beginning of a line, and another change would show by the
   * time: written anew within a tick of the file system's clock, a file has the time that it had.
   */
  isAtRest(now: number): boolean {
    return this.size <= Math.max(this.offset, this.#scanned) && now - this.modifiedMs > SETTLED_MS;
  }

  /** Batches that were handed on and are not safe yet. */
  get outstanding(): number {
    return this.#commits.outstanding;
  }

  /** Up to where everything has been delivered for good, what was read in the file before this one included. */
  get committed(): number {
    const before = this.#predecessor;
    return before !== undefined && before.outstanding > 0 ? before.committed : this.#commits.committed;
  }

  /** Starts (again) at an offset. What is on its way is not followed any longer. */
  seek(offset: number): void {
    const at = Math.max(offset, this.#skip);
    this.offset = at;
    this.#scanned = at;
    this.#trail = NO_BYTES;
    this.#commits.reset(at);
  }

  /** Goes on where `before`, whose content is in this file too, has stopped. What that one has on its way is safe later. */
  continueFrom(before: OpenFile): void {
    this.seek(before.offset);
    this.#trail = before.#trail;
    this.#predecessor = before;
    before.successor = this;
  }

  /** To behind the last newline. */
  async seekToEnd({ buffer }: Pick<ReadSlot, "buffer">): Promise<void> {
    let end = this.size;
    while (end > this.#skip) {
      const begin = Math.max(this.#skip, end - buffer.length);
      const count = await readFile(this.fd, buffer, 0, end - begin, begin);
      const newline = this.#lastLineEnd(buffer, count, begin);
      if (newline > 0) return this.seek(begin + newline);
      end = begin;
    }
    this.seek(this.#skip);
  }

  /** Whether `other` holds what this file holds up to the other's end, as a copy does that is still being made. */
  async isLongerThan(other: OpenFile): Promise<boolean> {
    if (other.head.length === 0) return false;
    // Not by the head that is known: this file may have been empty when that was read.
    const begin = Buffer.allocUnsafe(other.head.length);
    if ((await readFile(this.fd, begin, 0, begin.length, 0)) < begin.length || !begin.equals(other.head)) return false;
    const length = Math.min(TRAIL_BYTES, other.size);
    const [a, b] = [Buffer.allocUnsafe(length), Buffer.allocUnsafe(length)];
    const at = other.size - length;
    const counts = [await readFile(this.fd, a, 0, length, at), await readFile(other.fd, b, 0, length, at)];
    return counts.every((count) => count === length) && a.equals(b);
  }

  /** Asks for the file's size, time and number of names again. */
  async refresh(): Promise<void> {
    const stats = await statFile(this.fd);
    this.size = stats.size;
    this.modifiedMs = stats.mtimeMs;
    this.links = stats.nlink;
  }

  /**
   * Takes note how much there is to read, for those who watch. The system is asked only where reading is held up, since
   * the size that the reader knows is an old one then; what the reader knows stays as it is.
   */
  async observe(now: number, isHeldUp: boolean): Promise<void> {
    const { size } = isHeldUp ? await statFile(this.fd).catch(() => this) : this;
    // What was searched in vain for the end of its line is no backlog.
    this.backlog.observe(now, Math.max(this.offset, this.#scanned), size);
  }

  /** Whether the file still begins as it did when it was last looked at. Learns more of a short file's beginning. */
  async beginsTheSame(): Promise<boolean> {
    const head = await readHead(this.fd);
    if (head.length < this.head.length || !head.subarray(0, this.head.length).equals(this.head)) return false;
    if (this.head.length < head.length) this.head = Buffer.from(head);
    return true;
  }

  /** Whether the file was cut since the reader looked at it last. */
  async isCut(): Promise<boolean> {
    return (await statFile(this.fd)).size < this.offset || !(await this.beginsTheSame());
  }

  /** Whether `copy` holds all that was read of this file, and perhaps more. */
  async isCopiedIn(copy: OpenFile): Promise<boolean> {
    if (this.head.length === 0 || copy.size < this.offset) return false;
    const head = Math.min(this.head.length, copy.head.length);
    if (head < this.head.length && head < copy.size) return false;
    if (!copy.head.subarray(0, head).equals(this.head.subarray(0, head))) return false;
    const trail = Buffer.allocUnsafe(this.#trail.length);
    const count = await readFile(copy.fd, trail, 0, trail.length, this.offset - trail.length);
    return count === trail.length && trail.equals(this.#trail);
  }

  /**
   * Reads one chunk and hands on its complete lines. Resolves to whether it got any further, which means there may be
   * more. `flush`: what stands after the last newline is a line too. `isChecked`: what was read is handed on only if the
   * file was not cut until then; `wasCut` says so.
   */
  async read(slot: ReadSlot, { flush = false, isChecked = false } = {}): Promise<boolean> {
    const { buffer } = slot;
    // A line that was begun is searched for its end from where the search stopped, not from its beginning.
    const resumed = this.#scanned - this.offset >= buffer.length / 2;
    const from = resumed ? this.#scanned : this.offset;
    const count = await readFile(this.fd, buffer, 0, buffer.length, from);
    if (isChecked && (await this.isCut())) {
      this.wasCut = true;
      return false;
    }
    if (from + count > this.size) this.size = from + count;
    this.#learnHead(buffer.subarray(0, count), from);
    if (this.offset === 0 && this.#findByteOrderMark()) return true;
    if (resumed) return this.#readLong(slot, from, count, flush);
    const end = this.#lastLineEnd(buffer, count, from);
    if (end > 0) {
      await this.#emit(slot, buffer, 0, end, this.offset + end);
      return true;
    }
    if (count < buffer.length && flush && count > 0) {
      await this.#emit(slot, buffer, 0, count, this.offset + count);
      return true;
    }
    const searched = this.#whole(this.offset + count);
    const further = searched > this.#scanned;
    this.#scanned = searched;
    return further && count === buffer.length;
  }

  /** What is read of a file must be known by its beginning, however short it was when it was opened. */
  #learnHead(bytes: Buffer, from: number): void {
    const known = this.head.length;
    if (known === FINGERPRINT_BYTES || from > known || from + bytes.length <= known) return;
    this.head = Buffer.concat([this.head.subarray(0, from), bytes.subarray(0, FINGERPRINT_BYTES - from)]);
  }

  /** A file that was empty when it was opened may have got its byte order mark since. Returns whether there is one. */
  #findByteOrderMark(): boolean {
    const mark = detectByteOrderMark(this.head, this.#options.encoding);
    if (mark.skip === 0) return false;
    this.#encoding = mark.encoding;
    this.#skip = mark.skip;
    this.seek(0);
    return true;
  }

  /** Goes on in a line that is longer than a chunk. */
  async #readLong(slot: ReadSlot, from: number, count: number, flush: boolean): Promise<boolean> {
    const first = this.#firstLineEnd(slot.buffer, count, from);
    const searched = this.#whole(from + count);
    const stuck = searched === this.#scanned;
    const last = first > 0 ? from + first : stuck && flush ? from + count : undefined;
    if (last === undefined && searched - this.offset < MAX_LINE_BYTES) {
      this.#scanned = searched;
      return !stuck;
    }
    const end = Math.min(last ?? Infinity, this.offset + MAX_LINE_BYTES);
    if (end === this.offset) return false;
    if (end !== last) this.#options.lineSplit(this);
    const line = Buffer.allocUnsafeSlow(end - this.offset);
    let filled = 0;
    while (filled < line.length) {
      const part = await readFile(this.fd, line, filled, line.length - filled, this.offset + filled);
      if (part === 0) break; // truncated meanwhile; the next look at the file finds out
      filled += part;
    }
    if (filled === 0) return false;
    await this.#emit(slot, line, 0, filled, this.offset + filled);
    return true;
  }

  async #emit(slot: ReadSlot, bytes: Buffer, from: number, to: number, endOffset: number): Promise<void> {
    const { decode } = this.#encoding;
    const { labels, lastTime, now, deliver } = this.#options;
    let data = bytes;
    let begin = from;
    let end = to;
    if (decode !== undefined) {
      data = Buffer.from(decode(bytes.subarray(from, to)), "utf8");
      begin = 0;
      end = data.length;
    }
    const { columns } = slot;
    columns.split(data, begin, end);
    const { count } = columns;
    const startOffset = this.offset;
    const { acknowledgement, cancel } = this.#commits.add(endOffset, count, endOffset - startOffset);
    const trail = this.#trail;
    this.#trail = Buffer.from(bytes.subarray(Math.max(from, to - TRAIL_BYTES), to));
    this.offset = endOffset;
    this.#scanned = endOffset;
    try {
      const accepted = deliver(columns.batch(data, labels, now(), lastTime, acknowledgement));
      if (accepted !== undefined) await accepted;
    } catch (error) {
      // Not accepted, so it will be read again.
      cancel();
      this.#trail = trail;
      this.offset = startOffset;
      this.#scanned = startOffset;
      throw error;
    }
    this.lines += count;
  }

  /** An offset cut to whole code units, so that a newline of two bytes is never searched by halves. */
  #whole(offset: number): number {
    return this.#encoding.unit === 2 ? offset - (offset % 2) : offset;
  }

  /** The index after the last newline in `buffer[0, count)`, which lies at `position` of the file; 0 for none. */
  #lastLineEnd(buffer: Buffer, count: number, position: number): number {
    if (this.#encoding.unit === 1) return count === 0 ? 0 : buffer.lastIndexOf(0x0a, count - 1) + 1;
    for (let at = count; ; ) {
      if (at === 0) return 0;
      at = buffer.lastIndexOf(0x0a, at - 1);
      if (at < 0) return 0;
      const end = this.#wideNewlineEnd(buffer, count, at, position);
      if (end > 0) return end;
    }
  }

  #firstLineEnd(buffer: Buffer, count: number, position: number): number {
    for (let at = -1; ; ) {
      at = buffer.indexOf(0x0a, at + 1);
      if (at < 0 || at >= count) return 0;
      const end = this.#encoding.unit === 1 ? at + 1 : this.#wideNewlineEnd(buffer, count, at, position);
      if (end > 0) return end;
    }
  }

  /** Whether the byte 0x0a at `at` belongs to a newline of two bytes: where that ends, else 0. */
  #wideNewlineEnd(buffer: Buffer, count: number, at: number, position: number): number {
    const begin = at - this.#encoding.newlineByte;
    if (begin < 0 || begin + 2 > count || (position + begin) % 2 !== 0) return 0;
    return buffer[begin === at ? at + 1 : begin] === 0 ? begin + 2 : 0;
  }
}
