/**
 * 32 bits over `bytes[start, end)`, signed. Words of four bytes are mixed as MurmurHash3 mixes them, so that equal bytes
 * have equal hashes in any process and on any machine.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let i = start;
  for (const wordsEnd = end - 3; i < wordsEnd; i += 4) {
    let word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    word = Math.imul(word, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let shift = 0; i < end; i++, shift += 8) tail |= bytes[i]! << shift;
  return finish(hash, tail, end - start);
}

/** The same over `view[start, end)`: two to three times as fast where the view is there already. */
export function hashView(view: DataView, start: number, end: number): number {
  let hash = 0;
  let i = start;
  for (const wordsEnd = end - 3; i < wordsEnd; i += 4) {
    let word = Math.imul(view.getInt32(i, true), 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let shift = 0; i < end; i++, shift += 8) tail |= view.getUint8(i) << shift;
  return finish(hash, tail, end - start);
}

function finish(mixed: number, rest: number, length: number): number {
  let tail = Math.imul(rest, 0xcc9e2d51);
  tail = (tail << 15) | (tail >>> 17);
  let hash = mixed ^ Math.imul(tail, 0x1b873593) ^ length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
