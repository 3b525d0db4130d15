import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import type { Logger } from "#base/log";
import type { LogBatch } from "#pipeline/batch";
import type { BatchAccounts } from "./commit-queue.ts";
import type { DirectoryInodes } from "./directory-inodes.ts";
import type { FileEncoding } from "./encoding.ts";
import type { Positions } from "./positions.ts";
import type { Tail } from "./tail.ts";

export interface TailTarget {
  readonly path: string;
  /** The target's labels without those that begin with two underscores. */
  readonly labels: Labels;
}

export type PositionErrorAction = "skip" | "restart_from_beginning" | "restart_from_end";

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
  /** Counts bytes that are gone before they were read. */
  lost(path: string, bytes: number, reason: "truncated" | "replaced"): void;
  rotated(path: string): void;
  /** A file cannot be read, or no longer. */
  failed(path: string, problem: string): void;
  /** Where a rotated file may be found again. */
  readonly inodes: DirectoryInodes;
  /** Who holds which files open, by device and inode. */
  readonly holders: Map<string, Set<Tail>>;
  /** Whether there is a target of its own for this path with these labels. */
  isTarget(path: string, labels: Labels): boolean;
}

export type TailState = "waiting" | "running" | "failed";
