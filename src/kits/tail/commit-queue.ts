import { Acknowledgement } from "#pipeline/acknowledgement";

/** Follows batches that are acknowledged in any order: everything before the first that is not is committed. */
export class CommitQueue {
  committed = 0;
  readonly #pending: { readonly end: number; safe: boolean }[] = [];
  readonly #onCommit: () => void;
  #generation = 0;

  constructor(onCommit: () => void) {
    this.#onCommit = onCommit;
  }

  /** Batches that are not safe yet. */
  get outstanding(): number {
    return this.#pending.length;
  }

  /** Begins anew; batches that are still on their way count no longer. */
  reset(offset: number): void {
    this.committed = offset;
    this.#pending.length = 0;
    this.#generation += 1;
  }

  /** The acknowledgement of the next batch, which ends at `end`, and the way to take the batch back if nobody accepted it. */
  add(end: number): { readonly acknowledgement: Acknowledgement; cancel(): void } {
    const entry = { end, safe: false };
    const generation = this.#generation;
    this.#pending.push(entry);
    return {
      acknowledgement: new Acknowledgement(() => {
        entry.safe = true;
        if (generation === this.#generation) this.#commit();
      }),
      cancel: () => {
        const index = this.#pending.indexOf(entry);
        if (index >= 0) this.#pending.splice(index, 1);
      },
    };
  }

  #commit(): void {
    let done = 0;
    while (this.#pending[done]?.safe) {
      this.committed = this.#pending[done]!.end;
      done += 1;
    }
    if (done === 0) return;
    this.#pending.splice(0, done);
    this.#onCommit();
  }
}
