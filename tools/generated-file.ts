import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Writes generated files, or with `--check` only compares them: a file that would change is reported and the process
 * ends with 1, so that CI notices what was not generated again.
 */
export class GeneratedFiles {
  readonly #root: string;
  readonly #checkOnly: boolean;
  readonly #command: string;
  readonly #stale: string[] = [];
  readonly #written = new Set<string>();

  constructor(root: string, command: string, checkOnly = process.argv.includes("--check")) {
    this.#root = root;
    this.#command = command;
    this.#checkOnly = checkOnly;
  }

  /** `path` is relative to the root of the repository. */
  write(path: string, content: string): void {
    const file = join(this.#root, path);
    this.#written.add(path);
    if (existsSync(file) && readFileSync(file, "utf8") === content) return;
    if (this.#checkOnly) this.#stale.push(path);
    else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
  }

  /** Removes the files of a folder with this extension that were not written. */
  removeOthers(folder: string, extension: string): void {
    const absolute = join(this.#root, folder);
    if (!existsSync(absolute)) return;
    for (const name of readdirSync(absolute)) {
      const path = `${folder}/${name}`;
      if (!name.endsWith(extension) || this.#written.has(path)) continue;
      if (this.#checkOnly) this.#stale.push(path);
      else rmSync(join(this.#root, path));
    }
  }

  /** Reports the outcome and sets the exit code. */
  finish(): void {
    if (this.#stale.length === 0) return;
    for (const path of this.#stale) process.stderr.write(`${path} is not up to date\n`);
    process.stderr.write(`run: ${this.#command}\n`);
    process.exitCode = 1;
  }
}
