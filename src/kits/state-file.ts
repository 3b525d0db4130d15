import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, type Logger } from "#base/log";
import { makeFolder } from "#pipeline/make-folder";

/** A small file of a component's own, such as its positions, that is written anew as a whole. */
export class StateFile {
  readonly path: string;
  readonly #log: Logger;
  #saved: string | undefined;
  /** Why it cannot be written. */
  problem: string | undefined;

  constructor(path: string, log: Logger) {
    this.path = path;
    this.#log = log;
  }

  /** The file's text; undefined if there is none. Rejects if it is there and cannot be read. */
  async load(): Promise<{ readonly text: string; readonly modified: number } | undefined> {
    const found = await readIfThere(this.path);
    this.#saved = found?.text;
    return found;
  }

  /** Puts a synced file with this text in the place of the old one, unless that says the same. Never rejects. */
  async save(text: string): Promise<void> {
    if (text === this.#saved) return;
    const temporary = `${this.path}.tmp`;
    try {
      await makeFolder(dirname(this.path), 0o750);
      const handle = await open(temporary, "w", 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.path);
      this.#saved = text;
      this.problem = undefined;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      if (this.problem === undefined) this.#log.warn("cannot save the position", { path: this.path, error });
      this.problem = `cannot save the position: ${errorText(error)}; after a restart entries would be sent again. Free space or mend ${this.path}`;
    }
  }
}

/** A file's text and when it was modified (epoch ms); undefined if it is not there. */
export async function readIfThere(path: string): Promise<{ text: string; modified: number } | undefined> {
  try {
    return { text: await readFile(path, "utf8"), modified: (await stat(path)).mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(`${path} is there but cannot be read; nothing is read, so as not to send everything again`, {
      cause: error,
    });
  }
}
