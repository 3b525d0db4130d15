import { HttpError } from "../http/server.ts";

/** What a request takes beside its body, so that even empty ones cannot come in any number. */
const BASE_BYTES = 16 * 1024;

/**
 * The memory that requests under way may take together: bodies as they came, and unpacked. A request that is alone may take
 * what its own limits allow; beside others it is sent away with 429 when there is no room.
 */
export class RequestMemory {
  limit: number;
  #used = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get used(): number {
    return this.#used;
  }

  /** The share of one request, to be disposed of with it. Throws an HttpError if there is no room for another one. */
  lease(): MemoryLease {
    let own = 0;
    const lease: MemoryLease = {
      take: (bytes) => {
        if (this.#used > own && this.#used + bytes > this.limit) {
          throw new HttpError(429, "there are too many large requests at once, try again", { "retry-after": "1" });
        }
        own += bytes;
        this.#used += bytes;
      },
      give: (bytes) => {
        own -= bytes;
        this.#used -= bytes;
      },
      [Symbol.dispose]: () => lease.give(own),
    };
    lease.take(BASE_BYTES);
    return lease;
  }
}

export interface MemoryLease extends Disposable {
  take(bytes: number): void;
  give(bytes: number): void;
}
