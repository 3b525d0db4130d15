import { grown } from "./ids.ts";

/**
 * Doubly linked lists of slots in typed arrays: each slot is in one list at most, and its owner knows in which. Lists are
 * numbered from 0. Slots are kept plus 1, so that new room is empty as it comes.
 */
export class SlotLists {
  #heads: Uint32Array;
  #tails: Uint32Array;
  #next: Uint32Array;
  #previous: Uint32Array;

  constructor(lists: number, capacity: number) {
    this.#heads = new Uint32Array(lists);
    this.#tails = new Uint32Array(lists);
    this.#next = new Uint32Array(capacity);
    this.#previous = new Uint32Array(capacity);
  }

  get lists(): number {
    return this.#heads.length;
  }

  /** Makes room for slots below `capacity`. */
  grow(capacity: number): void {
    if (capacity <= this.#next.length) return;
    this.#next = grown(this.#next, capacity);
    this.#previous = grown(this.#previous, capacity);
  }

  /** The first slot of a list; −1 for none. */
  head(list: number): number {
    return this.#heads[list]! - 1;
  }
  /** The slot after one in the same list; −1 for none. */
  next(slot: number): number {
    return this.#next[slot]! - 1;
  }
  /** Puts a slot that is in no list at the end of one. */
  append(list: number, slot: number): void {
    const tail = this.#tails[list]!;
    this.#previous[slot] = tail;
    this.#next[slot] = 0;
    if (tail === 0) this.#heads[list] = slot + 1;
    else this.#next[tail - 1] = slot + 1;
    this.#tails[list] = slot + 1;
  }

  /** Takes a slot out of the list that it is in. */
  remove(list: number, slot: number): void {
    const next = this.#next[slot]!;
    const previous = this.#previous[slot]!;
    if (previous === 0) this.#heads[list] = next;
    else this.#next[previous - 1] = next;
    if (next === 0) this.#tails[list] = previous;
    else this.#previous[next - 1] = previous;
  }
}
