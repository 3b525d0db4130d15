import type { Acknowledgement } from "#pipeline/acknowledgement";
import type { Flow } from "#pipeline/flow";

/** Where what was handed on and is not safe yet is counted: the component's flow. */
export type BatchAccounts = Pick<Flow, "acknowledgement" | "forget">;

/** Follows batches that are acknowledged in any order: everything before the first that is not is committed. */
export class CommitQueue {
  committed = 0;
  readonly #accounts: BatchAccounts;
  readonly #pending: { readonly end: number; readonly acknowledgement: Acknowledgement; safe: boolean }[] = [];
  readonly #onCommit: () => void;
  #generation = 0;

  constructor(accounts: BatchAccounts, onCommit: () => void) {
    this.#accounts = accounts;
    this.#onCommit = onCommit;
  }

  /** Batches that are not safe yet. */
  get outstanding(): number {
    return this.#pending.length;
  }

  /** Begins anew; batches that are still on their way count no longer. */
  reset(offset: number): void {
    this.committed = offset;
    for (const { acknowledgement } of this.#pending) this.#accounts.forget(acknowledgement);
    this.#pending.length = 0;
    this.#generation += 1;
  }

  /**
   * The acknowledgement of the next batch, which ends at `end` and holds so many items and bytes, and the way to take the
   * batch back if nobody accepted it.
   */
  add(
    end: number,
    items: number,
    bytes: number,
  ): { readonly acknowledgement: Acknowledgement; readonly cancel: () => void } {
    const generation = this.#generation;
    const acknowledgement = this.#accounts.acknowledgement(items, bytes, () => {
      entry.safe = true;
      if (generation === this.#generation) this.#commit();
    });
    const entry = { end, acknowledgement, safe: false };
    this.#pending.push(entry);
    return {
      acknowledgement,
      cancel: () => {
        this.#accounts.forget(acknowledgement);
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
