/** The agent's own log: key-value lines in logfmt or JSON under Alloy's keys. */

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Values are written with `String`; errors with their message and the messages of their causes; secrets redact themselves. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  enabled(level: LogLevel): boolean;
  /** A logger that adds `fields` to each line. */
  with(fields: LogFields): Logger;
}

/** One line before it is written. `time` is in epoch milliseconds. */
export interface LogRecord {
  readonly time: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: readonly (readonly [key: string, value: unknown])[];
}

/** Where records go. A sink's level and format may change while the agent runs, so loggers ask it each time. */
export interface LogSink {
  enabled(level: LogLevel): boolean;
  write(record: LogRecord): void;
}

export function createLogger(sink: LogSink, now: () => number = Date.now, context: LogRecord["fields"] = []): Logger {
  function write(level: LogLevel, message: string, fields: LogFields | undefined) {
    if (!sink.enabled(level)) return;
    const all = fields === undefined ? context : [...context, ...Object.entries(fields)];
    sink.write({ time: now(), level, message, fields: all });
  }
  return {
    debug: (message, fields) => write("debug", message, fields),
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
    enabled: (level) => sink.enabled(level),
    with: (fields) => createLogger(sink, now, [...context, ...Object.entries(fields)]),
  };
}

/** A record as one logfmt line without its newline: `ts=… level=info msg="…" key=value`. */
export function formatLogfmt(record: LogRecord): string {
  let line = `ts=${new Date(record.time).toISOString()} level=${record.level} msg=${logfmtValue(record.message)}`;
  for (const [key, value] of record.fields) line += ` ${key.replace(/[\s="]/g, "_")}=${logfmtValue(fieldText(value))}`;
  return line;
}

/** A record as one JSON object without a newline. */
export function formatJson(record: LogRecord): string {
  const pairs: [string, unknown][] = [
    ["ts", new Date(record.time).toISOString()],
    ["level", record.level],
    ["msg", record.message],
  ];
  for (const [key, value] of record.fields) {
    const plain = typeof value === "number" || typeof value === "boolean" || value === null;
    pairs.push([key, plain ? value : fieldText(value)]);
  }
  return `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
}

/** An error's message followed by those of its causes, but for what it says itself already. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name;
  if (error instanceof AggregateError && error.message === "" && error.errors.length > 0) {
    return error.errors.map(errorText).join("; ");
  }
  if (error.cause === undefined) return own;
  const cause = errorText(error.cause);
  if (cause.startsWith(own)) return cause;
  return own.includes(cause) ? own : `${own}: ${cause}`;
}

function fieldText(value: unknown): string {
  if (value instanceof Error) return errorText(value);
  if (Array.isArray(value)) return `[${value.map(fieldText).join(" ")}]`;
  return String(value);
}

function logfmtValue(text: string): string {
  if (text === "") return '""';
  return /[\s="\\\p{Cc}]/u.test(text) ? JSON.stringify(text) : text;
}
