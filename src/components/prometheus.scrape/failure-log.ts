import { appendFile } from "node:fs/promises";
import { errorText, type Logger } from "#base/log";
import type { Judgement } from "#pipeline/flow";

/** Lines that wait at most while the file takes nothing. */
const MAX_WAITING = 1_000;

/**
 * Appends one JSON object a failed scrape to a file, as Prometheus's scrape failure log does. The file is opened for each
 * piece that is written, so that it may be renamed or removed at any time: the next line begins another.
 */
export class FailureLog {
  readonly #log: Logger;
  readonly #now: () => number;
  #path = "";
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  /** Why the last piece was not written. */
  #problem = "";
  /** Lines that were left out since the file was last written. */
  #missing = 0;

  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** The file; empty for none. */
  set path(path: string) {
    if (path === this.#path) return;
    this.#path = path;
    this.#problem = "";
    this.#missing = 0;
  }

  write(job: string, url: string, error: Error): void {
    if (this.#path === "") return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#missing += 1;
      return;
    }
    const time = new Date(this.#now()).toISOString();
    this.#waiting.push(`${JSON.stringify({ time, level: "ERROR", msg: error.message, job_name: job, target: url })}\n`);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** The flow rule: the file cannot be written. */
  judge(): Judgement {
    if (this.#problem === "") return undefined;
    const cause =
      `failed scrapes cannot be logged to ${this.#path}: ${this.#problem}; ${this.#missing} lines were left out: ` +
      "let the agent's user write there, make room, or take scrape_failure_log_file away";
    return { state: "degraded", cause };
  }

  /** Resolves when everything is written that can be. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.splice(0);
      const path = this.#path;
      if (path === "") return;
      try {
        await appendFile(path, lines.join(""));
        this.#problem = "";
        this.#missing = 0;
      } catch (error) {
        if (this.#problem === "") {
          this.#log.error("cannot write the scrape failure log", { path, error: errorText(error) });
        }
        this.#problem = errorText(error);
        this.#missing += lines.length;
      }
    }
  }
}
