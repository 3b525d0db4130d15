/**
 * Decompresses bzip2, streams after one another included. Written after the format's description; blocks are checked by
 * their CRC. Memory: 5 bytes for each byte of a block, so at most 4.5 MB.
 */

export class Bzip2Error extends Error {
  override readonly name = "Bzip2Error";
}

const BLOCK_MAGIC = 0x314159265359;
const END_MAGIC = 0x177245385090;
const GROUP_SYMBOLS = 50;
const MAX_CODE_LENGTH = 20;

const CRC_TABLE = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let crc = i << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  CRC_TABLE[i] = crc;
}

/** Reads bits, most significant first, from chunks that come when they are asked for. */
class BitReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #bits = 0;
  #count = 0;
  #ended = false;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Makes sure that `bytes` more bytes can be read without waiting, unless the input ends before. */
  async prepare(bytes: number): Promise<void> {
    while (!this.#ended && this.#chunk.length - this.#at < bytes) {
      const next = await this.#source.next();
      if (next.done) {
        this.#ended = true;
        return;
      }
      this.#chunk = Buffer.concat([this.#chunk.subarray(this.#at), next.value]);
      this.#at = 0;
    }
  }

  get atEnd(): boolean {
    return this.#ended && this.#at >= this.#chunk.length;
  }

  /** At most 24 bits. */
  read(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#chunk.length) throw new Bzip2Error("unexpected end of the data");
      this.#bits = ((this.#bits << 8) | this.#chunk[this.#at++]!) & 0x7fffffff;
      this.#count += 8;
    }
    this.#count -= count;
    const value = (this.#bits >>> this.#count) & ((1 << count) - 1);
    this.#bits &= (1 << this.#count) - 1;
    return value;
  }

  readWide(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left -= 8) value = value * 256 + this.read(8);
    return value;
  }

  alignToByte(): void {
    this.#bits = 0;
    this.#count = 0;
  }
}

/** Decompressed pieces, a block each. Throws a Bzip2Error for damaged or unfinished data. */
export async function* decompressBzip2(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const bits = new BitReader(source);
  for (let first = true; ; first = false) {
    await bits.prepare(16);
    if (bits.atEnd && !first) return;
    if (bits.read(8) !== 0x42 || bits.read(8) !== 0x5a || bits.read(8) !== 0x68) throw new Bzip2Error("no bzip2 data");
    const level = bits.read(8) - 0x30;
    if (level < 1 || level > 9) throw new Bzip2Error("no bzip2 data");
    const blockSize = level * 100_000;
    const table = new Uint32Array(blockSize);
    let streamCrc = 0;
    for (;;) {
      // A block is never longer than its content and the tables with it.
      await bits.prepare(blockSize + 65_536);
      const magic = bits.readWide(48);
      const crc = bits.readWide(32);
      if (magic === END_MAGIC) {
        if (crc !== streamCrc >>> 0) throw new Bzip2Error("the checksum of the stream is wrong");
        break;
      }
      if (magic !== BLOCK_MAGIC) throw new Bzip2Error("a block does not begin as it should");
      const block = readBlock(bits, table);
      if (crcOf(block) !== crc) throw new Bzip2Error("the checksum of a block is wrong");
      streamCrc = ((streamCrc << 1) | (streamCrc >>> 31)) ^ crc;
      yield block;
    }
    bits.alignToByte();
  }
}

function crcOf(bytes: Uint8Array): number {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = (crc << 8) ^ CRC_TABLE[((crc >>> 24) ^ bytes[i]!) & 0xff]!;
  return ~crc >>> 0;
}

function readBlock(bits: BitReader, table: Uint32Array): Buffer {
  if (bits.read(1) !== 0) throw new Bzip2Error("the obsolete randomised form is not supported");
  const origin = bits.read(24);
  const symbols = readSymbolMap(bits);
  const tableCount = bits.read(3);
  if (tableCount < 2 || tableCount > 6) throw new Bzip2Error("a wrong number of code tables");
  const selectors = readSelectors(bits, tableCount);
  const decoders = Array.from({ length: tableCount }, () => readDecoder(bits, symbols.length + 2));
  const length = readMoveToFront(bits, symbols, selectors, decoders, table);
  if (origin >= length) throw new Bzip2Error("the origin lies outside of the block");
  return invert(table, length, origin);
}

function readSymbolMap(bits: BitReader): number[] {
  const rows = bits.read(16);
  const symbols: number[] = [];
  for (let row = 0; row < 16; row++) {
    if ((rows & (0x8000 >> row)) === 0) continue;
    const columns = bits.read(16);
    for (let column = 0; column < 16; column++) if (columns & (0x8000 >> column)) symbols.push(row * 16 + column);
  }
  if (symbols.length === 0) throw new Bzip2Error("a block without symbols");
  return symbols;
}

