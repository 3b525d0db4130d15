import { once } from "node:events";

/** Standard output for commands that write much: waits while the reader is slow, and notices when it has gone. */
export class TextOutput {
  readonly #stream: NodeJS.WriteStream;
  readonly #onError: (error: NodeJS.ErrnoException) => void;
  #closed = false;
  #failure: Error | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    this.#onError = (error) => {
      this.#closed = true;
      // Somebody who reads just the first lines, such as `head`, has what he wanted.
      if (error.code !== "EPIPE") this.#failure = error;
    };
    stream.on("error", this.#onError);
  }

  /** Whether nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  write(text: string): void {
    if (!this.#closed) this.#stream.write(text);
  }

  /** Resolves when there is room again. Rejects if writing failed for another reason than that the reader went. */
  async drained(): Promise<void> {
    if (!this.#closed && this.#stream.writableNeedDrain) {
      // An error ends the waiting as well; it has been noted by then.
      await once(this.#stream, "drain").catch(() => {});
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when everything has been taken. */
  async end(): Promise<void> {
    if (!this.#closed) await new Promise<void>((resolve) => this.#stream.write("", () => resolve()));
    if (this.#failure !== undefined) throw this.#failure;
  }
}
