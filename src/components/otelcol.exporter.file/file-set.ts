import { stat } from "node:fs/promises";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { OutputFile, type OutputOptions, type OutputRecord } from "./output-file.ts";

export type { Framing } from "./output-file.ts";

/** Files are taken for this agent's own, and not emptied, if they changed so shortly before it began (ms). */
const CLOCK_STEP_MS = 20;

export interface FileSetOptions extends Omit<OutputOptions, "truncates"> {
  readonly append: boolean;
  readonly maxOpenFiles: number;
}

type Context = Pick<ComponentContext, "clock" | "log" | "flow" | "run" | "signal">;

/** The files that are open, the last used last. */
export class FileSet {
  readonly #ctx: Context;
  readonly #options: FileSetOptions;
  readonly #files = new Map<string, OutputFile>();
  readonly #began: number;

  constructor(ctx: Context, options: FileSetOptions) {
    this.#ctx = ctx;
    this.#options = options;
    this.#began = Date.now() - CLOCK_STEP_MS;
  }

  /** Begins to open a file, so that what is wrong with it is said before data comes. */
  async open(path: string): Promise<void> {
    await this.#file(path);
  }

  /** Resolves once the file's buffer has the record. Rejects with the signal's reason. */
  async write(path: string, record: OutputRecord, signal: AbortSignal): Promise<void> {
    // One that was closed for want of room in this moment is opened again.
    while (!(await (await this.#file(path)).add(record, signal)));
  }

  /** The flow rule about files that cannot be written. */
  judge(): Judgement {
    const problems = [...this.#files.values()].map(({ problem }) => problem).filter((each) => each !== undefined);
    if (problems.length === 0) return undefined;
    if (problems.length === this.#files.size) return { state: "failing", cause: problems[0]! };
    return { state: "degraded", cause: `${problems.length} of ${this.#files.size} files: ${problems[0]!}` };
  }

  async flush(deadline: AbortSignal): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.flush(deadline)));
  }

  /** Returns how many items were not written. */
  async close(): Promise<number> {
    const lost = await Promise.all([...this.#files.values()].map((file) => file.close()));
    this.#files.clear();
    return lost.reduce((sum, items) => sum + items, 0);
  }

  async #file(path: string): Promise<OutputFile> {
    let file = this.#files.get(path);
    if (file !== undefined) {
      this.#files.delete(path);
      this.#files.set(path, file);
      return file;
    }
    const { append, rotation, maxOpenFiles } = this.#options;
    // One that this component closed for want of room must not lose what it wrote.
    const isOwn = await stat(path).then(
      ({ mtimeMs }) => mtimeMs >= this.#began,
      () => false,
    );
    const raced = this.#files.get(path);
    if (raced !== undefined) return raced;
    const truncates = !append && rotation === undefined && !isOwn;
    file = new OutputFile(this.#ctx, path, { ...this.#options, truncates });
    this.#files.set(path, file);
    for (const [oldest, each] of this.#files) {
      if (this.#files.size <= maxOpenFiles) break;
      if (!each.isIdle) continue;
      this.#files.delete(oldest);
      await each.close();
    }
    return file;
  }
}
