import type { Batch } from "./batch.ts";

/**
 * Sees a batch on its way in or out; `peer` is the consumer's component for `out`, empty for `in`. It must render or copy
 * what it wants to keep before it returns, since batches are lent.
 */
export type TapListener = (direction: "in" | "out", peer: string, batch: Batch) => void;

/** The place where a component's traffic can be watched. Costs one check of `active` a batch while nobody does. */
export class Tap {
  readonly #listeners = new Set<TapListener>();
  active = false;

  /** Watches until the returned function is called. */
  watch(listener: TapListener): () => void {
    this.#listeners.add(listener);
    this.active = true;
    return () => {
      this.#listeners.delete(listener);
      this.active = this.#listeners.size > 0;
    };
  }

  show(direction: "in" | "out", peer: string, batch: Batch): void {
    for (const listener of this.#listeners) listener(direction, peer, batch);
  }
}
