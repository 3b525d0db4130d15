/** A token as a provider of identities gives it. */
export interface Token {
  readonly text: string;
  /** Epoch milliseconds. */
  readonly expires: number;
}

/** A token that is asked for when it is needed, once for all who need it, and used until `spareMs` before its end. */
export class KeptToken {
  readonly #ask: () => Promise<Token>;
  readonly #spareMs: number;
  #token: Token | undefined;
  #asking: Promise<Token> | undefined;

  constructor(spareMs: number, ask: () => Promise<Token>) {
    this.#spareMs = spareMs;
    this.#ask = ask;
  }

  /** Rejects as `ask` does; the next call asks again. */
  async text(): Promise<string> {
    if (this.#token === undefined || this.#token.expires - this.#spareMs < Date.now()) {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined;
      });
      this.#token = await this.#asking;
    }
    return this.#token.text;
  }
}
