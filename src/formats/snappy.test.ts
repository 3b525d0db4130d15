import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import fc from "fast-check";
import { compress, joinCompressed, SnappyError, uncompress, uncompressedLength } from "./snappy.ts";

const LIMIT = 1 << 24;
const reference: {
  compress(input: Uint8Array): Uint8Array;
  uncompress(input: Uint8Array): Uint8Array;
} = createRequire(import.meta.url)("snappyjs"); // it has no types

/** Content of random bytes and of repetitions, so that literals and copies of all kinds appear. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 70 }), fc.integer({ min: 1, max: 300 }))
        .map(([unit, times]) => Uint8Array.from({ length: unit.length * times }, (_, i) => unit[i % unit.length]!)),
    ),
    { maxLength: 12 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)));

test("what one implementation compresses the other reads", () => {
  fc.assert(
    fc.property(content, (bytes) => {
      const block = compress(bytes);
      assert.equal(uncompressedLength(block), bytes.length);
      assert.deepEqual(uncompress(block, LIMIT), bytes);
      assert.deepEqual(new Uint8Array(reference.uncompress(block)), bytes);
      assert.deepEqual(uncompress(reference.compress(bytes), LIMIT), bytes);
    }),
  );
});

test("joined blocks are one block with the joined content", () => {
  fc.assert(
    fc.property(fc.array(content, { maxLength: 6 }), (parts) => {
      const joined = Buffer.concat(joinCompressed(parts.map(compress)));
      const expected = new Uint8Array(Buffer.concat(parts));
      assert.deepEqual(uncompress(joined, LIMIT), expected);
      assert.deepEqual(new Uint8Array(reference.uncompress(joined)), expected);
    }),
  );
});

test("damaged blocks are refused or give content within the limit, and later blocks are unharmed", () => {
  const good = compress(Buffer.from("all is well, all is well, all is well"));
  fc.assert(
    fc.property(content, fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 4 }), (bytes, random, damages) => {
      const block = compress(bytes);
      const draw = (below: number) => (below === 0 ? 0 : random.next().value! % below);
      for (let i = 0; i < damages; i++) block[draw(block.length)]! ^= 1 << draw(8);
      const cut = block.subarray(0, draw(block.length + 1));
      for (const damaged of [block, cut]) {
        try {
          assert.ok(uncompress(damaged, LIMIT).length <= LIMIT);
        } catch (error) {
          assert.ok(error instanceof SnappyError, String(error));
        }
      }
      assert.equal(Buffer.from(uncompress(good, 100)).toString(), "all is well, all is well, all is well");
    }),
    { numRuns: 500 },
  );
});

test("random bytes are refused without harm", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        uncompress(bytes, LIMIT);
      } catch (error) {
        assert.ok(error instanceof SnappyError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("content beyond the limit is refused before it is unpacked", () => {
  const block = compress(new Uint8Array(1_000_000));
  assert.throws(
    () => uncompress(block, 999_999),
    (error: SnappyError) => error.tooLarge,
  );
  assert.equal(uncompress(block, 1_000_000).length, 1_000_000);
});

test("a claimed length that cannot be true allocates nothing", () => {
  const bomb = Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61]);
  assert.equal(uncompressedLength(bomb), 2 ** 32 - 1);
  assert.throws(() => uncompress(bomb, 2 ** 33), /cannot be in it/);
  assert.throws(() => uncompress(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0x1f]), 2 ** 40), /no length/);
  assert.throws(() => uncompress(new Uint8Array(), 10), /no length/);
});

test("empty content", () => {
  assert.deepEqual([...compress(new Uint8Array())], [0]);
  assert.equal(uncompress(Uint8Array.from([0]), 0).length, 0);
  assert.deepEqual(
    joinCompressed([]).map((part) => [...part]),
    [[0]],
  );
});

test("the module's memory does not grow with the number of calls", () => {
  const bytes = new Uint8Array(200_000).map((_, i) => (i * 31) >> 3);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 2000; i++) uncompress(compress(bytes), LIMIT);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 300e6, `${grown} bytes more`);
});
