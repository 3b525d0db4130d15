import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#base/clock";
import type { OtlpKind } from "#formats/otlp/otlp";
import { s } from "#lang/schema";
import { DiskQueue, DiskQueueError, type DiskQueueOptions } from "#pipeline/disk-queue";
import { makeFolder } from "#pipeline/make-folder";

/**
 * What `otelcol.storage.file` exports as `handler` and what exporters with `storage` keep their queues in. Matches
 * extension/storage/filestorage of the Collector in its arguments; the files are those of `#pipeline/disk-queue`.
 */

/** Names of the files in which Alloy keeps such queues begin with this. */
const ALLOY_PREFIX = "exporter_";
const LOCK_PAUSE_MS = 100;

export interface StorageOptions {
  readonly directory: string;
  /** How long the folder of a queue may be in use by somebody else before that is a failure (ms). */
  readonly timeoutMs: number;
  /** Force each write to the disk before it counts. */
  readonly fsync: boolean;
  /** Make the directory with these permissions; undefined: it must be there. */
  readonly permissions: number | undefined;
}

/** The settings of a queue that are its owner's and not its storage's. */
export type StoredQueueOptions = Pick<DiskQueueOptions, "onDrop" | "onStatus" | "onNotice" | "clock">;

/** The value in the capsule. */
export class StorageHandler {
  readonly componentId: string;
  readonly #options: StorageOptions;

  constructor(componentId: string, options: StorageOptions) {
    this.componentId = componentId;
    this.#options = options;
  }

  /** Where the queue of one signal of a component is. */
  folder(componentId: string, kind: OtlpKind): string {
    return join(this.#options.directory, safeName(componentId), kind);
  }

  /** Makes the directory if it may. Rejects with a DiskQueueError that says what to do. */
  async prepare(): Promise<void> {
    const { directory, permissions } = this.#options;
    try {
      if (permissions !== undefined) await makeFolder(directory, permissions);
      else if (!(await stat(directory)).isDirectory()) throw new DiskQueueError(`${directory} is not a folder`);
    } catch (error) {
      if (error instanceof DiskQueueError) throw error;
      const { code, message } = error as NodeJS.ErrnoException;
      throw new DiskQueueError(explain(code, message, directory), { cause: error });
    }
  }

  /** Opens the queue of one signal of a component, with a reader of the same name as the signal. Rejects with a DiskQueueError. */
  async open(componentId: string, kind: OtlpKind, clock: Clock, options: StoredQueueOptions): Promise<DiskQueue> {
    await this.prepare();
    const { fsync, timeoutMs } = this.#options;
    const since = clock.monotonic();
    for (;;) {
      try {
        return await DiskQueue.open(this.folder(componentId, kind), {
          ...options,
          clock,
          readers: [kind],
          // `queue_size` is the bound.
          maxBytes: Infinity,
          ...(fsync && { syncIntervalMs: 0 }),
        });
      } catch (error) {
        const isHeld = error instanceof DiskQueueError && error.message.includes("is in use by");
        if (!isHeld || clock.monotonic() - since >= timeoutMs) throw error;
        await clock.sleep(LOCK_PAUSE_MS);
      }
    }
  }

  /** The file in which Alloy left data of this signal; undefined if there is none. */
  async alloyFile(componentId: string, kind: OtlpKind): Promise<string | undefined> {
    const end = `_${safeName(componentId)}_${kind}`;
    const names = await readdir(this.#options.directory).catch(() => []);
    const found = names.find((name) => name.startsWith(ALLOY_PREFIX) && name.endsWith(end));
    return found === undefined ? undefined : join(this.#options.directory, found);
  }
}

/** The `storage` argument of sending queues. */
export const storageArgument = () => s.capsule<StorageHandler>("otelcol.ExtensionHandler").optional();

/** The exports of storage components. */
export const storageExports = s.object({ handler: s.capsule<StorageHandler>("otelcol.ExtensionHandler") });

/** A component's id as a file name: other characters than letters, digits, `.`, `-` and `_` as `~` and four digits. */
function safeName(id: string): string {
  return id.replace(/[^A-Za-z0-9._-]/gu, (c) => `~${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`);
}

function explain(code: string | undefined, message: string, directory: string): string {
  switch (code) {
    case "ENOENT":
      return `the directory ${directory} is not there: make it, or set create_directory = true`;
    case "EACCES":
    case "EPERM":
      return `no permission to use ${directory}: give the agent's user access, or choose another \`directory\``;
    case "EEXIST":
    case "ENOTDIR":
      return `a file is in the way of the folder ${directory}: move it, or choose another \`directory\``;
    default:
      return `cannot use the directory ${directory}: ${message}`;
  }
}
