/** Messages that came in several datagrams: `1e 0f`, an id of 8 bytes, the chunk's number, how many there are, its part. */

const HEADER = 12;
const MAX_CHUNKS = 128;
/** All chunks of a message must come within this time, as in Alloy. */
const MAX_AGE_MS = 5_000;
/** Bytes of incomplete messages; beyond it the oldest are given up. */
const MAX_BYTES = 16 * 1024 * 1024;

interface Pending {
  readonly since: number;
  readonly parts: (Uint8Array | undefined)[];
  missing: number;
  bytes: number;
}

/** A chunk that is none. */
export class ChunkError extends Error {
  override readonly name = "ChunkError";
}

export function isChunk(datagram: Uint8Array): boolean {
  return datagram[0] === 0x1e && datagram[1] === 0x0f;
}

/** Puts chunks together in bounded memory. Times are in milliseconds of any clock that goes forward. */
export class Chunks {
  /** By sender and id, the oldest first. */
  readonly #pending = new Map<string, Pending>();
  #bytes = 0;
  /** Called with the number of messages of which not all chunks came. */
  readonly #onLost: (messages: number) => void;

  constructor(onLost: (messages: number) => void) {
    this.#onLost = onLost;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a chunk, which it keeps; returns the whole message if it was the last one. Throws a ChunkError. */
  add(from: string, chunk: Uint8Array, now: number): Uint8Array | undefined {
    if (chunk.length <= HEADER)
      throw new ChunkError(`a chunk has ${chunk.length} bytes, and more than ${HEADER} are needed`);
    const index = chunk[10]!;
    const count = chunk[11]!;
    if (count === 0 || count > MAX_CHUNKS || index >= count) {
      throw new ChunkError(`chunk ${index} of ${count} cannot be: a message has 1 to ${MAX_CHUNKS} of them`);
    }
    const key = `${from} ${Buffer.from(chunk.subarray(2, 10)).toString("latin1")}`;
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = { since: now, parts: new Array(count).fill(undefined), missing: count, bytes: 0 };
      this.#pending.set(key, pending);
    }
    if (pending.parts.length !== count)
      throw new ChunkError(`chunks of one message say ${pending.parts.length} and ${count}`);
    if (pending.parts[index] !== undefined) return undefined;
    const part = chunk.subarray(HEADER);
    pending.parts[index] = part;
    pending.bytes += part.length;
    pending.missing -= 1;
    this.#bytes += part.length;
    if (pending.missing === 0) {
      this.#forget(key, pending);
      return Buffer.concat(pending.parts as Uint8Array[]);
    }
    this.#makeRoom();
    return undefined;
  }

  /** Gives up messages whose first chunk came too long ago. */
  expire(now: number): void {
    let lost = 0;
    for (const [key, pending] of this.#pending) {
      if (now - pending.since < MAX_AGE_MS) break;
      this.#forget(key, pending);
      lost += 1;
    }
    if (lost > 0) this.#onLost(lost);
  }

  #makeRoom(): void {
    let lost = 0;
    for (const [key, pending] of this.#pending) {
      if (this.#bytes <= MAX_BYTES) break;
      this.#forget(key, pending);
      lost += 1;
    }
    if (lost > 0) this.#onLost(lost);
  }

  #forget(key: string, pending: Pending): void {
    this.#pending.delete(key);
    this.#bytes -= pending.bytes;
  }
}
