/** Pieces that wait for a slow reader, by number and by characters. */
const MOST_PIECES = 2_000;
const MOST_CHARACTERS = 1 << 20;
/** Pieces that come in quick succession are sent together. */
const PAUSE_MS = 50;

/** Text on its way to a client: bounded, and sent piece by piece as fast as the client reads. */
export class Outbox {
  readonly #signal: AbortSignal;
  #pieces: string[] = [];
  #characters = 0;
  #ended = false;
  #onPush: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  /** `signal` is aborted when the client is gone. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Whether it takes another piece. If not, whoever asks leaves it out and counts it. */
  get hasRoom(): boolean {
    return !this.#ended && this.#pieces.length < MOST_PIECES && this.#characters < MOST_CHARACTERS;
  }

  push(piece: string): void {
    this.#pieces.push(piece);
    this.#characters += piece.length;
    this.#onPush?.();
  }

  /** Nothing more will come; what waits is still sent. */
  end(): void {
    this.#ended = true;
    this.#onEnd?.();
  }

  /** What was pushed, until the end or until the client is gone. */
  async *read(): AsyncIterable<string> {
    while (!this.#signal.aborted) {
      if (this.#pieces.length > 0) {
        const text = this.#pieces.join("");
        this.#pieces = [];
        this.#characters = 0;
        yield text;
        await this.#wait(PAUSE_MS);
      } else if (this.#ended) return;
      else await this.#wait(undefined);
    }
  }

  /** For `ms`, or for the next piece if that is undefined; no longer than until the end or the client's going. */
  #wait(ms: number | undefined): Promise<void> {
    if (this.#ended || this.#signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#onPush = undefined;
        this.#onEnd = undefined;
        this.#signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, ms);
      if (ms === undefined) this.#onPush = done;
      this.#onEnd = done;
      this.#signal.addEventListener("abort", done, { once: true });
    });
  }
}
