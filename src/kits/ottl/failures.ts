import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import type { OttlError } from "./value.ts";

/** A statement that fails is told of in the log at most this often, and counts as failing for this long (ms). */
const LOG_INTERVAL_MS = 60_000;
const RECENT_MS = 300_000;

interface Row {
  /** Failures that the log has not told of. */
  unlogged: number;
  loggedAt: number;
  last: number;
  /** Since there was no failure for a while before. */
  since: number;
  failures: number;
  message: string;
}

/** Statements and conditions that fail on some of the data, for the log and the flow status. */
export class StatementFailures {
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  readonly #rows = new Map<string, Row>();

  constructor(ctx: Pick<ComponentContext, "clock" | "log">) {
    this.#ctx = ctx;
  }

  /** One failure, which the component passes over. */
  add(text: string, error: OttlError): void {
    const now = this.#ctx.clock.now();
    let row = this.#rows.get(text);
    if (row === undefined) {
      row = { unlogged: 0, loggedAt: -Infinity, last: -Infinity, since: now, failures: 0, message: "" };
      this.#rows.set(text, row);
    }
    if (now - row.last > RECENT_MS) {
      row.since = now;
      row.failures = 0;
    }
    row.last = now;
    row.failures += 1;
    row.unlogged += 1;
    row.message = error.message;
    if (now - row.loggedAt < LOG_INTERVAL_MS) return;
    this.#ctx.log.warn("a statement failed and was passed over", {
      statement: text,
      error: row.message,
      times: row.unlogged,
    });
    row.loggedAt = now;
    row.unlogged = 0;
  }

  /** Degraded while a statement failed in the last minutes. */
  judge(): Judgement {
    const now = this.#ctx.clock.now();
    const recent = [...this.#rows].filter(([, row]) => now - row.last <= RECENT_MS);
    if (recent.length === 0) return undefined;
    const [text, row] = recent.sort(([, a], [, b]) => b.failures - a.failures)[0]!;
    const others = recent.length === 1 ? "" : `, and ${recent.length - 1} others fail too`;
    return {
      state: "degraded",
      cause: `${text} failed on ${row.failures} items and was passed over: ${row.message}${others}; give it a where clause that leaves those items out, or mend it`,
    };
  }
}
