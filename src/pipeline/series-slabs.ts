/** Bytes of a chunk. Small enough that a registry of a few series is small, large enough that chunks stay few. */
const CHUNK_BYTES = 256 * 1024;
/** Each record is preceded by its owner's number and its length, so that a chunk can be walked when it is emptied. */
const HEADER_BYTES = 8;
/** A chunk with less than this share of live bytes is emptied into others. */
const SPARSE = 0.5;

interface Chunk {
  readonly bytes: Buffer;
  /** Of the same bytes. */
  readonly view: DataView;
  used: number;
  live: number;
}

/**
 * Records of bytes off the heap, each found by the number of its owner. Freeing leaves holes; a chunk with more holes
 * than data is emptied by moving what lives, so memory follows what is stored. Moving costs at most one byte copied for
 * each byte freed.
 */
export class SeriesSlabs {
  readonly #chunks: (Chunk | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  #current = -1;
  #chunkOf: Int32Array;
  #offsetOf: Int32Array;
  #lengthOf: Int32Array;
  #chunkBytes = 0;

  constructor(capacity: number) {
    this.#chunkOf = new Int32Array(capacity);
    this.#offsetOf = new Int32Array(capacity);
    this.#lengthOf = new Int32Array(capacity);
  }

  get memoryBytes(): number {
    return this.#chunkBytes + this.#chunkOf.byteLength * 3;
  }

  /** Makes room for the owners 0 … capacity − 1; those beyond must have been freed. */
  resize(capacity: number): void {
    this.#chunkOf = resized(this.#chunkOf, capacity);
    this.#offsetOf = resized(this.#offsetOf, capacity);
    this.#lengthOf = resized(this.#lengthOf, capacity);
  }

  length(owner: number): number {
    return this.#lengthOf[owner]!;
  }

  /** Stores a copy of `bytes[start, end)` as the record of `owner`, which must have none. */
  store(owner: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const offset = this.#reserve(owner, length);
    const chunk = this.#chunks[this.#chunkOf[owner]!]!;
    chunk.bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), offset);
  }

  free(owner: number): void {
    const index = this.#chunkOf[owner]!;
    const chunk = this.#chunks[index]!;
    const offset = this.#offsetOf[owner]!;
    chunk.bytes.writeInt32LE(-1, offset - HEADER_BYTES);
    chunk.live -= HEADER_BYTES + this.#lengthOf[owner]!;
    this.#lengthOf[owner] = 0;
    if (chunk.live === 0) this.#drop(index);
    else if (index !== this.#current && chunk.live < chunk.used * SPARSE) this.#evacuate(index);
  }

  equals(owner: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = this.#lengthOf[owner]!;
    if (length !== end - start) return false;
    const offset = this.#offsetOf[owner]!;
    return this.#chunks[this.#chunkOf[owner]!]!.bytes.compare(bytes, start, end, offset, offset + length) === 0;
  }

  /** Whether the record is the first `length` bytes of a view: for short ones faster than the call that `equals` takes. */
  equalsView(owner: number, other: DataView, length: number): boolean {
    if (length !== this.#lengthOf[owner]) return false;
    const { view } = this.#chunks[this.#chunkOf[owner]!]!;
    const offset = this.#offsetOf[owner]!;
    let i = 0;
    for (; i + 4 <= length; i += 4) if (view.getInt32(offset + i, true) !== other.getInt32(i, true)) return false;
    for (; i < length; i++) if (view.getUint8(offset + i) !== other.getUint8(i)) return false;
    return true;
  }

  /** Copies the record to `target` at `at`; returns the offset after it. */
  copy(owner: number, target: Uint8Array, at: number): number {
    const length = this.#lengthOf[owner]!;
    const offset = this.#offsetOf[owner]!;
    this.#chunks[this.#chunkOf[owner]!]!.bytes.copy(target, at, offset, offset + length);
    return at + length;
  }

  /** A view that is valid until the next `store` or `free`. */
  view(owner: number): Buffer {
    const offset = this.#offsetOf[owner]!;
    return this.#chunks[this.#chunkOf[owner]!]!.bytes.subarray(offset, offset + this.#lengthOf[owner]!);
  }

  #reserve(owner: number, length: number): number {
    const bytes = HEADER_BYTES + length;
    let chunk = this.#current < 0 ? undefined : this.#chunks[this.#current];
    if (chunk === undefined || chunk.used + bytes > chunk.bytes.length) {
      const previous = this.#current;
      this.#current = this.#add(Math.max(CHUNK_BYTES, bytes));
      chunk = this.#chunks[this.#current]!;
      const closed = previous < 0 ? undefined : this.#chunks[previous];
      if (closed !== undefined && closed.live < closed.used * SPARSE) {
        this.#evacuate(previous);
        return this.#reserve(owner, length);
      }
    }
    const at = chunk.used;
    chunk.bytes.writeInt32LE(owner, at);
    chunk.bytes.writeInt32LE(length, at + 4);
    chunk.used += bytes;
    chunk.live += bytes;
    this.#chunkOf[owner] = this.#current;
    this.#offsetOf[owner] = at + HEADER_BYTES;
    this.#lengthOf[owner] = length;
    return at + HEADER_BYTES;
  }

  #add(bytes: number): number {
    const buffer = Buffer.allocUnsafeSlow(bytes);
    const view = new DataView(buffer.buffer, buffer.byteOffset, bytes);
    const chunk: Chunk = { bytes: buffer, view, used: 0, live: 0 };
    this.#chunkBytes += bytes;
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return this.#chunks.push(chunk) - 1;
    this.#chunks[slot] = chunk;
    return slot;
  }

  #drop(index: number): void {
    this.#chunkBytes -= this.#chunks[index]!.bytes.length;
    this.#chunks[index] = undefined;
    this.#freeSlots.push(index);
    if (this.#current === index) this.#current = -1;
  }

  #evacuate(index: number): void {
    const { bytes, used } = this.#chunks[index]!;
    for (let at = 0; at < used; ) {
      const owner = bytes.readInt32LE(at);
      const length = bytes.readInt32LE(at + 4);
      const from = at + HEADER_BYTES;
      if (owner >= 0) {
        const to = this.#reserve(owner, length);
        bytes.copy(this.#chunks[this.#chunkOf[owner]!]!.bytes, to, from, from + length);
      }
      at = from + length;
    }
    this.#drop(index);
  }
}

function resized(array: Int32Array, capacity: number): Int32Array {
  const copy = new Int32Array(capacity);
  copy.set(array.length > capacity ? array.subarray(0, capacity) : array);
  return copy;
}
