import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import type { Logger } from "#base/log";
import type { LogBatch } from "#pipeline/batch";
import type { BatchAccounts } from "./commit-queue.ts";
import type { DirectoryInodes } from "./directory-inodes.ts";
import type { FileEncoding } from "./encoding.ts";
import type { Holders } from "./holders.ts";
import type { Positions } from "./positions.ts";
import type { Tail } from "./tail.ts";

export interface TailTarget {
  readonly path: string;
  /** The target's labels without those that begin with two underscores. */
  readonly labels: Labels;
}

export type PositionErrorAction = "skip" | "restart_from_beginning" | "restart_from_end";

/** What was cut before it was read, or was deleted and could no longer be read. */
export type LossReason = "truncated" | "deleted";

/** What is told of a rotation. */
export interface Rotation {
  readonly path: string;
  /** Bytes that were not read when the file lost its name. They are read all the same as long as the agent runs. */
  readonly unreadBytes: number;
  /** Files that lost the name before and are not read to their end either. */
  readonly unreadBefore: number;
}

export interface TailEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly positions: Positions;
  readonly encoding: FileEncoding;
  readonly tailFromEnd: boolean;
  readonly onPositionError: PositionErrorAction;
  /** Whether positions without labels count for any labels of their path. */
  readonly legacy: boolean;
  readonly accounts: BatchAccounts;
  deliver(batch: LogBatch): void | Promise<void>;
  /** Has `step` called soon. */
  wake(tail: Tail): void;
  /** Told when the name leads to another file, perhaps by other links. */
  opened(tail: Tail): void;
  /** Counts bytes that are gone before they were read. */
  lost(path: string, bytes: number, reason: LossReason): void;
  rotated(rotation: Rotation): void;
  /** A file cannot be read, or no longer. */
  failed(path: string, problem: string): void;
  /** Where a rotated file may be found again. */
  readonly inodes: DirectoryInodes;
  readonly holders: Holders;
  /** The tail of a present target with this path and these labels (as text). */
  tailOf(path: string, labels: string): Tail | undefined;
}

export type TailState = "waiting" | "running" | "failed";
