import type { LogBatch } from "#pipeline/batch";

/** What became of a batch, or of the rows of it that one worker got. */
export interface Outcome {
  /** Undefined if nothing is left of it. */
  readonly batch: LogBatch | undefined;
  /** Why it could not be worked on. */
  readonly failed?: Error;
  /** Called when its memory is free again. */
  done(): void;
}

/** A place in the order of batches. */
export interface Slot {
  /** In the order in which rows go on; undefined while a worker has them. */
  readonly parts: (Outcome | undefined)[];
  /** Parts that are undefined. */
  open: number;
  /** The source's, for one that waits until its batch is accepted. */
  readonly signal: AbortSignal;
  /** Missing where the batch was accepted as it came; its source learns by the acknowledgement. */
  readonly settle?: { accepted(): void; refused(error: unknown): void };
}

/**
 * Hands results on in the order in which their batches came, whoever is ready first. The next one of a batch that was
 * accepted early waits until the consumers have taken it; a source that waits keeps its own order.
 */
export class DeliveryQueue {
  readonly #deliver: (batch: LogBatch, signal: AbortSignal) => void | Promise<void>;
  readonly #failed: (error: Error) => void;
  readonly #delivered: () => void;
  readonly #slots: Slot[] = [];
  #isDelivering = false;
  #waiting: (() => void)[] = [];

  /** `failed` is told of parts that failed and whose source does not wait; `delivered` of each slot that is done. */
  constructor(
    deliver: (batch: LogBatch, signal: AbortSignal) => void | Promise<void>,
    failed: (error: Error) => void,
    delivered: () => void,
  ) {
    this.#deliver = deliver;
    this.#failed = failed;
    this.#delivered = delivered;
  }

  get size(): number {
    return this.#slots.length + (this.#isDelivering ? 1 : 0);
  }

  /** Puts a slot behind all others, or before the first one that `isLater`. */
  add(slot: Slot, isLater?: (slot: Slot) => boolean): void {
    const at = isLater === undefined ? -1 : this.#slots.findIndex(isLater);
    if (at < 0) this.#slots.push(slot);
    else this.#slots.splice(at, 0, slot);
  }

  /** Resolves when everything that is in it was handed on. */
  async empty(): Promise<void> {
    while (this.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** To be called when parts are there. */
  pump(): void {
    while (!this.#isDelivering) {
      const slot = this.#slots[0];
      if (slot === undefined || slot.open > 0) return;
      this.#slots.shift();
      const pending = this.#handOn(slot);
      if (pending === undefined) {
        this.#end();
        continue;
      }
      this.#isDelivering = true;
      void pending.finally(() => {
        this.#isDelivering = false;
        this.#end();
        this.pump();
      });
    }
  }

  #end(): void {
    this.#delivered();
    if (this.size === 0) for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Returns a promise if the slots behind this one have to wait. */
  #handOn(slot: Slot): Promise<void> | undefined {
    const { settle } = slot;
    if (settle === undefined) return this.#handOnInOrder(slot, 0);
    const failed = slot.parts.find((part) => part!.failed !== undefined)?.failed;
    const pending: Promise<void>[] = [];
    for (const part of slot.parts) {
      const accepted = this.#part(part!, slot.signal);
      if (accepted !== undefined) pending.push(accepted);
    }
    void Promise.allSettled(pending).then((outcomes) => {
      const refused = outcomes.find((each) => each.status === "rejected");
      if (failed !== undefined) settle.refused(failed);
      else if (refused !== undefined) settle.refused(refused.reason);
      else settle.accepted();
    });
    return undefined;
  }

  #handOnInOrder(slot: Slot, from: number): Promise<void> | undefined {
    for (let i = from; i < slot.parts.length; i++) {
      const part = slot.parts[i]!;
      if (part.failed !== undefined) this.#failed(part.failed);
      const accepted = this.#part(part, slot.signal);
      // Only the end of the component makes consumers refuse for good. It is read again then, since nobody confirmed it.
      if (accepted !== undefined) return accepted.catch(() => {}).then(() => this.#handOnInOrder(slot, i + 1));
    }
    return undefined;
  }

  #part({ batch, done }: Outcome, signal: AbortSignal): Promise<void> | undefined {
    if (batch === undefined) {
      done();
      return undefined;
    }
    let accepted: void | Promise<void>;
    try {
      accepted = this.#deliver(batch, signal);
    } catch (error) {
      accepted = Promise.reject(error);
    }
    if (accepted !== undefined) return accepted.finally(done);
    done();
    return undefined;
  }
}
