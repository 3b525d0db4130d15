/**
 * Hashes that are no cryptography and that Node has not: FNV-1a, MurmurHash3, XXH64 and XXH3, by their specifications,
 * without seeds. (MD5, the SHA family and CRC-32 are in node:crypto and node:zlib.) 64-bit arithmetic with bigints: right,
 * and fast enough for attributes.
 */

const MASK = (1n << 64n) - 1n;
const wrap = (value: bigint): bigint => value & MASK;
const rotate = (value: bigint, bits: bigint): bigint => wrap((value << bits) | (value >> (64n - bits)));

/** What FNV-1a of 32 bits begins with. */
const FNV_32 = 0x811c9dc5;

/** FNV-1a of 32 bits, with a sign. `from` is the hash of what came before the bytes. */
export function fnv1a32(bytes: Uint8Array, from: number = FNV_32): number {
  let hash = from;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash | 0;
}

/** FNV-1a of 64 bits, unsigned. */
export function fnv1a64(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = wrap((hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}

function scramble32(word: number): number {
  const mixed = Math.imul(word, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

/** MurmurHash3 of 32 bits, as hexadecimal digits of its bytes from the lowest to the highest. */
export function murmur3(bytes: Buffer): string {
  let hash = 0;
  const whole = bytes.length - (bytes.length % 4);
  for (let i = 0; i < whole; i += 4) {
    hash ^= scramble32(bytes.readUInt32LE(i));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let i = bytes.length - 1; i >= whole; i--) tail = (tail << 8) | bytes[i]!;
  hash ^= scramble32(tail);
  hash ^= bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  const out = Buffer.alloc(4);
  out.writeUInt32LE((hash ^ (hash >>> 16)) >>> 0);
  return out.toString("hex");
}

const MURMUR_1 = 0x87c37b91114253d5n;
const MURMUR_2 = 0x4cf5ad432745937fn;

function finish64(value: bigint): bigint {
  let hash = value ^ (value >> 33n);
  hash = wrap(hash * 0xff51afd7ed558ccdn);
  hash = wrap((hash ^ (hash >> 33n)) * 0xc4ceb9fe1a85ec53n);
  return hash ^ (hash >> 33n);
}

/** MurmurHash3 of 128 bits in its form for 64-bit machines, both halves from the lowest byte to the highest. */
export function murmur3x128(bytes: Buffer): string {
  let first = 0n;
  let second = 0n;
  const mixFirst = (word: bigint) => wrap(rotate(wrap(word * MURMUR_1), 31n) * MURMUR_2);
  const mixSecond = (word: bigint) => wrap(rotate(wrap(word * MURMUR_2), 33n) * MURMUR_1);
  const whole = bytes.length - (bytes.length % 16);
  for (let i = 0; i < whole; i += 16) {
    first ^= mixFirst(bytes.readBigUInt64LE(i));
    first = wrap((rotate(first, 27n) + second) * 5n + 0x52dce729n);
    second ^= mixSecond(bytes.readBigUInt64LE(i + 8));
    second = wrap((rotate(second, 31n) + first) * 5n + 0x38495ab5n);
  }
  const tail = Buffer.alloc(16);
  bytes.copy(tail, 0, whole);
  const rest = bytes.length - whole;
  if (rest > 8) second ^= mixSecond(tail.readBigUInt64LE(8));
  if (rest > 0) first ^= mixFirst(tail.readBigUInt64LE(0));
  first ^= BigInt(bytes.length);
  second ^= BigInt(bytes.length);
  first = wrap(first + second);
  second = wrap(second + first);
  first = finish64(first);
  second = finish64(second);
  first = wrap(first + second);
  second = wrap(second + first);
  const out = Buffer.alloc(16);
  out.writeBigUInt64LE(first);
  out.writeBigUInt64LE(second, 8);
  return out.toString("hex");
}

const P32_1 = 0x9e3779b1n;
const P32_2 = 0x85ebca77n;
const P32_3 = 0xc2b2ae3dn;
const P64_1 = 0x9e3779b185ebca87n;
const P64_2 = 0xc2b2ae3d27d4eb4fn;
const P64_3 = 0x165667b19e3779f9n;
const P64_4 = 0x85ebca77c2b2ae63n;
const P64_5 = 0x27d4eb2f165667c5n;
const MIX = 0x9fb21c651e98df25n;

/** The secret of XXH3's specification. */
const SECRET = Buffer.from(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221" +
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8" +
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb" +
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e",
  "hex",
);
const STRIPE = 64;
const STRIPES_PER_BLOCK = 16;

const key = (at: number): bigint => SECRET.readBigUInt64LE(at);
const key32 = (at: number): bigint => BigInt(SECRET.readUInt32LE(at));
const swap = (value: bigint): bigint => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes.readBigUInt64BE();
};
const fold = (a: bigint, b: bigint): bigint => {
  const product = a * b;
  return (product & MASK) ^ (product >> 64n);
};
const shift = (value: bigint, bits: bigint): bigint => value ^ (value >> bits);

function avalanche(value: bigint): bigint {
  return shift(wrap(shift(value, 37n) * 0x165667919e3779f9n), 32n);
}
function avalanche64(value: bigint): bigint {
  const hash = wrap(shift(value, 33n) * P64_2);
  return shift(wrap(shift(hash, 29n) * P64_3), 32n);
}
function mix16(bytes: Buffer, at: number, secret: number): bigint {
  return fold(bytes.readBigUInt64LE(at) ^ key(secret), bytes.readBigUInt64LE(at + 8) ^ key(secret + 8));
}

/** XXH64. */
export function xxh64(bytes: Buffer): bigint {
  const { length } = bytes;
  const round = (lane: bigint, input: bigint) => wrap(rotate(wrap(lane + input * P64_2), 31n) * P64_1);
  let at = 0;
  let hash = P64_5;
  if (length >= 32) {
    const lanes = [wrap(P64_1 + P64_2), P64_2, 0n, wrap(-P64_1)];
    for (; at + 32 <= length; at += 32) {
      for (let lane = 0; lane < 4; lane++) lanes[lane] = round(lanes[lane]!, bytes.readBigUInt64LE(at + lane * 8));
    }
    hash = wrap(rotate(lanes[0]!, 1n) + rotate(lanes[1]!, 7n) + rotate(lanes[2]!, 12n) + rotate(lanes[3]!, 18n));
    for (const lane of lanes) hash = wrap((hash ^ round(0n, lane)) * P64_1 + P64_4);
  }
  hash = wrap(hash + BigInt(length));
  for (; at + 8 <= length; at += 8) {
    hash = wrap(rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P64_1 + P64_4);
  }
  if (at + 4 <= length) {
    hash = wrap(rotate(hash ^ wrap(BigInt(bytes.readUInt32LE(at)) * P64_1), 23n) * P64_2 + P64_3);
    at += 4;
  }
  for (; at < length; at++) hash = wrap(rotate(hash ^ wrap(BigInt(bytes[at]!) * P64_5), 11n) * P64_1);
  return avalanche64(hash);
}

/** XXH3 of 64 bits. */
export function xxh3(bytes: Buffer): bigint {
  const { length } = bytes;
  if (length > 240) return merge(accumulate(bytes), 11, wrap(BigInt(length) * P64_1));
  if (length > 16) return middle(bytes);
  const size = BigInt(length);
  if (length > 8) {
    const low = bytes.readBigUInt64LE(0) ^ key(24) ^ key(32);
    const high = bytes.readBigUInt64LE(length - 8) ^ key(40) ^ key(48);
    return avalanche(wrap(size + swap(low) + high + fold(low, high)));
  }
  if (length >= 4) {
    const input = BigInt(bytes.readUInt32LE(length - 4)) + (BigInt(bytes.readUInt32LE(0)) << 32n);
    let hash = input ^ key(8) ^ key(16);
    hash ^= rotate(hash, 49n) ^ rotate(hash, 24n);
    hash = wrap(hash * MIX);
    hash = wrap((hash ^ ((hash >> 35n) + size)) * MIX);
    return shift(hash, 28n);
  }
  if (length > 0) return avalanche64(shortInput(bytes) ^ key32(0) ^ key32(4));
  return avalanche64(key(56) ^ key(64));
}

/** One to three bytes and their number in 32 bits. */
function shortInput(bytes: Buffer): bigint {
  const { length } = bytes;
  const word = (bytes[0]! << 16) | (bytes[length >> 1]! << 24) | bytes[length - 1]! | (length << 8);
  return BigInt(word >>> 0);
}

function middle(bytes: Buffer): bigint {
  const { length } = bytes;
  let hash = wrap(BigInt(length) * P64_1);
  if (length <= 128) {
    for (let i = Math.floor((length - 1) / 32); i >= 0; i--) {
      hash += mix16(bytes, 16 * i, 32 * i) + mix16(bytes, length - 16 * (i + 1), 32 * i + 16);
    }
    return avalanche(wrap(hash));
  }
  for (let i = 0; i < 8; i++) hash += mix16(bytes, 16 * i, 16 * i);
  hash = avalanche(wrap(hash));
  for (let i = 8; i < length >> 4; i++) hash += mix16(bytes, 16 * i, 16 * (i - 8) + 3);
  return avalanche(wrap(hash + mix16(bytes, length - 16, 119)));
}

/** The eight accumulators of a long input. */
function accumulate(bytes: Buffer): bigint[] {
  const { length } = bytes;
  const sums = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1];
  const stripe = (at: number, secret: number) => {
    for (let i = 0; i < 8; i++) {
      const data = bytes.readBigUInt64LE(at + 8 * i);
      const keyed = data ^ key(secret + 8 * i);
      sums[i ^ 1] = wrap(sums[i ^ 1]! + data);
      sums[i] = wrap(sums[i]! + (keyed & 0xffffffffn) * (keyed >> 32n));
    }
  };
  // The last stripe is never part of a block, and is taken from the end.
  const stripes = Math.floor((length - 1) / STRIPE);
  for (let n = 0; n < stripes; n++) {
    stripe(n * STRIPE, 8 * (n % STRIPES_PER_BLOCK));
    if (n % STRIPES_PER_BLOCK !== STRIPES_PER_BLOCK - 1) continue;
    for (let i = 0; i < 8; i++) sums[i] = wrap((shift(sums[i]!, 47n) ^ key(128 + 8 * i)) * P32_1);
  }
  stripe(length - STRIPE, 121);
  return sums;
}

function merge(sums: readonly bigint[], secret: number, start: bigint): bigint {
  let hash = start;
  for (let i = 0; i < 4; i++) {
    hash += fold(sums[2 * i]! ^ key(secret + 16 * i), sums[2 * i + 1]! ^ key(secret + 16 * i + 8));
  }
  return avalanche(wrap(hash));
}

const joined = (high: bigint, low: bigint): bigint => (high << 64n) | low;

/** XXH3 of 128 bits. */
export function xxh128(bytes: Buffer): bigint {
  const { length } = bytes;
  const size = BigInt(length);
  if (length > 240) {
    const sums = accumulate(bytes);
    return joined(merge(sums, 117, wrap(~(size * P64_2))), merge(sums, 11, wrap(size * P64_1)));
  }
  if (length > 16) return middle128(bytes);
  if (length > 8) return upTo16(bytes);
  if (length >= 4) {
    const input = BigInt(bytes.readUInt32LE(0)) + (BigInt(bytes.readUInt32LE(length - 4)) << 32n);
    const product = (input ^ key(16) ^ key(24)) * wrap(P64_1 + (size << 2n));
    let low = product & MASK;
    const high = wrap((product >> 64n) + (low << 1n));
    low ^= high >> 3n;
    low = shift(wrap(shift(low, 35n) * MIX), 28n);
    return joined(avalanche(high), low);
  }
  if (length > 0) {
    const input = shortInput(bytes);
    const swapped = swap(input) >> 32n;
    const turned = ((swapped << 13n) | (swapped >> 19n)) & 0xffffffffn;
    return joined(avalanche64(turned ^ key32(8) ^ key32(12)), avalanche64(input ^ key32(0) ^ key32(4)));
  }
  return joined(avalanche64(key(80) ^ key(88)), avalanche64(key(64) ^ key(72)));
}

function upTo16(bytes: Buffer): bigint {
  const { length } = bytes;
  const first = bytes.readBigUInt64LE(0);
  const last = bytes.readBigUInt64LE(length - 8);
  const product = (first ^ last ^ key(32) ^ key(40)) * P64_1;
  const keyed = last ^ key(48) ^ key(56);
  const high = wrap((product >> 64n) + keyed + (keyed & 0xffffffffn) * (P32_2 - 1n));
  const low = wrap((product & MASK) + (BigInt(length - 1) << 54n)) ^ swap(high);
  const second = low * P64_2;
  return joined(avalanche(wrap((second >> 64n) + high * P64_2)), avalanche(second & MASK));
}

function middle128(bytes: Buffer): bigint {
  const { length } = bytes;
  const size = BigInt(length);
  let low = wrap(size * P64_1);
  let high = 0n;
  const mix32 = (a: number, b: number, secret: number) => {
    low = wrap(low + mix16(bytes, a, secret)) ^ wrap(bytes.readBigUInt64LE(b) + bytes.readBigUInt64LE(b + 8));
    high = wrap(high + mix16(bytes, b, secret + 16)) ^ wrap(bytes.readBigUInt64LE(a) + bytes.readBigUInt64LE(a + 8));
  };
  if (length <= 128) {
    for (let i = Math.floor((length - 1) / 32); i >= 0; i--) mix32(16 * i, length - 16 * (i + 1), 32 * i);
  } else {
    for (let i = 32; i < 160; i += 32) mix32(i - 32, i - 16, i - 32);
    low = avalanche(low);
    high = avalanche(high);
    for (let i = 160; i <= length; i += 32) mix32(i - 32, i - 16, 3 + i - 160);
    mix32(length - 16, length - 32, 103);
  }
  const mixed = avalanche(wrap(low * P64_1 + high * P64_4 + size * P64_2));
  return joined(wrap(-mixed), avalanche(wrap(low + high)));
}
