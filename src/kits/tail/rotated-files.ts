import type { Clock } from "#base/clock";
import { isSystemError } from "./file-io.ts";
import { fileKey } from "./holders.ts";
import type { OpenFile, ReadSlot } from "./open-file.ts";

/** How long a file that lost its name is read on, since its writer may take a moment to notice. */
const LINGER_MS = 5_000;
/** Rotated files of one path that are held open; those after them are found by their names once there is room. */
const MAX_HELD = 64;

/** The files that lost the name of one path and are not read to their end: all are held open. */
export class RotatedFiles {
  /** Oldest first, each with the time until which it is read on (monotonic ms). */
  readonly #files: { readonly file: OpenFile; until: number }[] = [];
  readonly #clock: Clock;
  /** Lets go of a file that was read to its end. */
  readonly #finish: (file: OpenFile) => Promise<void>;

  constructor(clock: Clock, finish: (file: OpenFile) => Promise<void>) {
    this.#clock = clock;
    this.#finish = finish;
  }

  get files(): OpenFile[] {
    return this.#files.map(({ file }) => file);
  }

  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  get isFull(): boolean {
    return this.#files.length >= MAX_HELD;
  }

  /** How many have something to read. */
  get unread(): number {
    return this.#files.filter(({ file }) => file.size > file.offset).length;
  }

  /** Adds the newest one. `lingers`: its writer may still have it open. */
  add(file: OpenFile, lingers: boolean): void {
    this.#files.push({ file, until: this.#clock.monotonic() + (lingers ? LINGER_MS : 0) });
  }

  /** Takes out the file that `other` is too, if it is among them. */
  take(other: OpenFile, isWanted: (file: OpenFile) => boolean): OpenFile | undefined {
    const index = this.#files.findIndex(({ file }) => fileKey(file) === fileKey(other) && isWanted(file));
    return index < 0 ? undefined : this.#files.splice(index, 1)[0]!.file;
  }

  takeAll(): OpenFile[] {
    return this.#files.splice(0).map(({ file }) => file);
  }

  /** Reads the oldest one that has something. Resolves to whether it got any further. Rejects if a batch was not accepted. */
  async read(slot: ReadSlot): Promise<boolean> {
    for (let i = 0; i < this.#files.length; ) {
      const old = this.#files[i]!;
      let read = false;
      try {
        read = await old.file.read(slot);
      } catch (error) {
        if (!isSystemError(error)) throw error;
        old.until = 0;
      }
      if (read) return true;
      if (this.#clock.monotonic() < old.until) {
        i += 1; // its writer may add to it; those that were rotated after it do not wait for that
        continue;
      }
      // What its writer left without a newline is the last line.
      try {
        await old.file.read(slot, { flush: true });
      } catch (error) {
        if (!isSystemError(error)) throw error;
      }
      const index = this.#files.indexOf(old);
      if (index < 0) continue; // it has its name again
      this.#files.splice(index, 1);
      await this.#finish(old.file);
    }
    return false;
  }
}
