import type { Labels } from "#base/labels";

/** Keys beyond this are spread by their hash, so that memory stays bounded. */
const MAX_KEYS = 16_384;
const MAX_CACHED = 8_192;

/** Which worker gets the entries of a stream: always the same one for the same key, and about as many streams for each. */
export class StreamLanes {
  readonly #lanes: number;
  readonly #key: (labels: Labels) => string;
  readonly #byKey = new Map<string, number>();
  readonly #cache = new Map<Labels, number>();
  #next = 0;

  constructor(lanes: number, key: (labels: Labels) => string) {
    this.#lanes = lanes;
    this.#key = key;
  }

  of(labels: Labels): number {
    let lane = this.#cache.get(labels);
    if (lane === undefined) {
      lane = this.#find(this.#key(labels));
      if (this.#cache.size >= MAX_CACHED) this.#cache.clear();
      this.#cache.set(labels, lane);
    }
    return lane;
  }

  #find(key: string): number {
    let lane = this.#byKey.get(key);
    if (lane !== undefined) return lane;
    if (this.#byKey.size >= MAX_KEYS) {
      let hash = 0;
      for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
      return (hash >>> 0) % this.#lanes;
    }
    lane = this.#next;
    this.#next = (lane + 1) % this.#lanes;
    this.#byKey.set(key, lane);
    return lane;
  }
}
