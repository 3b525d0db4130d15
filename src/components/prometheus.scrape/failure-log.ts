import { appendFile } from "node:fs/promises";
import { errorText, type Logger } from "#base/log";

/** Lines that wait at most while the file takes nothing. */
const MAX_WAITING = 1_000;

/** Appends one JSON object a failed scrape to a file, as Prometheus's scrape failure log does. */
export class FailureLog {
  readonly #log: Logger;
  readonly #now: () => number;
  #path = "";
  #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #failed = false;

  constructor(log: Logger, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** The file; empty for none. */
  set path(path: string) {
    this.#path = path;
    this.#failed = false;
  }

  write(job: string, url: string, error: Error): void {
    if (this.#path === "" || this.#waiting.length >= MAX_WAITING) return;
    const time = new Date(this.#now()).toISOString();
    this.#waiting.push(`${JSON.stringify({ time, level: "ERROR", msg: error.message, job_name: job, target: url })}\n`);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when everything is written that can be. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting.splice(0).join("");
      try {
        await appendFile(this.#path, lines);
        this.#failed = false;
      } catch (error) {
        if (!this.#failed) {
          this.#log.error("cannot write the scrape failure log", { path: this.#path, error: errorText(error) });
        }
        this.#failed = true;
      }
    }
  }
}
