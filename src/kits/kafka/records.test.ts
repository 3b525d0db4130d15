import assert from "node:assert/strict";
import { test } from "node:test";
import * as zlib from "node:zlib";
import fc from "fast-check";
import { crc32c } from "#formats/crc32c";
import { compress } from "#formats/snappy";
import { KafkaWriter, readInt64 } from "./protocol.ts";
import { RecordBatchError, RecordCursor, readBatchHeader, unpackRecords } from "./records.ts";

interface Message {
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly delta: number;
  readonly headers: readonly (readonly [string, string])[];
}

const LIMIT = 1_000_000;

function zigzag(writer: KafkaWriter, value: number): void {
  let left = value >= 0 ? value * 2 : -value * 2 - 1;
  for (; left >= 128; left = Math.floor(left / 128)) writer.int8(((left % 128) | 128) - 256);
  writer.int8(left);
}

function blob(writer: KafkaWriter, text: string | undefined): void {
  zigzag(writer, text === undefined ? -1 : Buffer.byteLength(text));
  writer.raw(Buffer.from(text ?? ""));
}

/** A batch as brokers store it; `attributes` says how `pack` packs the records. */
function batch(
  messages: readonly Message[],
  baseOffset: number,
  attributes = 0,
  pack: (records: Uint8Array) => Uint8Array = (records) => records,
): Buffer {
  const records = new KafkaWriter();
  for (const [i, { key, value, delta, headers }] of messages.entries()) {
    const record = new KafkaWriter().int8(0);
    zigzag(record, delta);
    zigzag(record, i);
    blob(record, key);
    blob(record, value);
    zigzag(record, headers.length);
    for (const each of headers.flat()) blob(record, each);
    zigzag(records, record.bytes().length);
    records.raw(record.bytes());
  }
  const checked = new KafkaWriter()
    .int16(attributes)
    .int32(Math.max(0, messages.length - 1))
    .int64(1_000)
    .int64(9_000);
  checked.int64(-1).int16(-1).int32(-1).int32(messages.length).raw(pack(records.bytes()));
  const body = checked.bytes();
  const head = new KafkaWriter()
    .int64(baseOffset)
    .int32(9 + body.length)
    .int32(-1)
    .int8(2);
  return Buffer.concat([head.int32(crc32c(body, 0, body.length) | 0).bytes(), body]);
}

async function read(bytes: Buffer): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let at = 0, header = readBatchHeader(bytes, at); header !== undefined; header = readBatchHeader(bytes, at)) {
    at = header.end;
    const cursor = new RecordCursor(await unpackRecords(bytes, header, LIMIT), header);
    while (cursor.next()) {
      const { data, offset, ms } = cursor;
      const key = data.toString("utf8", cursor.keyStart, cursor.keyEnd);
      const value = data.toString("utf8", cursor.valueStart, cursor.valueEnd);
      found.push({
        offset,
        ms,
        key,
        value,
        headers: cursor.headers().map(([name, bytes]) => [name, bytes.toString()]),
      });
    }
  }
  return found;
}

const messages = fc.array(
  fc.record({
    key: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
    value: fc.option(fc.string({ unit: "grapheme", maxLength: 300 }), { nil: undefined }),
    delta: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    headers: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 3 }),
  }),
  { maxLength: 20 },
);

const PACKINGS: readonly (readonly [attributes: number, pack: (bytes: Uint8Array) => Uint8Array])[] = [
  [0, (bytes) => bytes],
  [1, (bytes) => zlib.gzipSync(bytes)],
  [2, (bytes) => compress(bytes)],
  [2, (bytes) => xerial(bytes)],
  [4, (bytes) => zlib.zstdCompressSync(bytes)],
];

/** As the snappy library for Java writes it: in blocks. */
function xerial(bytes: Uint8Array): Buffer {
  const parts: Buffer[] = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])];
  const size = bytes.length > 10_000 ? 32_768 : 50;
  for (let at = 0; at < bytes.length; at += size) {
    const packed = compress(bytes.subarray(at, at + size));
    parts.push(new KafkaWriter().int32(packed.length).raw(packed).bytes());
  }
  return Buffer.concat(parts);
}

test("batches come back as they were written, packed in any way, also when the last one is cut off", async () => {
  const property = fc.asyncProperty(
    messages,
    messages,
    fc.nat(2 ** 50),
    fc.nat(4),
    fc.nat(),
    async (first, second, base, how, cut) => {
      const [attributes, pack] = PACKINGS[how]!;
      const last = batch(second, base + 1_000, attributes, pack);
      const bytes = Buffer.concat([
        batch(first, base, attributes, pack),
        last.subarray(0, cut % 3 === 0 ? last.length : cut % last.length),
      ]);
      const wanted = [
        ...first.map((each, i) => [each, base + i] as const),
        ...(cut % 3 === 0 ? second.map((each, i) => [each, base + 1_000 + i] as const) : []),
      ];
      assert.deepEqual(
        await read(bytes),
        wanted.map(([{ key = "", value = "", delta, headers }, offset]) => ({
          offset,
          ms: 1_000 + delta,
          key,
          value,
          headers: headers.map((each) => [...each]),
        })),
      );
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test("a damaged byte is noticed, and no damage makes anything but an error", async () => {
  const one = { key: "k", value: "some text", delta: 1, headers: [] };
  const good = batch([one, one, one], 5);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 22), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const bad = Buffer.from(good);
      bad[21 + at]! ^= flip; // what the checksum is about
      await assert.rejects(async () => read(bad), RecordBatchError);
    }),
  );
  // With a right checksum over nonsense.
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), fc.nat(5), async (noise, attributes) => {
      const bytes = batch([one, one], 5, attributes, () => noise);
      await read(bytes).catch((error) => assert.ok(error instanceof RecordBatchError, String(error)));
    }),
  );
});

test("times of appending, control batches, old formats and bombs", async () => {
  const one = { key: undefined, value: "v", delta: 7, headers: [] };
  assert.deepEqual(((await read(batch([one], 1, 1 << 3))) as { ms: number }[])[0]!.ms, 9_000);
  assert.equal(readBatchHeader(batch([one], 1, 1 << 5), 0)!.isControl, true);
  const old = batch([one], 1);
  old[16] = 1;
  assert.throws(() => readBatchHeader(old, 0), /format of Kafka before 0\.11 \(magic 1\)/);
  const bomb = batch([{ ...one, value: "x".repeat(2 * LIMIT) }], 1, 4, (bytes) => zlib.zstdCompressSync(bytes));
  const error = await unpackRecords(bomb, readBatchHeader(bomb, 0)!, LIMIT).catch((error) => error);
  assert.ok(error instanceof RecordBatchError && error.isTooLarge, String(error));
  const xerialBomb = batch([{ ...one, value: "x".repeat(2 * LIMIT) }], 1, 2, xerial);
  const again = await unpackRecords(xerialBomb, readBatchHeader(xerialBomb, 0)!, LIMIT).catch((error) => error);
  assert.ok(again instanceof RecordBatchError && again.isTooLarge, String(again));
});

test("CRC-32C has the values of RFC 3720", () => {
  const check = (bytes: Uint8Array) => crc32c(bytes, 0, bytes.length);
  assert.equal(check(Buffer.from("123456789")), 0xe3069283);
  assert.equal(check(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(check(new Uint8Array(32).fill(255)), 0x62a8ab43);
  assert.equal(check(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test("whole numbers of eight bytes", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const bytes = new KafkaWriter().int64(value).bytes();
      assert.equal(bytes.readBigInt64BE(), BigInt(value));
      assert.equal(readInt64(bytes, 0), value);
    }),
  );
});
