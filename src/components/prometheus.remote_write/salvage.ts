import type { Labels } from "#base/labels";

/** Requests that one search may cost: enough to find one bad sample among thousands. */
const MAX_REQUESTS = 26;
/** Searches of an endpoint in a minute; backends that refuse everything are not flooded. */
const SEARCHES_PER_MINUTE = 20;
const MINUTE_MS = 60_000;

/** The TimeSeries `from` … `to` − 1 of a request. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

export interface Salvaged {
  readonly delivered: number;
  /** A series that the backend refused by itself; undefined if none was found. */
  readonly culprit: Labels | undefined;
}

/**
 * Delivers what a backend takes of a request that it rejected as a whole because of some samples, as Prometheus 2 does:
 * halves it again and again. Bounded, so that samples are still lost when many of them are bad.
 */
export class Salvage {
  readonly #now: () => number;
  #minute = 0;
  #searches = 0;

  /** `now` is monotonic. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `send` delivers a part of the request; whether the backend took it. `part` itself was rejected. */
  async deliver(
    request: { labels(index: number): Labels },
    part: Part,
    send: (part: Part) => Promise<boolean>,
  ): Promise<Salvaged> {
    if (part.to - part.from === 1) return { delivered: 0, culprit: request.labels(part.from) };
    if (!this.mayTry()) return { delivered: 0, culprit: undefined };
    let delivered = 0;
    let culprit: Labels | undefined;
    // The halves of what was rejected; the smallest first, so that one series is found before the requests are used up.
    const open: Part[] = halves(part);
    for (let requests = 0; requests < MAX_REQUESTS && open.length > 0; requests++) {
      const next = open.pop()!;
      if (await send(next)) delivered += next.to - next.from;
      else if (next.to - next.from > 1) open.push(...halves(next));
      else culprit ??= request.labels(next.from);
    }
    return { delivered, culprit };
  }

  /** Whether there may be one more search in this minute, which then counts. */
  mayTry(): boolean {
    const minute = Math.floor(this.#now() / MINUTE_MS);
    if (minute !== this.#minute) this.#searches = 0;
    this.#minute = minute;
    this.#searches += 1;
    return this.#searches <= SEARCHES_PER_MINUTE;
  }
}

/** The later half first: from a stack the earlier one comes first, so that samples of a series stay in order. */
export function halves({ from, to }: Part): [Part, Part] {
  const middle = Math.ceil((from + to) / 2);
  return [
    { from: middle, to },
    { from, to: middle },
  ];
}
