import { MOST_AT_FIRST, TraceIdTable } from "./ids.ts";
import { SlotLists } from "./lists.ts";

/**
 * Ids of traces that were decided; of more than the limit, the one that was asked for least recently goes. Matches
 * processor/tailsamplingprocessor/cache, but goes by the whole id and not by its second half alone.
 */
export class DecisionCache {
  #limit: number;
  readonly #ids: TraceIdTable;
  readonly #order: SlotLists;

  /** A limit of 0 keeps nothing. */
  constructor(limit: number) {
    this.#limit = limit;
    this.#ids = new TraceIdTable(Math.min(limit, MOST_AT_FIRST));
    this.#order = new SlotLists(1, this.#ids.capacity);
  }

  get size(): number {
    return this.#ids.size;
  }
  get limit(): number {
    return this.#limit;
  }
  set limit(limit: number) {
    this.#limit = limit;
    while (this.#ids.size > limit) this.#forget();
  }

  /** Whether the id at `bytes[at, at + 16)` is there, which then counts as used. */
  has(bytes: Uint8Array, at: number): boolean {
    if (this.#ids.size === 0) return false;
    return this.#use(this.#ids.find(bytes, at));
  }

  /** Adds the id that a table has in a slot. Returns whether it is kept. */
  add(table: TraceIdTable, slot: number): boolean {
    if (this.#limit === 0) return false;
    if (this.#use(this.#ids.findFrom(table, slot))) return true;
    if (this.#ids.size >= this.#limit) this.#forget();
    const added = this.#ids.addFrom(table, slot);
    this.#order.grow(this.#ids.capacity);
    this.#order.append(0, added);
    return true;
  }

  #use(slot: number): boolean {
    if (slot < 0) return false;
    this.#order.remove(0, slot);
    this.#order.append(0, slot);
    return true;
  }
  #forget(): void {
    const oldest = this.#order.head(0);
    this.#order.remove(0, oldest);
    this.#ids.remove(oldest);
  }
}
