import type { Acknowledged, AcknowledgedFile } from "./acknowledged.ts";
import { type Segment, SegmentReader } from "./segment.ts";
import { DiskQueueError, type DropReason, type Pending, type QueueReader, type QueueRecord } from "./types.ts";

/** A record in the queue; `segment` is undefined until it is on disk. */
export interface Entry {
  readonly record: QueueRecord;
  segment: Segment | undefined;
  /** The offset behind the record in its segment. */
  end: number;
}

/** What a reader needs of its queue. */
export interface ReaderHost {
  readonly closed: boolean;
  readonly retryMs: number;
  /** Records older than this (epoch ms) are dropped. */
  oldestAllowed(): number;
  /** The first segment that has records with this sequence or a higher one. */
  segmentFor(sequence: number): Segment | undefined;
  /** The first record in memory with this sequence or a higher one. */
  recentFor(sequence: number): Entry | undefined;
  dropped(reader: string, reason: DropReason, items: number, bytes: number, records: number): void;
  /** The reader took records, or acknowledged some. */
  progressed(): void;
  /** The reader acknowledged a record that is not on disk. */
  delivered(entry: Entry, reader: Reader): void;
  notice(message: string): void;
  sleep(ms: number): Promise<void>;
}

interface Counts {
  records: number;
  items: number;
  bytes: number;
}

export class Reader implements QueueReader {
  readonly name: string;
  readonly file: AcknowledgedFile;
  readonly #host: ReaderHost;
  /** The sequence to hand out next. */
  position = 1;
  /** Everything up to this sequence is acknowledged or dropped. */
  committed = 0;
  #records = 0;
  #items = 0;
  #bytes = 0;
  /** Handed out and not committed, in order. */
  readonly #inFlight = new Map<number, { readonly entry: Entry; acked: boolean }>();
  /** What was handed out (or dropped) of each segment, by its number. */
  readonly #taken = new Map<number, Counts>();
  #done: Acknowledged = { sequence: 0, segment: 0, offset: 0, records: 0, items: 0, bytes: 0 };
  /** Where `next` lies on disk, as far as known. */
  #place = { segment: 0, offset: 0 };
  #disk: SegmentReader | undefined;
  #buffer: readonly Entry[] = [];
  #bufferAt = 0;
  #filling: Promise<void> | undefined;
  #busy = false;
  #wake: (() => void) | undefined;

  constructor(name: string, file: AcknowledgedFile, host: ReaderHost) {
    this.name = name;
    this.file = file;
    this.#host = host;
  }

