/** For tests: sound messages that are damaged as clients and networks damage them. */

/** A number below the given one. */
export type Chance = (below: number) => number;

/** A small generator of numbers (xorshift) that is the same for the same seed, so that a failure can be run again. */
export function numbers(seed: number): Chance {
  // Seeds that follow each other are mixed first: xorshift alone would begin with alike numbers.
  let state = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b);
  state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/**
 * Bits, bytes, cuts, repeats, lengths that say too much, and the rest of another message. Half of all get one byte wrong,
 * which goes deep; the others up to four damages.
 */
export function damage(sound: Uint8Array, other: Uint8Array, pick: Chance): Buffer {
  let bytes = Buffer.from(sound);
  const isLight = pick(2) === 0;
  for (let n = isLight ? 1 : 1 + pick(4); n > 0 && bytes.length > 0; n--) {
    const at = pick(bytes.length);
    switch (pick(isLight ? 2 : 7)) {
      case 0:
        bytes[at]! ^= 1 << pick(8);
        break;
      case 1:
        bytes[at] = pick(256);
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(8))]);
        break;
      case 4: {
        const piece = bytes.subarray(at, at + pick(64));
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      }
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.alloc(1 + pick(10), 0xff), bytes.subarray(at)]);
        break;
      default:
        if (other.length > 0) bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(pick(other.length))]);
    }
  }
  return bytes;
}

/** Words and signs that are left out, doubled, or those of another text: what still looks like its language. */
export function damageWords(sound: string, other: string, pick: Chance): string {
  const words = sound.match(/\w+|\W/gu) ?? [];
  const others = other.match(/\w+|\W/gu) ?? [];
  for (let n = 1 + pick(3); n > 0 && words.length > 0 && others.length > 0; n--) {
    const at = pick(words.length);
    const from = pick(others.length);
    switch (pick(4)) {
      case 0:
        words.splice(at, 1 + pick(3));
        break;
      case 1:
        words.splice(at, 0, ...words.slice(at, at + 1 + pick(8)));
        break;
      case 2:
        words[at] = others[from]!;
        break;
      default:
        words.splice(at, pick(6), ...others.slice(from, from + pick(6)));
    }
  }
  return words.join("");
}
