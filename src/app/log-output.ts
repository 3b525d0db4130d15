import { writeSync } from "node:fs";
import { Labels } from "#base/labels";
import { formatJson, formatLogfmt, LOG_LEVELS, type LogLevel, type LogRecord, type LogSink } from "#base/log";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import type { BlockHandler } from "#runtime/environment";
import { withoutUrlSecrets } from "./api/redact.ts";

interface LoggingArguments {
  readonly level: LogLevel;
  readonly format: "logfmt" | "json";
  readonly destination: string;
  readonly write_to: readonly Consumer<"logs">[];
}

/** The labels under which Alloy sends its own log. */
const OWN_LABELS = Labels.from([["component", "alloy"]]);

const DEFAULTS: LoggingArguments = { level: "info", format: "logfmt", destination: "stderr", write_to: [] };

/** Lines kept from before the configuration is known, and for the support bundle. */
const KEPT_LINES = 1_000;
/** Lines that wait for the consumers of `write_to`; older ones are dropped, since logging must never stop the agent. */
const WAITING_LINES = 10_000;

/** Writes the agent's log to standard error and to the `write_to` of the `logging` block, which it carries out. */
export class LogOutput implements LogSink, BlockHandler {
  #arguments = DEFAULTS;
  readonly #write: (text: string) => void;
  readonly #recent: string[] = [];
  #waiting: LogRecord[] = [];
  #sending = false;
  /** Lines that `write_to` was too slow for. */
  dropped = 0;

  constructor(write: (text: string) => void = writeToStderr) {
    this.#write = write;
  }

  apply(args: unknown): void {
    this.#arguments = (args as LoggingArguments | undefined) ?? DEFAULTS;
  }

  /** The last lines, oldest first. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#arguments.level);
  }

  write(record: LogRecord): void {
    const line = this.#format(record);
    this.#recent.push(line);
    if (this.#recent.length > KEPT_LINES) this.#recent.shift();
    this.#write(`${line}\n`);
    if (this.#arguments.write_to.length === 0) return;
    this.#waiting.push(record);
    if (this.#waiting.length > WAITING_LINES) {
      this.#waiting.shift();
      this.dropped += 1;
    }
    if (!this.#sending) {
      this.#sending = true;
      setImmediate(() => void this.#send());
    }
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const records = this.#waiting.splice(0, 500);
      const consumers = this.#arguments.write_to;
      await Promise.allSettled(
        consumers.map(async (consumer) => consumer.consume(this.#batch(records), AbortSignal.timeout(30_000))),
      );
    }
    this.#sending = false;
  }

  #format(record: LogRecord): string {
    const line = this.#arguments.format === "json" ? formatJson(record) : formatLogfmt(record);
    // Errors of servers and libraries may quote URLs with passwords in them.
    return withoutUrlSecrets(line);
  }

  #batch(records: readonly LogRecord[]): LogBatch {
    const lines = records.map((record) => Buffer.from(this.#format(record)));
    const count = lines.length;
    const start = new Int32Array(count);
    const end = new Int32Array(count);
    let offset = 0;
    for (const [i, line] of lines.entries()) {
      start[i] = offset;
      offset += line.length;
      end[i] = offset;
    }
    return {
      signal: "logs",
      count,
      data: Buffer.concat(lines),
      start,
      end,
      ms: Float64Array.from(records, (record) => Math.floor(record.time)),
      ns: new Int32Array(count),
      stream: new Int32Array(count),
      streams: [OWN_LABELS],
      metadata: undefined,
      acknowledgement: Acknowledgement.none,
    };
  }
}

/** Synchronous, so that the last words of a dying process are seen; a full pipe drops the line rather than the agent. */
function writeToStderr(text: string): void {
  try {
    writeSync(2, text);
  } catch {
    // nobody reads standard error
  }
}
