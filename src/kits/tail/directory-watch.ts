import { type FSWatcher, watch } from "node:fs";

/** More events a second than this from one directory cost more than looking at its files now and then. */
const STORM_EVENTS_PER_SECOND = 500;
const REOPEN_AFTER_MS = 10_000;

interface Watched {
  /** Events come, but not for all changes. */
  isRemote: boolean;
  watcher: FSWatcher | undefined;
  users: number;
  events: number;
  windowStart: number;
  reopenAt: number;
}

/**
 * Tells when something happened to a file in one of many directories. A directory that cannot be watched (too many
 * watches), whose file system does not tell of all changes or that never rests is reported as not watched; its files have
 * to be polled.
 */
export class DirectoryWatch {
  readonly #directories = new Map<string, Watched>();
  /** `name` null: anything may have happened, or the directory is not watched from now on. */
  readonly #onEvent: (directory: string, name: string | null) => void;
  readonly #now: () => number;
  readonly #isRemote: (directory: string) => Promise<boolean>;

  constructor(
    onEvent: (directory: string, name: string | null) => void,
    now: () => number,
    isRemote: (directory: string) => Promise<boolean>,
  ) {
    this.#onEvent = onEvent;
    this.#now = now;
    this.#isRemote = isRemote;
  }

  /** Begins to watch, or counts one more user. */
  add(directory: string): void {
    const known = this.#directories.get(directory);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    const windowStart = this.#now();
    const watched = { isRemote: false, watcher: undefined, users: 1, events: 0, windowStart, reopenAt: 0 };
    this.#directories.set(directory, watched);
    this.#open(directory, watched);
    void this.#isRemote(directory).then((isRemote) => {
      watched.isRemote = isRemote;
      if (isRemote) this.#onEvent(directory, null);
    });
  }

  release(directory: string): void {
    const watched = this.#directories.get(directory);
    if (watched === undefined) return;
    watched.users -= 1;
    if (watched.users > 0) return;
    watched.watcher?.close();
    this.#directories.delete(directory);
  }

  /** Whether events of this directory can be relied on now. Opens its watch again after a pause. */
  isWatched(directory: string): boolean {
    const watched = this.#directories.get(directory);
    if (watched === undefined) return false;
    if (watched.watcher === undefined && this.#now() >= watched.reopenAt) this.#open(directory, watched);
    return watched.watcher !== undefined && !watched.isRemote;
  }

  close(): void {
    for (const watched of this.#directories.values()) watched.watcher?.close();
    this.#directories.clear();
  }

  #open(directory: string, watched: Watched): void {
    watched.reopenAt = this.#now() + REOPEN_AFTER_MS;
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => this.#event(directory, watched, name));
      watcher.on("error", () => this.#shut(directory, watched));
      watched.watcher = watcher;
    } catch {
      watched.watcher = undefined;
    }
  }

  #event(directory: string, watched: Watched, name: string | null): void {
    const now = this.#now();
    if (now - watched.windowStart > 1000) {
      watched.windowStart = now;
      watched.events = 0;
    }
    watched.events += 1;
    if (watched.events > STORM_EVENTS_PER_SECOND) this.#shut(directory, watched);
    else this.#onEvent(directory, name);
  }

  #shut(directory: string, watched: Watched): void {
    watched.watcher?.close();
    watched.watcher = undefined;
    watched.reopenAt = this.#now() + REOPEN_AFTER_MS;
    // Who relied on events has to poll now.
    this.#onEvent(directory, null);
  }
}
