import { appendFileSync, copyFileSync, existsSync, renameSync, rmSync, truncateSync } from "node:fs";
import { sleep } from "./process.ts";

/** What stands before the number in each line; `countSequences` looks for it. */
export const SEQUENCE_MARKER = "seq=";

export interface LogWriterOptions {
  readonly linesPerWrite: number;
  readonly pauseMs: number;
  /** Lines after which the file is rotated; none if left out. */
  readonly rotateAfter?: number;
  /** Milliseconds after which it is rotated. */
  readonly rotateAfterMs?: number;
  /**
   * Asked before a rotation that is due, with the number of the last line before the one before; none at the first. The
   * rotation waits until it holds.
   */
  readonly mayRotate?: (cut: number | undefined) => boolean;
  /** `create` moves the file away, `copytruncate` copies and empties it. */
  readonly rotation?: "create" | "copytruncate";
  /** Rotated files that are kept, as `file.1`, `file.2` and so on. */
  readonly keep?: number;
  /** The number of the first line; 0 unless given. */
  readonly firstNumber?: number;
  /** From one number to the next; 1 unless given. */
  readonly step?: number;
}

/** Appends numbered lines to a file until it is told to stop, and rotates it as logrotate does. */
export class LogWriter {
  readonly #path: string;
  readonly #options: LogWriterOptions;
  readonly #running: Promise<void>;
  #stopped = false;
  /** The number of the next line: how many were written, if the first one was 0. */
  written: number;
  /** How many lines were written. */
  lines = 0;
  rotations = 0;
  #sinceRotation = 0;
  #rotatedMs = performance.now();
  #cut: number | undefined;

  constructor(path: string, options: LogWriterOptions) {
    this.#path = path;
    this.#options = options;
    this.written = options.firstNumber ?? 0;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { linesPerWrite, pauseMs, rotateAfter = Infinity, rotateAfterMs = Infinity, step = 1 } = this.#options;
    while (!this.#stopped) {
      let text = "";
      for (let i = 0; i < linesPerWrite; i++) {
        text += `${new Date().toISOString()} level=info msg="request served" ${SEQUENCE_MARKER}${this.written} path=/items\n`;
        this.written += step;
      }
      appendFileSync(this.#path, text);
      this.lines += linesPerWrite;
      this.#sinceRotation += linesPerWrite;
      const isDue = this.#sinceRotation >= rotateAfter || performance.now() - this.#rotatedMs >= rotateAfterMs;
      if (isDue && this.#options.mayRotate?.(this.#cut) !== false) this.#rotate();
      await sleep(pauseMs);
    }
  }

  #rotate(): void {
    this.#cut = this.written - (this.#options.step ?? 1);
    this.#sinceRotation = 0;
    this.#rotatedMs = performance.now();
    this.rotations += 1;
    const keep = this.#options.keep ?? 50;
    rmSync(`${this.#path}.${keep}`, { force: true });
    for (let i = keep - 1; i > 0; i--) {
      if (existsSync(`${this.#path}.${i}`)) renameSync(`${this.#path}.${i}`, `${this.#path}.${i + 1}`);
    }
    if (this.#options.rotation === "copytruncate") {
      copyFileSync(this.#path, `${this.#path}.1`);
      truncateSync(this.#path);
    } else renameSync(this.#path, `${this.#path}.1`);
  }
}
