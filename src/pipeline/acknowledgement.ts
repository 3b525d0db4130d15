/**
 * Tells the source of a batch that its data is safe: delivered, on disk, or dropped for a counted reason.
 *
 * Reference-counted. A new acknowledgement has one reference, held by whoever made the batch. The rules:
 * - `consume(batch)` that resolves has taken over one reference; one that rejects has not.
 * - A component that hands on the same data n times retains n − 1 times first (Fanout does it).
 * - A component that merges batches keeps every reference and releases all when the merged batch is safe.
 * - Data that dies with the process is never released, so that its source reads it again at the next start.
 */
export class Acknowledgement {
  /** For data whose source cannot re-read and wants no word. Never settles. */
  static readonly none = new Acknowledgement(() => {});

  #references = 1;
  readonly #onSafe: () => void;

  constructor(onSafe: () => void) {
    this.#onSafe = onSafe;
  }

  retain(count = 1): void {
    if (this === Acknowledgement.none) return;
    if (this.#references <= 0) throw new Error("acknowledgement retained after it fired");
    this.#references += count;
  }

  release(): void {
    if (this === Acknowledgement.none) return;
    if (this.#references <= 0) throw new Error("acknowledgement released more often than retained");
    this.#references -= 1;
    if (this.#references === 0) this.#onSafe();
  }

  /** One acknowledgement for several merged batches: when it fires, one reference of each part is released. */
  static merge(parts: readonly Acknowledgement[]): Acknowledgement {
    const real = parts.filter((part) => part !== Acknowledgement.none);
    if (real.length === 0) return Acknowledgement.none;
    if (real.length === 1) return real[0]!;
    return new Acknowledgement(() => {
      for (const part of real) part.release();
    });
  }
}
