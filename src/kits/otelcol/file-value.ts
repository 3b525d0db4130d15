import { readFile } from "node:fs/promises";

/** A file is read again when what was read is older than this. */
const FRESH_MS = 5_000;

/** The content of a file that somebody else may replace, such as a rotated secret. Surrounding white space is dropped. */
export class FileValue {
  readonly #path: string;
  readonly #now: () => number;
  #value: string | undefined;
  #readAt = -Infinity;

  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** Rejects when the file cannot be read and never could. */
  async get(): Promise<string> {
    if (this.#value !== undefined && this.#now() - this.#readAt < FRESH_MS) return this.#value;
    try {
      this.#value = (await readFile(this.#path, "utf8")).trim();
    } catch (error) {
      // In the middle of a rotation the old secret is better than none.
      if (this.#value === undefined) throw new Error(`cannot read ${this.#path}`, { cause: error });
    }
    this.#readAt = this.#now();
    return this.#value;
  }
}
