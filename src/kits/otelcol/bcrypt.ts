/**
 * bcrypt, for htpasswd entries made with `htpasswd -B`; Node's crypto has none. After Provos and Mazières, "A
 * Future-Adaptable Password Scheme" (1999). Checking takes about as long as it should: a tenth of a second at cost 10.
 */
import { timingSafeEqual } from "node:crypto";

const ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ROUNDS = 16;
/** "OrpheanBeholderScryDoubt" */
const MAGIC = [0x4f727068, 0x65616e42, 0x65686f6c, 0x64657253, 0x63727944, 0x6f756274];

/** Blowfish's tables: the first 18 + 4 × 256 words of the fraction of π. */
let tables: Uint32Array | undefined;

function initialTables(): Uint32Array {
  if (tables !== undefined) return tables;
  const words = ROUNDS + 2 + 1024;
  const guard = 64n;
  const one = 1n << (BigInt(words * 32) + guard);
  // Machin: π = 16 atan(1/5) − 4 atan(1/239).
  const arctan = (inverse: bigint) => {
    let term = one / inverse;
    let sum = term;
    for (let k = 3n, sign = -1n; term > 0n; k += 2n, sign = -sign) {
      term /= inverse * inverse;
      sum += (sign * term) / k;
    }
    return sum;
  };
  const pi = (16n * arctan(5n) - 4n * arctan(239n)) >> guard;
  const made = new Uint32Array(words);
  for (let i = 0; i < words; i++) made[i] = Number((pi >> BigInt((words - 1 - i) * 32)) & 0xffffffffn);
  tables = made;
  return made;
}

/** One key schedule: 18 subkeys, then four boxes of 256 words. */
class Blowfish {
  readonly #state = initialTables().slice();
  left = 0;
  right = 0;

  encrypt(): void {
    const s = this.#state;
    let l = this.left;
    let r = this.right;
    for (let i = 0; i < ROUNDS; i += 2) {
      l ^= s[i]!;
      r ^=
        (((s[18 + (l >>> 24)]! + s[274 + ((l >>> 16) & 255)]!) ^ s[530 + ((l >>> 8) & 255)]!) + s[786 + (l & 255)]!) |
        0;
      r ^= s[i + 1]!;
      l ^=
        (((s[18 + (r >>> 24)]! + s[274 + ((r >>> 16) & 255)]!) ^ s[530 + ((r >>> 8) & 255)]!) + s[786 + (r & 255)]!) |
        0;
    }
    this.left = r ^ s[ROUNDS + 1]!;
    this.right = l ^ s[ROUNDS]!;
  }

  /** Mixes a key into the subkeys and replaces the whole state, with `salt` (four words) stirred in. */
  expand(key: Uint8Array, salt: readonly number[]): void {
    const s = this.#state;
    let at = 0;
    for (let i = 0; i < ROUNDS + 2; i++) {
      let word = 0;
      for (let byte = 0; byte < 4; byte++) {
        word = (word << 8) | key[at]!;
        at = (at + 1) % key.length;
      }
      s[i]! ^= word;
    }
    this.left = 0;
    this.right = 0;
    for (let i = 0, half = 0; i < s.length; i += 2, half ^= 2) {
      this.left ^= salt[half]!;
      this.right ^= salt[half + 1]!;
      this.encrypt();
      s[i] = this.left;
      s[i + 1] = this.right;
    }
  }
}

/** Whether `password` is the one of a `$2a$`, `$2b$` or `$2y$` hash. False for what is no such hash. */
export function checkBcrypt(password: string, hash: string): boolean {
  const match = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/.exec(hash);
  if (match === null) return false;
  const cost = Number(match[1]);
  if (cost < 4 || cost > 20) return false;
  const saltBytes = decode(match[2]!, 16);
  const salt = [0, 4, 8, 12].map((at) => saltBytes.readInt32BE(at));
  const key = Buffer.concat([Buffer.from(password, "utf8").subarray(0, 72), Buffer.alloc(1)]).subarray(0, 72);
  const cipher = new Blowfish();
  const none = [0, 0, 0, 0];
  cipher.expand(key, salt);
  for (let i = 0; i < 2 ** cost; i++) {
    cipher.expand(key, none);
    cipher.expand(saltBytes, none);
  }
  const result = Buffer.alloc(24);
  for (let i = 0; i < 6; i += 2) {
    cipher.left = MAGIC[i]!;
    cipher.right = MAGIC[i + 1]!;
    for (let round = 0; round < 64; round++) cipher.encrypt();
    result.writeInt32BE(cipher.left | 0, i * 4);
    result.writeInt32BE(cipher.right | 0, i * 4 + 4);
  }
  return timingSafeEqual(result.subarray(0, 23), decode(match[3]!, 23));
}

/** bcrypt's own base64: another alphabet, no padding. */
function decode(text: string, bytes: number): Buffer {
  const out = Buffer.alloc(bytes);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const char of text) {
    bits = (bits << 6) | ALPHABET.indexOf(char);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    if (at < bytes) out[at++] = (bits >>> held) & 255;
    bits &= (1 << held) - 1;
  }
  return out;
}
