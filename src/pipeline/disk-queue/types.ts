import type { Clock } from "#base/clock";

/** What `append` takes: opaque bytes and the little that the queue itself counts by. */
export interface QueueInput {
  /** Taken over: must not change after `append` was called. At most MAX_RECORD_BYTES. */
  readonly bytes: Uint8Array;
  /** Entries, samples or items in `bytes`, for the accounting of drops and of what is pending. */
  readonly items: number;
  /** The owner's own mark, 0 … 2^32 − 1: a kind, a tenant's index, a shard. */
  readonly tag: number;
  /** Epoch milliseconds by which the record ages; the time of the append when left out. */
  readonly time?: number;
}

/** What readers get. `bytes` are immutable and may be kept (they may hold a larger read buffer alive). */
export interface QueueRecord {
  /** Ascending and unique in the queue, across restarts; not without gaps. */
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly items: number;
  readonly tag: number;
  readonly time: number;
}

/**
 * Why records were dropped for a reader: the queue was larger than `maxBytes`, they were older than `maxAgeMs`, or the
 * files were damaged.
 */
export type DropReason = "queue_full" | "queue_age" | "queue_damaged";

export interface QueueStatus {
  /** `blocked`: the disk takes nothing (full, broken, no permission); records are held in memory and `append` waits. */
  readonly state: "ok" | "blocked";
  /** What is wrong and what to do; empty for `ok`. */
  readonly cause: string;
}

export interface DiskQueueOptions {
  /** Every reader by name (letters, digits, `-`, `_`, `.`; others are encoded). What is stored of readers not named here is removed. */
  readonly readers: readonly string[];
  /** Largest size of all segments; default 1 GiB. */
  readonly maxBytes?: number;
  /** Oldest record that is still delivered; default: no limit. */
  readonly maxAgeMs?: number;
  /** Beyond `maxBytes`: drop the oldest segment and count it (default), or let `append` wait for the readers. */
  readonly whenFull?: "drop_oldest" | "block";
  /** Size at which a segment is closed; default 16 MiB, at most an eighth of `maxBytes`. */
  readonly segmentBytes?: number;
  /** Recent records kept for readers at the tail, so that they need not be read back; default 8 MiB. */
  readonly memoryBytes?: number;
  /** Written data is forced to the disk after this time or this many bytes, whichever is first; 0 ms: before each `append` resolves. Default 1 s, 16 MiB. */
  readonly syncIntervalMs?: number;
  readonly syncBytes?: number;
  /** Pause between attempts while the disk takes nothing; default 1 s. */
  readonly retryMs?: number;
  readonly clock?: Clock;
  readonly onDrop?: (reader: string, reason: DropReason, items: number, bytes: number, records: number) => void;
  readonly onStatus?: (status: QueueStatus) => void;
  /** Notes for the log: repairs, damage, left-overs. */
  readonly onNotice?: (message: string) => void;
}

export interface Pending {
  /** Items not acknowledged yet, those handed out included. */
  readonly items: number;
  /** Their payload bytes. */
  readonly bytes: number;
  /** Epoch milliseconds of the oldest of them; exact while it is handed out or in memory, else that of its segment's first record. */
  readonly oldest: number | undefined;
}

export interface QueueReader {
  readonly name: string;
  readonly pending: Pending;
  /** How many records `pending` is about. */
  readonly pendingRecords: number;
  /**
   * The next records in order, at least one, together at most `maxBytes` unless the first alone is larger. Waits for
   * some; rejects with the signal's reason, or when the queue is closed. One call at a time.
   */
  next(maxBytes: number, signal: AbortSignal): Promise<QueueRecord[]>;
  /** Marks records as delivered (or dropped by the caller), in any order. After a restart reading goes on behind the acknowledged prefix. */
  ack(...records: readonly QueueRecord[]): void;
}

/** Failure to open or to use a queue's folder; the message says what to do. */
export class DiskQueueError extends Error {
  override readonly name = "DiskQueueError";
}

/** Longer records are refused: a reader must hold one in memory. */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024;
