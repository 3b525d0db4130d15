import type { Clock } from "#base/clock";
import type { DirectoryInodes } from "./directory-inodes.ts";
import type { Position, Positions } from "./positions.ts";

const SWEEP_INTERVAL_MS = 10 * 60_000;

/**
 * Forgets files that are nobody's target any longer and that their folder has under no name. A file is looked for twice,
 * since a folder may be read in the middle of a rotation, and a volume may be away for a moment.
 */
export class PositionSweep {
  readonly #positions: Positions;
  readonly #inodes: DirectoryInodes;
  readonly #isFollowed: (position: Position) => boolean;
  #missing = new Set<Position>();

  constructor(positions: Positions, inodes: DirectoryInodes, isFollowed: (position: Position) => boolean) {
    this.#positions = positions;
    this.#inodes = inodes;
    this.#isFollowed = isFollowed;
  }

  /** Sweeps from time to time until `signal` is aborted. */
  async run(clock: Clock, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await clock.sleep(SWEEP_INTERVAL_MS, signal);
      } catch {
        return;
      }
      await this.sweep();
    }
  }

  async sweep(): Promise<void> {
    const before = this.#missing;
    this.#missing = new Set();
    for (const position of [...this.#positions.all()]) {
      const { path, labels, file } = position;
      if (file === undefined || this.#isFollowed(position)) continue;
      if ((await this.#inodes.find(path, file)) !== undefined) continue;
      if (before.has(position) && !this.#isFollowed(position)) this.#positions.remove(path, labels, file);
      else this.#missing.add(position);
    }
  }
}