  /** Begins behind what `stored` says is acknowledged; without it, with the oldest record that there is. */
  restore(stored: Acknowledged | undefined, segments: readonly Segment[], lastSequence: number): void {
    this.committed = stored?.sequence ?? (segments[0]?.totals.firstSequence ?? lastSequence + 1) - 1;
    this.position = this.committed + 1;
    if (stored !== undefined) this.#done = stored;
    this.#place = { segment: this.#done.segment, offset: this.#done.offset };
    for (const { number, totals } of segments) {
      const taken: Counts =
        totals.lastSequence <= this.committed
          ? { records: totals.records, items: totals.items, bytes: totals.bytes }
          : number === this.#done.segment
            ? { records: this.#done.records, items: this.#done.items, bytes: this.#done.bytes }
            : { records: 0, items: 0, bytes: 0 };
      this.#taken.set(number, taken);
      this.#records += totals.records - taken.records;
      this.#items += totals.items - taken.items;
      this.#bytes += totals.bytes - taken.bytes;
    }
    if (stored === undefined) this.#save();
  }

  get pending(): Pending {
    const [first] = this.#inFlight.values();
    const oldest = first?.entry.record.time ?? this.#peek()?.record.time;
    const behind = oldest ?? this.#host.segmentFor(this.position)?.totals.firstTime;
    return { items: this.#items, bytes: this.#bytes, oldest: behind };
  }

  get pendingRecords(): number {
    return this.#records;
  }

  async next(maxBytes: number, signal: AbortSignal): Promise<QueueRecord[]> {
    if (this.#busy) throw new Error(`two calls of next() at once on the queue reader ${this.name}`);
    this.#busy = true;
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#host.closed) throw new DiskQueueError("the queue is closed");
        const taken = this.#take(maxBytes);
        if (taken.length > 0) {
          if (this.#peek() === undefined && this.#behind()) this.#fill(); // reads ahead while the caller sends
          return taken;
        }
        if (this.#filling !== undefined || this.#behind()) await this.#fill();
        else await this.#news(signal);
      }
    } finally {
      this.#busy = false;
    }
  }

  ack(...records: readonly QueueRecord[]): void {
    for (const record of records) {
      const item = this.#inFlight.get(record.sequence);
      if (item === undefined || item.acked) continue;
      item.acked = true;
      this.#forget(1, record.items, record.bytes.length);
      if (item.entry.segment === undefined) this.#host.delivered(item.entry, this);
    }
    this.#commit();
  }

  /** A record became available, on disk or (while the disk takes nothing) in memory. */
  admitted(record: QueueRecord): void {
    this.#records += 1;
    this.#items += record.items;
    this.#bytes += record.bytes.length;
  }

  /** A record that was available in memory is on disk now. */
  written(entry: Entry): void {
    const { record, segment } = entry;
    if (this.position <= record.sequence || segment === undefined) return;
    count(this.#taken, segment.number, record);
    if (!this.#inFlight.has(record.sequence)) {
      this.#note(entry);
      this.#save();
    }
  }

  /** A segment is taken away because the queue is too large or too old. */
  dropSegment(segment: Segment, reason: DropReason): void {
    this.#lose(segment, reason);
    this.#skipTo(segment.totals.lastSequence + 1);
    if (this.#disk?.segment === segment) this.#leaveDisk();
    this.#taken.delete(segment.number);
    this.#commit();
  }

  /** A segment was deleted because all readers are done with it. */
  forgetSegment(segment: Segment): void {
    this.#taken.delete(segment.number);
    if (this.#disk?.segment === segment) this.#leaveDisk();
  }

  wake(): void {
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.wake();
    await this.#filling;
    this.#leaveDisk();
    await this.file.close();
  }

  #take(maxBytes: number): QueueRecord[] {
    const out: QueueRecord[] = [];
    const oldest = this.#host.oldestAllowed();
    let size = 0;
    let progress = false;
    for (let entry = this.#peek(); entry !== undefined; entry = this.#peek()) {
      const { record, segment } = entry;
      if (out.length > 0 && size + record.bytes.length > maxBytes) break;
      const aged = record.time < oldest;
      this.position = record.sequence + 1;
      this.#inFlight.set(record.sequence, { entry, acked: aged });
      progress = true;
      if (segment !== undefined) {
        count(this.#taken, segment.number, record);
        this.#place = { segment: segment.number, offset: entry.end };
        if (record.sequence === segment.totals.lastSequence) this.#lose(segment, "queue_damaged");
      }
      if (aged) {
        this.#forget(1, record.items, record.bytes.length);
        this.#host.dropped(this.name, "queue_age", record.items, record.bytes.length, 1);
        if (segment === undefined) this.#host.delivered(entry, this);
        this.#commit();
      } else {
        size += record.bytes.length;
        out.push(record);
      }
    }
    if (progress) this.#host.progressed();
    return out;
  }

  /** The entry to hand out next, if it is in memory. */
  #peek(): Entry | undefined {
    while (this.#bufferAt < this.#buffer.length) {
      const entry = this.#buffer[this.#bufferAt]!;
      if (entry.record.sequence >= this.position) return entry;
      this.#bufferAt += 1;
    }
    if (this.#buffer.length > 0) {
      this.#buffer = [];
      this.#bufferAt = 0;
    }
    if (this.#filling !== undefined || this.#behind()) return undefined;
    const recent = this.#host.recentFor(this.position);
    if (recent !== undefined && this.#disk !== undefined) this.#leaveDisk();
    return recent;
  }

  /** Whether what comes next must be read from disk. */
  #behind(): boolean {
    const segment = this.#host.segmentFor(this.position);
    if (segment === undefined) return false;
    const recent = this.#host.recentFor(this.position);
    return recent === undefined || Math.max(segment.totals.firstSequence, this.position) < recent.record.sequence;
  }

  #fill(): Promise<void> {
    this.#filling ??= this.#read().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  /** Reads the next chunk into the (empty) buffer. Never rejects. */
  async #read(): Promise<void> {
    const segment = this.#host.segmentFor(this.position);
    if (segment === undefined) return;
    if (this.#disk?.segment !== segment) {
      this.#leaveDisk();
      const { number } = segment;
      this.#disk = new SegmentReader(segment, this.#place.segment === number ? this.#place.offset : 0);
    }
    const disk = this.#disk;
    try {
      const found = await disk.read();
      if (found.length > 0) {
        this.#buffer = found;
        this.#bufferAt = 0;
      } else if (disk.atEnd) {
        this.#lose(segment, "queue_damaged");
        this.#skipTo(segment.totals.lastSequence + 1);
        this.#commit();
      }
    } catch (error) {
      if (this.#disk !== disk) return; // dropped meanwhile
      const { code, message } = error as NodeJS.ErrnoException;
      this.#leaveDisk();
      if (code === "ENOENT" || code === undefined) {
        this.#host.notice(`a part of the queue is gone: ${message}`);
        this.#lose(segment, "queue_damaged");
        this.#skipTo(segment.totals.lastSequence + 1);
        this.#commit();
      } else {
        this.#host.notice(`cannot read the queue, trying again: ${message}`);
        await this.#host.sleep(this.#host.retryMs);
      }
    }
  }

  #leaveDisk(): void {
    const disk = this.#disk;
    this.#disk = undefined;
    disk?.close().catch((error) => this.#host.notice(`closing ${disk.segment.path}: ${error}`));
  }

  /** Counts what of the segment was never handed out as dropped. */
  #lose(segment: Segment, reason: DropReason): void {
    const { totals, number } = segment;
    const taken = this.#taken.get(number) ?? { records: 0, items: 0, bytes: 0 };
    const left = {
      records: totals.records - taken.records,
      items: totals.items - taken.items,
      bytes: totals.bytes - taken.bytes,
    };
    if (left.records <= 0) return;
    this.#taken.set(number, { records: totals.records, items: totals.items, bytes: totals.bytes });
    if (this.#done.segment === number) this.#done = plus(this.#done, left);
    this.#forget(left.records, left.items, left.bytes);
    this.#host.dropped(this.name, reason, left.items, left.bytes, left.records);
  }

  #skipTo(sequence: number): void {
    this.position = Math.max(this.position, sequence);
  }

  #forget(records: number, items: number, bytes: number): void {
    this.#records -= records;
    this.#items -= items;
    this.#bytes -= bytes;
  }

  /** Moves the committed position over the acknowledged prefix and stores it. */
  #commit(): void {
    for (const [sequence, { entry, acked }] of this.#inFlight) {
      if (!acked) break;
      this.#inFlight.delete(sequence);
      this.#note(entry);
    }
    const [first] = this.#inFlight.keys();
    const committed = (first ?? this.position) - 1;
    if (committed === this.committed) return;
    this.committed = committed;
    this.#save();
    this.#host.progressed();
  }

  #note({ record, segment, end }: Entry): void {
    if (segment === undefined) return;
    if (this.#done.segment !== segment.number) {
      this.#done = { sequence: 0, segment: segment.number, offset: 0, records: 0, items: 0, bytes: 0 };
    }
    const offset = Math.max(this.#done.offset, end);
    this.#done = { ...plus(this.#done, { records: 1, items: record.items, bytes: record.bytes.length }), offset };
  }

  #save(): void {
    this.file.save({ ...this.#done, sequence: this.committed });
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener("abort", done);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

function count(map: Map<number, Counts>, segment: number, record: QueueRecord): void {
  const counts = map.get(segment);
  if (counts === undefined) map.set(segment, { records: 1, items: record.items, bytes: record.bytes.length });
  else {
    counts.records += 1;
    counts.items += record.items;
    counts.bytes += record.bytes.length;
  }
}

function plus(done: Acknowledged, more: Counts): Acknowledged {
  const { records, items, bytes } = done;
  return { ...done, records: records + more.records, items: items + more.items, bytes: bytes + more.bytes };
}
