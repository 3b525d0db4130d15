import { roughDuration } from "#base/duration";

/** A difference below this is no reason to act: backends allow for as much, and a `Date` header has whole seconds only. */
const TOLERANCE_MS = 60_000;
/** One odd answer, from one server of several behind a balancer, is not a wrong clock. */
const ANSWERS = 2;

/**
 * Compares this machine's clock with that of a server, by the `Date` headers of its answers. Timestamps from a wrong
 * clock are refused as too old or too far in the future, and nothing else says why.
 */
export class ClockSkew {
  readonly #server: string;
  /** Milliseconds that this clock is ahead of the server's, at least; negative if it is behind. */
  #aheadMs = 0;
  #answers = 0;

  /** `server` is what messages call it. */
  constructor(server: string) {
    this.#server = server;
  }

  /** `date` is the answer's header; `sent` and `received` are this clock's times around the exchange, in epoch milliseconds. */
  observe(date: string | undefined, sent: number, received: number): void {
    const server = date === undefined ? NaN : Date.parse(date);
    if (Number.isNaN(server)) return;
    // The server wrote the header at some time in between, and cut its milliseconds off.
    const [least, most] = [sent - (server + 999), received - server];
    const ahead = Math.max(least, 0) + Math.min(most, 0);
    const isSkewed = Math.abs(ahead) > TOLERANCE_MS;
    this.#answers = isSkewed && Math.sign(ahead) === Math.sign(this.#aheadMs) ? this.#answers + 1 : Number(isSkewed);
    this.#aheadMs = ahead;
  }

  /** What is wrong and what to do; undefined while the clocks agree or nothing is known. */
  get problem(): string | undefined {
    if (this.#answers < ANSWERS) return undefined;
    const shown = roughDuration(this.#aheadMs);
    const side = this.#aheadMs > 0 ? "ahead of" : "behind";
    return (
      `this machine's clock is ${shown} ${side} that of ${this.#server}: timestamps are wrong by as much, and backends ` +
      "refuse what is too old or in the future; set the clock that is wrong, best by NTP"
    );
  }
}
