import type { SliceableBuffer } from "#pipeline/log-batch";

const SLOTS = 4_096;
const MAX_LENGTH = 64;

/**
 * Turns short ranges of bytes that keep coming back (levels, services, methods) into the same string object, without
 * decoding them again. A direct-mapped cache: a collision replaces, so it needs no bound of its own.
 */
export class TextInterner {
  readonly #table: (string | undefined)[] = new Array(SLOTS).fill(undefined);

  text(bytes: SliceableBuffer, start: number, end: number): string {
    const length = end - start;
    if (length > MAX_LENGTH) return bytes.utf8Slice(start, end);
    let hash = length;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
    const slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    const known = this.#table[slot];
    if (known !== undefined && known.length === length) {
      let i = 0;
      // Equal codes mean equal text only for ASCII; other text has fewer characters than bytes and fails on the length.
      while (i < length && known.charCodeAt(i) === bytes[start + i]) i++;
      if (i === length) return known;
    }
    const text = bytes.utf8Slice(start, end);
    this.#table[slot] = text;
    return text;
  }
}