function readSelectors(bits: BitReader, tableCount: number): Uint8Array {
  const count = bits.read(15);
  const order = Array.from({ length: tableCount }, (_, i) => i);
  const selectors = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    let index = 0;
    while (bits.read(1) === 1) if (++index >= tableCount) throw new Bzip2Error("a wrong selector");
    const [chosen] = order.splice(index, 1);
    order.unshift(chosen!);
    selectors[i] = chosen!;
  }
  return selectors;
}

/** A canonical Huffman code: for each length the largest code, and where its symbols lie. */
interface Decoder {
  readonly minimum: number;
  readonly limit: Int32Array;
  readonly base: Int32Array;
  readonly symbols: readonly number[];
}

function readDecoder(bits: BitReader, symbolCount: number): Decoder {
  const lengths = new Uint8Array(symbolCount);
  let length = bits.read(5);
  for (let i = 0; i < symbolCount; i++) {
    for (;;) {
      if (length < 1 || length > MAX_CODE_LENGTH) throw new Bzip2Error("a wrong code length");
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths[i] = length;
  }
  const limit = new Int32Array(MAX_CODE_LENGTH + 1).fill(-1);
  const base = new Int32Array(MAX_CODE_LENGTH + 1);
  const symbols: number[] = [];
  let code = 0;
  for (let size = 1; size <= MAX_CODE_LENGTH; size++) {
    base[size] = symbols.length - code;
    for (let i = 0; i < symbolCount; i++) if (lengths[i] === size) symbols.push(i);
    const count = symbols.length - base[size]! - code;
    code += count;
    if (count > 0) limit[size] = code - 1;
    code <<= 1;
  }
  return { minimum: Math.min(...lengths), limit, base, symbols };
}

function decode(bits: BitReader, decoder: Decoder): number {
  let length = decoder.minimum;
  let code = bits.read(length);
  while (code > decoder.limit[length]!) {
    if (++length > MAX_CODE_LENGTH) throw new Bzip2Error("a wrong code");
    code = (code << 1) | bits.read(1);
  }
  const symbol = decoder.symbols[decoder.base[length]! + code];
  if (symbol === undefined) throw new Bzip2Error("a wrong code");
  return symbol;
}

/** Undoes run lengths and move-to-front; leaves the last column of the sorted rotations in the table. Returns its length. */
function readMoveToFront(
  bits: BitReader,
  symbols: readonly number[],
  selectors: Uint8Array,
  decoders: readonly Decoder[],
  table: Uint32Array,
): number {
  const order = [...symbols];
  const endOfBlock = symbols.length + 1;
  let length = 0;
  let run = 0;
  let runBit = 1;
  let group = -1;
  let left = 0;
  const put = (value: number, count: number) => {
    if (length + count > table.length) throw new Bzip2Error("a block is longer than its stream allows");
    table.fill(value, length, length + count);
    length += count;
  };
  for (;;) {
    if (left === 0) {
      left = GROUP_SYMBOLS;
      if (++group >= selectors.length) throw new Bzip2Error("too few selectors");
    }
    left -= 1;
    const symbol = decode(bits, decoders[selectors[group]!]!);
    if (symbol <= 1) {
      if (runBit > table.length * 2) throw new Bzip2Error("a run is too long");
      run += runBit << symbol;
      runBit <<= 1;
      continue;
    }
    if (run > 0) {
      put(order[0]!, run);
      run = 0;
      runBit = 1;
    }
    if (symbol === endOfBlock) return length;
    const [value] = order.splice(symbol - 1, 1);
    order.unshift(value!);
    put(value!, 1);
  }
}

/** Undoes the Burrows-Wheeler transform and the run lengths of the first stage. */
function invert(table: Uint32Array, length: number, origin: number): Buffer {
  const starts = new Uint32Array(256);
  for (let i = 0; i < length; i++) starts[table[i]! & 0xff]! += 1;
  for (let value = 0, sum = 0; value < 256; value++) {
    const count = starts[value]!;
    starts[value] = sum;
    sum += count;
  }
  for (let i = 0; i < length; i++) {
    const value = table[i]! & 0xff;
    table[starts[value]!]! |= i << 8;
    starts[value]! += 1;
  }
  const pieces: Buffer[] = [];
  let out = Buffer.allocUnsafe(Math.max(length, 1024));
  let filled = 0;
  let at = table[origin]! >>> 8;
  let previous = -1;
  let repeats = 0;
  for (let i = 0; i < length; i++) {
    const entry = table[at]!;
    const value = entry & 0xff;
    at = entry >>> 8;
    // After four equal bytes comes how many more of them there are.
    const count = repeats === 4 ? value : 1;
    if (filled + count > out.length) {
      pieces.push(out.subarray(0, filled));
      out = Buffer.allocUnsafe(Math.max(length, 1024));
      filled = 0;
    }
    if (repeats === 4) {
      out.fill(previous, filled, filled + count);
      repeats = 0;
      previous = -1;
    } else {
      out[filled] = value;
      repeats = value === previous ? repeats + 1 : 1;
      previous = value;
    }
    filled += count;
  }
  pieces.push(out.subarray(0, filled));
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
