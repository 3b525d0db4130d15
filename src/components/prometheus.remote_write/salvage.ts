import type { Labels } from "#base/labels";
import { ProtoReader } from "#formats/protobuf";
import { compress, uncompress } from "#formats/snappy";
import { decodeLabels } from "#pipeline/series-labels";

/** The largest fragment there is. */
const MAX_BYTES = 256 * 1024 ** 2;
/** Requests that one fragment may cost: enough to find one bad sample among thousands. */
const MAX_REQUESTS = 26;
/** Fragments of an endpoint that are taken apart in a minute; backends that refuse everything are not flooded. */
const FRAGMENTS_PER_MINUTE = 20;
const MINUTE_MS = 60_000;

/** A part of a fragment: the TimeSeries messages from `from` to `to`. */
interface Part {
  readonly from: number;
  readonly to: number;
}

export interface Salvaged {
  readonly delivered: number;
  /** A series that the backend refused by itself; undefined if none was found. */
  readonly culprit: Labels | undefined;
}

/**
 * Delivers what a backend takes of a fragment that it rejected as a whole because of some samples, as Prometheus 2 does:
 * halves it again and again. Bounded, so that samples are still lost when many of them are bad.
 */
export class Salvage {
  readonly #now: () => number;
  #minute = 0;
  #fragments = 0;

  /** `now` is monotonic. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `send` delivers a compressed request of so many samples; whether the backend took it. */
  async deliver(
    fragment: Uint8Array,
    send: (body: Uint8Array, samples: number) => Promise<boolean>,
  ): Promise<Salvaged> {
    const request = new SplitRequest(uncompress(fragment, MAX_BYTES));
    const { count } = request;
    if (count === 1) return { delivered: 0, culprit: request.labels(0) };
    if (!this.#allowed()) return { delivered: 0, culprit: undefined };
    let delivered = 0;
    let culprit: Labels | undefined;
    // The halves of what was rejected; the smallest first, so that one series is found before the requests are used up.
    const open: Part[] = halves({ from: 0, to: count });
    for (let requests = 0; requests < MAX_REQUESTS && open.length > 0; requests++) {
      const part = open.pop()!;
      if (await send(request.body(part), part.to - part.from)) delivered += part.to - part.from;
      else if (part.to - part.from > 1) open.push(...halves(part));
      else culprit ??= request.labels(part.from);
    }
    return { delivered, culprit };
  }

  #allowed(): boolean {
    const minute = Math.floor(this.#now() / MINUTE_MS);
    if (minute !== this.#minute) this.#fragments = 0;
    this.#minute = minute;
    this.#fragments += 1;
    return this.#fragments <= FRAGMENTS_PER_MINUTE;
  }
}

/** The earlier half comes out of the stack first: samples of a series stay in order. */
function halves({ from, to }: Part): Part[] {
  const middle = Math.ceil((from + to) / 2);
  return [
    { from: middle, to },
    { from, to: middle },
  ];
}

/** A WriteRequest with the places of its TimeSeries messages, each of one sample. */
class SplitRequest {
  readonly #bytes: Uint8Array;
  readonly #starts: number[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const reader = new ProtoReader(bytes);
    while (!reader.done) {
      this.#starts.push(reader.position);
      reader.skip(reader.tag());
    }
    this.#starts.push(bytes.length);
  }

  get count(): number {
    return this.#starts.length - 1;
  }

  body({ from, to }: Part): Uint8Array {
    return compress(this.#bytes.subarray(this.#starts[from], this.#starts[to]));
  }

  labels(index: number): Labels {
    const reader = new ProtoReader(this.#bytes, this.#starts[index], this.#starts[index + 1]);
    reader.tag();
    reader.enter();
    const from = reader.position;
    let to = from;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag >>> 3 !== 1) break;
      reader.skip(tag);
      to = reader.position;
    }
    return decodeLabels(Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length), from, to);
  }
}
