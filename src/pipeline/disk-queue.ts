import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "#base/clock";
import { ACK_FILE, AcknowledgedFile, ackFileName } from "./disk-queue/acknowledged.ts";
import { explain } from "./disk-queue/explain.ts";
import { FolderLock } from "./disk-queue/lock.ts";
import { type Entry, Reader, type ReaderHost } from "./disk-queue/reader.ts";
import { HEADER_BYTES } from "./disk-queue/record.ts";
import { loadSegments, type Segment } from "./disk-queue/segment.ts";
import {
  DiskQueueError,
  type DiskQueueOptions,
  MAX_RECORD_BYTES,
  type QueueInput,
  type QueueReader,
  type QueueStatus,
} from "./disk-queue/types.ts";
import { SegmentWriter } from "./disk-queue/writer.ts";
import { makeFolder } from "./make-folder.ts";

export * from "./disk-queue/types.ts";

/** One write takes at most this many records (each is two of the 1024 pieces that the system takes at once) and bytes. */
const GROUP_RECORDS = 500;
const GROUP_BYTES = 8 * 1024 * 1024;

/** One call of `append`. */
interface Call {
  left: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** A record on its way to the disk. */
interface Waiting extends Entry {
  call: Call | undefined;
  /** The readers that must acknowledge it for it to be safe without the disk; set once it is available in memory. */
  unacked: Set<Reader> | undefined;
}

/**
 * A first-in-first-out queue on disk for several readers, each with an acknowledged position of its own that survives
 * restarts. One process per folder.
 *
 * What `append` resolved for survives `kill -9`; a power loss takes at most the last `syncIntervalMs` or `syncBytes`.
 * After a crash readers get again what they had not acknowledged, and acknowledgements of the last instant.
 * While the disk takes nothing (full, broken) `append` waits, but readers get the records from memory, and those that all
 * readers acknowledge need no disk: a full disk stops nothing as long as the backends take data.
 */
export class DiskQueue {
  readonly #dir: string;
  readonly #options: DiskQueueOptions;
  readonly #maxBytes: number;
  #maxAgeMs: number | undefined;
  readonly #memoryBytes: number;
  readonly #retryMs: number;
  readonly #clock: Clock;
  readonly #openedAt: { readonly epoch: number; readonly monotonic: number };
  readonly #lock: FolderLock;
  readonly #segments: Segment[];
  readonly #writer: SegmentWriter;
  readonly #readers = new Map<string, Reader>();
  readonly #host: ReaderHost;
  readonly #background = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  #sequence = 0;
  /** The last sequence that readers were told of. */
  #admitted = 0;
  #status: QueueStatus = { state: "ok", cause: "" };
  /** Accepted by nobody yet, in order. */
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #wakeWriter: (() => void) | undefined;
  /** Records in memory that some reader has still to take, in order, from `#recentAt` on. */
  #recent: (Waiting | undefined)[] = [];
  #recentAt = 0;
  #recentBytes = 0;

