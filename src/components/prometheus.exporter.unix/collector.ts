import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { Page } from "#kits/exporter/page";
import type { UnixArguments } from "./arguments.ts";
import type { HostFiles } from "./files.ts";

/** One source of host metrics, as `enable_collectors` names it. */
export interface CollectorDefinition {
  readonly name: string;
  /** Whether node_exporter runs it when nothing is said about it. */
  readonly enabledByDefault: boolean;
  /** Reads what cannot change while the host runs. Throws for arguments that the schema cannot judge. */
  create(options: CollectorOptions): Collector;
}

export interface CollectorOptions {
  readonly args: UnixArguments;
  readonly files: HostFiles;
  readonly log: Logger;
  readonly clock: Clock;
  /** Whether another collector runs too. */
  isEnabled(name: string): boolean;
}

export interface Collector {
  /**
   * Adds the current samples. Throws `NoDataError` where the host does not have the subject at all, any other error
   * where reading failed; samples that were added before count in both cases.
   */
  collect(page: Page): void | Promise<void>;
  /** What it could not read the last time although it went on; undefined if that was nothing. */
  readonly problem?: string | undefined;
  /** Gives back what the collector holds open. */
  close?(): void;
}

/** The host has nothing to say about the collector's subject; not worth a line in the log. */
export class NoDataError extends Error {
  override readonly name = "NoDataError";
}
