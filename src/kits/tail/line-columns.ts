import type { Labels } from "#base/labels";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NS_PER_MS = 1_000_000;

/** The time of the last entry of a stream, so that entries of one stream never share a time: Loki would take equal lines for one. */
export interface LastTime {
  ms: number;
  ns: number;
}

/** Columns of a log batch that are filled again for each chunk of a file. One batch at a time is lent out. */
export class LineColumns {
  #start = new Int32Array(4096);
  #end = new Int32Array(4096);
  #ms = new Float64Array(4096);
  #ns = new Int32Array(4096);
  #stream = new Int32Array(4096);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Splits `data[from, to)` at newlines; what follows the last one is a line too. A carriage return before a newline goes. */
  split(data: Buffer, from: number, to: number): void {
    let count = 0;
    let at = from;
    while (at < to) {
      let end = data.indexOf(NEWLINE, at);
      if (end < 0 || end >= to) end = to;
      if (count === this.#start.length) this.#grow();
      this.#start[count] = at;
      this.#end[count] = end > at && data[end - 1] === CARRIAGE_RETURN ? end - 1 : end;
      count += 1;
      at = end + 1;
    }
    this.#count = count;
  }

  /** The split lines as a batch of one stream, a nanosecond apart from `nowMs` on, or from `last` if that is later. */
  batch(data: Uint8Array, labels: Labels, nowMs: number, last: LastTime, acknowledgement: Acknowledgement): LogBatch {
    const count = this.#count;
    let ms = Math.floor(nowMs);
    let ns = Math.floor((nowMs - ms) * NS_PER_MS);
    if (ms < last.ms || (ms === last.ms && ns <= last.ns)) {
      ms = last.ms;
      ns = last.ns + 1;
    }
    for (let i = 0; i < count; i++, ns++) {
      if (ns >= NS_PER_MS) {
        ms += 1;
        ns = 0;
      }
      this.#ms[i] = ms;
      this.#ns[i] = ns;
    }
    last.ms = ms;
    last.ns = ns - 1;
    return {
      signal: "logs",
      count,
      data,
      start: this.#start,
      end: this.#end,
      ms: this.#ms,
      ns: this.#ns,
      stream: this.#stream.fill(0, 0, count),
      streams: [labels],
      metadata: undefined,
      acknowledgement,
    };
  }

  #grow(): void {
    const size = this.#start.length * 2;
    const copy = <T extends Int32Array | Float64Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.#start = copy(new Int32Array(size), this.#start);
    this.#end = copy(new Int32Array(size), this.#end);
    this.#ms = new Float64Array(size);
    this.#ns = new Int32Array(size);
    this.#stream = new Int32Array(size);
  }
}