  private constructor(dir: string, options: DiskQueueOptions, lock: FolderLock, segments: Segment[]) {
    this.#dir = dir;
    this.#options = options;
    this.#lock = lock;
    this.#segments = segments;
    this.#maxBytes = options.maxBytes ?? 1024 ** 3;
    this.#maxAgeMs = options.maxAgeMs;
    this.#memoryBytes = options.memoryBytes ?? 8 * 1024 ** 2;
    this.#retryMs = options.retryMs ?? 1000;
    this.#clock = options.clock ?? systemClock;
    this.#openedAt = { epoch: this.#clock.now(), monotonic: this.#clock.monotonic() };
    const segmentBytes = Math.min(options.segmentBytes ?? 16 * 1024 ** 2, Math.max(this.#maxBytes / 8, 4096));
    this.#writer = new SegmentWriter(dir, (segments.at(-1)?.number ?? 0) + 1, {
      segmentBytes,
      segmentAgeMs: (options.maxAgeMs ?? Infinity) / 8,
      syncIntervalMs: options.syncIntervalMs ?? 1000,
      syncBytes: options.syncBytes ?? 16 * 1024 ** 2,
      now: () => this.#clock.now(),
      onNotice: (message) => this.#notice(message),
      onSegment: (segment) => this.#segments.push(segment),
      onWritten: (entries) => this.#written(entries as readonly Waiting[]),
      alsoSync: async () => {
        await Promise.all([...this.#readers.values()].map((reader) => reader.file.sync()));
      },
    });
    const isClosed = () => this.#closing.signal.aborted;
    this.#host = {
      get closed() {
        return isClosed();
      },
      retryMs: this.#retryMs,
      oldestAllowed: () => this.#oldestAllowed(),
      segmentFor: (sequence) => this.#segmentFor(sequence),
      recentFor: (sequence) => this.#recentFor(sequence),
      dropped: (...drop) => this.#options.onDrop?.(...drop),
      progressed: () => this.#progressed(),
      delivered: (entry, reader) => this.#delivered(entry as Waiting, reader),
      notice: (message) => this.#notice(message),
      sleep: (ms) => this.#sleep(ms),
    };
  }

  /**
   * Opens the queue in `dir`, makes the folder if needed, repairs what a crash left. Rejects with a DiskQueueError when
   * the folder cannot be used or another process uses it. Left-over positions of readers that are not named are removed.
   */
  static async open(dir: string, options: DiskQueueOptions): Promise<DiskQueue> {
    let lock: FolderLock | undefined;
    try {
      await makeFolder(dir, 0o700);
      lock = await FolderLock.take(dir);
      const segments = await loadSegments(dir, options.onNotice ?? (() => {}));
      const queue = new DiskQueue(dir, options, lock, segments);
      queue.#sequence = queue.#admitted = segments.at(-1)?.totals.lastSequence ?? 0;
      try {
        await queue.setReaders(options.readers);
      } catch (error) {
        await queue.close();
        throw error;
      }
      return queue;
    } catch (error) {
      await lock?.release();
      if (error instanceof DiskQueueError) throw error;
      throw new DiskQueueError(`cannot open the queue in ${dir}: ${explain(error, dir)}`, { cause: error });
    }
  }

  /** Whether the disk takes data. */
  get status(): QueueStatus {
    return this.#status;
  }

  /** Changes the age (ms) beyond which records are no longer delivered. */
  setMaxAge(ms: number): void {
    this.#maxAgeMs = ms;
  }

  /** Largest size of all segments. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Size of all segments. */
  get diskBytes(): number {
    return this.#segments.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Adds records. Resolves when all are written (see the class), or delivered to all readers while the disk takes nothing.
   * Concurrent calls share a write. Rejects when the signal is aborted before that (what was begun may still be
   * delivered), or when the queue is closed.
   */
  append(records: readonly QueueInput[], signal?: AbortSignal): Promise<void> {
    if (this.#host.closed) return Promise.reject(new DiskQueueError("the queue is closed"));
    if (signal?.aborted) return Promise.reject(signal.reason);
    for (const { bytes, items, tag } of records) {
      if (bytes.length > MAX_RECORD_BYTES) {
        const message = `a record of ${bytes.length} bytes is larger than the ${MAX_RECORD_BYTES} that a queue takes`;
        return Promise.reject(new DiskQueueError(message));
      }
      if (items >>> 0 !== items || tag >>> 0 !== tag) {
        return Promise.reject(new RangeError(`items ${items} and tag ${tag} must be whole numbers below 2^32`));
      }
    }
    if (records.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#waiting = this.#waiting.filter((entry) => entry.call !== call || entry.unacked !== undefined);
        settle(() => reject(signal!.reason));
      };
      const settle = (how: () => void) => {
        signal?.removeEventListener("abort", abort);
        how();
      };
      const call: Call = {
        left: records.length,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener("abort", abort, { once: true });
      const now = this.#clock.now();
      for (const { bytes, items, tag, time } of records) {
        const record = { sequence: ++this.#sequence, bytes, items, tag, time: toTime(time ?? now) };
        this.#waiting.push({ record, segment: undefined, end: 0, call, unacked: undefined });
      }
      if (this.#status.state === "blocked") this.#admitWaiting();
      this.#writing ??= this.#write();
    });
  }

  /** The reader of this name; it must be among those that the queue was opened with. */
  reader(name: string): QueueReader {
    const reader = this.#readers.get(name);
    if (reader === undefined) throw new DiskQueueError(`the queue has no reader ${name}`);
    return reader;
  }

  /** Changes the set of readers. A new one begins with the oldest record that is still there; one left out is forgotten. */
  async setReaders(names: readonly string[]): Promise<void> {
    const files = new Set(names.map(ackFileName));
    for (const [name, reader] of this.#readers) {
      if (names.includes(name)) continue;
      this.#readers.delete(name);
      for (const entry of this.#recent.slice(this.#recentAt)) {
        if (entry!.segment === undefined) this.#delivered(entry!, reader);
      }
      await reader.close();
    }
    for (const file of await readdir(this.#dir)) {
      if (ACK_FILE.test(file) && !files.has(file)) await unlink(join(this.#dir, file));
    }
    for (const name of names) {
      if (this.#readers.has(name)) continue;
      let noticed = false;
      const file = new AcknowledgedFile(join(this.#dir, ackFileName(name)), this.#retryMs, (error) => {
        if (!noticed) this.#notice(`cannot store how far ${name} is: ${explain(error, this.#dir)}`);
        noticed = true;
      });
      const stored = await file.load();
      if (stored !== undefined) {
        // Neither sequences nor segment numbers are used twice: the stored position would point into new data.
        this.#sequence = Math.max(this.#sequence, stored.sequence);
        this.#admitted = Math.max(this.#admitted, stored.sequence);
        this.#writer.startBehind(stored.segment);
      }
      const reader = new Reader(name, file, this.#host);
      const written = this.#segments.filter(({ totals }) => totals.records > 0);
      reader.restore(stored, written, this.#admitted);
      for (const entry of this.#recent.slice(this.#recentAt)) {
        if (entry!.segment !== undefined || entry!.record.sequence < reader.position) continue;
        entry!.unacked!.add(reader);
        reader.admitted(entry!.record);
      }
      this.#readers.set(name, reader);
    }
    this.#progressed();
  }

  /** Resolves when everything appended and acknowledged so far is on the disk, safe from power loss. */
  async flush(): Promise<void> {
    if (this.#status.state === "ok") await this.#writing;
    await Promise.all([...this.#readers.values()].map((reader) => reader.file.flush()));
    await this.#writer.sync();
  }

  /** Writes what waits (unless the disk takes nothing: those calls of `append` reject), stores positions, lets go of the folder. */
  async close(): Promise<void> {
    if (this.#host.closed) return;
    this.#closing.abort();
    this.#wakeWriter?.();
    await this.#writing;
    for (const reader of this.#readers.values()) await reader.close();
    await this.#writer.close();
    this.#progressed(); // the segment that was active can go as well if nobody needs it
    await Promise.all(this.#background);
    await this.#lock.release();
  }

  /** Writes until nothing waits. Never rejects; says at once that it ended, so that no append falls between two runs. */
  async #write(): Promise<void> {
    await Promise.resolve(); // so that `#writing` is set before it is cleared, and calls of this moment share the write
    while (this.#waiting.length > 0) {
      let group: Waiting[] = [];
      let bytes = 0;
      for (const entry of this.#waiting) {
        bytes += entry.record.bytes.length + HEADER_BYTES;
        if (group.length > 0 && (bytes > GROUP_BYTES || group.length >= GROUP_RECORDS)) break;
        group.push(entry);
      }
      this.#waiting.splice(0, group.length);
      for (;;) {
        group = group.filter((entry) => entry.unacked === undefined || entry.unacked.size > 0);
        if (group.length === 0) break;
        try {
          await this.#makeRoom(group.reduce((sum, { record }) => sum + record.bytes.length + HEADER_BYTES, 0));
          await this.#writer.write(group);
          this.#setStatus({ state: "ok", cause: "" });
          for (const entry of group) finish(entry);
          break;
        } catch (error) {
          if (this.#host.closed) {
            const failure = new DiskQueueError(`the queue was closed: ${explain(error, this.#dir)}`, { cause: error });
            for (const entry of [...group, ...this.#waiting.splice(0)]) entry.call?.reject(failure);
            break;
          }
          this.#setStatus({ state: "blocked", cause: explain(error, this.#dir) });
          this.#admit(group);
          this.#admitWaiting();
          await this.#sleep(this.#retryMs);
        }
      }
    }
    this.#writing = undefined;
  }

  /** The writer's word that these are on disk. */
  #written(entries: readonly Waiting[]): void {
    this.#admit(entries.filter((entry) => entry.unacked === undefined));
    for (const entry of entries) for (const reader of this.#readers.values()) reader.written(entry);
    this.#trimRecent();
  }

  /** Makes records available to the readers from memory. */
  #admit(entries: readonly Waiting[]): void {
    const readers = [...this.#readers.values()];
    for (const entry of entries) {
      if (entry.unacked !== undefined) continue;
      entry.unacked = new Set(readers);
      this.#admitted = entry.record.sequence;
      this.#recent.push(entry);
      this.#recentBytes += entry.record.bytes.length;
      for (const reader of readers) reader.admitted(entry.record);
    }
    for (const reader of readers) reader.wake();
  }

  /** While the disk takes nothing: hands on what waits for it, as far as the memory bound allows. */
  #admitWaiting(): void {
    let size = 0;
    for (let i = this.#recentAt; i < this.#recent.length; i++) {
      if (this.#recent[i]!.segment === undefined) size += this.#recent[i]!.record.bytes.length;
    }
    const some: Waiting[] = [];
    for (const entry of this.#waiting) {
      size += entry.unacked === undefined ? entry.record.bytes.length : 0;
      if (size > this.#memoryBytes) break;
      some.push(entry);
    }
    this.#admit(some);
  }

  /** A reader acknowledged a record that is only in memory. */
  #delivered(entry: Waiting, reader: Reader): void {
    entry.unacked?.delete(reader);
    if (entry.unacked?.size !== 0) return;
    finish(entry);
    this.#waiting = this.#waiting.filter((each) => each !== entry);
    this.#trimRecent();
    if (this.#status.state === "blocked") this.#admitWaiting();
  }

  /** Deletes or drops the oldest segments until `bytes` more fit, and those that are too old. */
  async #makeRoom(bytes: number): Promise<void> {
    const oldest = this.#oldestAllowed();
    for (let first = this.#segments[0]; first !== undefined; first = this.#segments[0]) {
      const full = this.diskBytes + bytes > this.#maxBytes;
      const aged = first.totals.records > 0 && first.totals.lastTime < oldest;
      if (!full && !aged) return;
      if (first.totals.records === 0) {
        if (this.#segments.length === 1) return;
        this.#segments.shift(); // begun, never written to
        continue;
      }
      const done = this.#isDone(first);
      if (full && !aged && !done && this.#options.whenFull === "block") throw new DiskQueueError("full");
      if (first === this.#writer.active) await this.#writer.seal();
      if (this.#segments[0] !== first) continue;
      this.#segments.shift();
      for (const reader of this.#readers.values()) reader.dropSegment(first, aged ? "queue_age" : "queue_full");
      this.#remove(first);
    }
  }

  #isDone(segment: Segment): boolean {
    for (const reader of this.#readers.values()) if (reader.committed < segment.totals.lastSequence) return false;
    return true;
  }

  /** Deletes segments that all readers are done with and frees memory that no reader needs. */
  #progressed(): void {
    for (let first = this.#segments[0]; first !== undefined; first = this.#segments[0]) {
      if (first === this.#writer.active || !this.#isDone(first)) break;
      this.#segments.shift();
      for (const reader of this.#readers.values()) reader.forgetSegment(first);
      if (first.totals.records > 0) this.#remove(first);
      this.#wakeWriter?.();
    }
    this.#trimRecent();
  }

  #remove(segment: Segment): void {
    const removed = unlink(segment.path)
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") this.#notice(`cannot delete ${segment.path}: ${error.message}`);
      })
      .finally(() => this.#background.delete(removed));
    this.#background.add(removed);
  }

  #trimRecent(): void {
    let lowest = Infinity;
    for (const { position } of this.#readers.values()) lowest = Math.min(lowest, position);
    while (this.#recentAt < this.#recent.length) {
      const { record, segment, unacked } = this.#recent[this.#recentAt]!;
      if (
        segment === undefined ? unacked!.size > 0 : record.sequence >= lowest && this.#recentBytes <= this.#memoryBytes
      )
        break;
      this.#recentBytes -= record.bytes.length;
      this.#recent[this.#recentAt] = undefined;
      this.#recentAt += 1;
    }
    if (this.#recentAt > 64 && this.#recentAt * 2 >= this.#recent.length) {
      this.#recent.splice(0, this.#recentAt);
      this.#recentAt = 0;
    }
  }

  #recentFor(sequence: number): Entry | undefined {
    let low = this.#recentAt;
    let high = this.#recent.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#recent[middle]!.record.sequence < sequence) low = middle + 1;
      else high = middle;
    }
    return this.#recent[low];
  }

  #segmentFor(sequence: number): Segment | undefined {
    let found: Segment | undefined;
    for (let i = this.#segments.length - 1; i >= 0; i--) {
      const segment = this.#segments[i]!;
      if (segment.totals.records === 0) continue;
      if (segment.totals.lastSequence < sequence) break;
      found = segment;
    }
    return found;
  }

  /** The time at which the queue was opened plus what has passed since: a clock that is set forward ages nothing. */
  #steadyNow(): number {
    return this.#openedAt.epoch + this.#clock.monotonic() - this.#openedAt.monotonic;
  }

  #oldestAllowed(): number {
    return this.#maxAgeMs === undefined ? 0 : this.#steadyNow() - this.#maxAgeMs;
  }

  #setStatus(status: QueueStatus): void {
    if (status.state === this.#status.state && status.cause === this.#status.cause) return;
    this.#status = status;
    this.#options.onStatus?.(status);
  }

  #notice(message: string): void {
    this.#options.onNotice?.(message);
  }

  /** Waits `ms`, or less when the queue is closed or room was made. */
  #sleep(ms: number): Promise<void> {
    if (this.#host.closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#closing.signal.removeEventListener("abort", wake);
        if (this.#wakeWriter === wake) this.#wakeWriter = undefined;
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wakeWriter = wake;
      this.#closing.signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Whole milliseconds that fit into a record's header. */
function toTime(time: number): number {
  return Number.isNaN(time) ? 0 : Math.min(2 ** 48 - 1, Math.max(0, Math.floor(time)));
}

/** Counts the entry of its call as safe. */
function finish(entry: Waiting): void {
  const { call } = entry;
  if (call === undefined) return;
  entry.call = undefined;
  call.left -= 1;
  if (call.left === 0) call.resolve();
}
