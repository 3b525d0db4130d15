import { readFile, stat } from "node:fs/promises";

/** Files that are looked at for each use and read again only when they changed. */
export class WatchedFiles {
  readonly #known = new Map<string, { readonly version: string; readonly content: Buffer }>();

  /** The file's bytes. Rejects with an error that names the argument, the file and what to do. */
  async read(path: string, argument: string): Promise<Buffer> {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const version = `${mtimeMs} ${size} ${ino}`;
      const known = this.#known.get(path);
      if (known?.version === version) return known.content;
      const content = await readFile(path);
      this.#known.set(path, { version, content });
      return content;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why =
        code === "ENOENT"
          ? "it does not exist"
          : code === "EACCES"
            ? "the agent's user has no permission to read it"
            : (error as Error).message;
      throw new Error(`cannot read ${argument} ${path}: ${why}`, { cause: error });
    }
  }

  /** The file's text without white space around it, as secrets are stored. */
  async readSecret(path: string, argument: string): Promise<string> {
    return (await this.read(path, argument)).toString("utf8").trim();
  }
}
