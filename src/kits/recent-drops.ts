const MINUTES = 5;
const MINUTE_MS = 60_000;

/** What is dropped stays in the status for this long. */
export const RECENT_DROPS_MS = MINUTES * MINUTE_MS;
/** The log names a reason for drops at most this often. */
const LOG_INTERVAL_MS = 60_000;

interface Row {
  /** Items in each of the last minutes, by the minute modulo their number. */
  readonly counts: Float64Array;
  /** The minute that was counted last. */
  minute: number;
  text: string;
  loggedAt: number;
  /** Items since the log named the reason last. */
  unlogged: number;
}

export interface RecentDrop {
  readonly reason: string;
  readonly items: number;
  /** Why, as the latest of them was explained. */
  readonly text: string;
}

/** Counts what was dropped in the last minutes, by reason, for the status and the log. Times are in epoch milliseconds. */
export class RecentDrops {
  readonly #rows = new Map<string, Row>();
  /** When the present row of drops began; nothing had been dropped for a while before. */
  #since = 0;
  #last = -Infinity;

  /** Returns how many items the log should tell of now; undefined if it has told of the reason lately. */
  add(reason: string, items: number, text: string, now: number): number | undefined {
    if (now - this.#last > RECENT_DROPS_MS) this.#since = now;
    this.#last = now;
    let row = this.#rows.get(reason);
    if (row === undefined) {
      row = { counts: new Float64Array(MINUTES), minute: 0, text, loggedAt: -Infinity, unlogged: 0 };
      this.#rows.set(reason, row);
    }
    advance(row, now);
    row.counts[row.minute % MINUTES]! += items;
    row.text = text;
    row.unlogged += items;
    if (now - row.loggedAt < LOG_INTERVAL_MS) return undefined;
    const { unlogged } = row;
    row.loggedAt = now;
    row.unlogged = 0;
    return unlogged;
  }

  get since(): number {
    return this.#since;
  }

  /** The most frequent first. */
  recent(now: number): readonly RecentDrop[] {
    const found: RecentDrop[] = [];
    for (const [reason, row] of this.#rows) {
      advance(row, now);
      const items = row.counts.reduce((sum, each) => sum + each, 0);
      if (items > 0) found.push({ reason, items, text: row.text });
      else this.#rows.delete(reason);
    }
    return found.sort((a, b) => b.items - a.items);
  }
}

function advance(row: Row, now: number): void {
  const minute = Math.floor(now / MINUTE_MS);
  if (minute - row.minute >= MINUTES || minute < row.minute) row.counts.fill(0);
  else for (let past = row.minute + 1; past <= minute; past++) row.counts[past % MINUTES] = 0;
  row.minute = minute;
}

/** `38 items as out_of_order and 2 as too_old in the last 5 min`. `noun` is what the items are. */
export function describeDrops(recent: readonly RecentDrop[], noun: string): string {
  const parts = recent.map(({ reason, items }, i) => `${items}${i === 0 ? ` ${noun}` : ""} as ${reason}`);
  return `${parts.join(" and ")} in the last ${MINUTES} min`;
}
