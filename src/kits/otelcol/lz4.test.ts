import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readLz4Frames, xxh32 } from "./lz4.ts";

/** A frame as an encoder would write it: literals, and matches of `distance` for runs. */
function frame(
  blocks: readonly { readonly packed: boolean; readonly data: Uint8Array }[],
  content: Buffer,
  flags = 0x64,
): Buffer {
  const header = Buffer.from([flags, 0x70]);
  const parts: Uint8Array[] = [
    Buffer.from([0x04, 0x22, 0x4d, 0x18]),
    header,
    Buffer.from([(xxh32(header, 0, 2) >>> 8) & 255]),
  ];
  for (const { packed, data } of blocks) {
    const size = Buffer.alloc(4);
    size.writeUInt32LE((data.length | (packed ? 0 : 0x80000000)) >>> 0);
    parts.push(size, data);
  }
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(xxh32(content, 0, content.length), 4);
  return Buffer.concat([...parts, tail]);
}

/** Literals, then `count` (at least 4) bytes from `distance` back, then the last five literals. */
function sequence(literals: Buffer, distance: number, count: number, last: Buffer) {
  const extended = (value: number) => {
    const bytes: number[] = [];
    if (value < 15) return bytes;
    let rest = value - 15;
    for (; rest >= 255; rest -= 255) bytes.push(255);
    return [...bytes, rest];
  };
  const token = (Math.min(15, literals.length) << 4) | Math.min(15, count - 4);
  return Buffer.concat([
    Buffer.from([token, ...extended(literals.length)]),
    literals,
    Buffer.from([distance & 255, distance >> 8, ...extended(count - 4)]),
    Buffer.from([Math.min(15, last.length) << 4, ...extended(last.length)]),
    last,
  ]);
}

test("xxHash32 agrees with its published values", () => {
  const hash = (text: string) => xxh32(Buffer.from(text), 0, Buffer.byteLength(text)).toString(16);
  assert.equal(hash(""), "2cc5d05");
  assert.equal(hash("a"), "550d7456");
  assert.equal(hash("abc"), "32d153ff");
  assert.equal(hash("Nobody inspects the spammish repetition"), "e2293b2f");
});

test("reads the frame that the lz4 tool makes", () => {
  // printf 'hello hello hello hello hello\n' | lz4 -c | xxd -p
  const hex = "04224d186440a7100000006f68656c6c6f2006000050656c6c6f0a000000002d820339";
  assert.equal(String(readLz4Frames(Buffer.from(hex, "hex"), 100)), "hello hello hello hello hello\n");
  const skippable = "5a2a4d1803000000aabbcc";
  assert.equal(String(readLz4Frames(Buffer.from(skippable + hex, "hex"), 100)), "hello hello hello hello hello\n");
});

test("literals and overlapping matches of all lengths, in several blocks and frames", () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 400 }).map((value) => Buffer.from(value));
  const block = fc.tuple(bytes, fc.nat(), fc.integer({ min: 4, max: 900 }), bytes);
  fc.assert(
    fc.property(fc.array(block, { minLength: 1, maxLength: 4 }), fc.boolean(), (blocks, plain) => {
      const parts = blocks.map(([literals, where, count, last]) => {
        const distance = (where % literals.length) + 1;
        const content = Buffer.alloc(literals.length + count);
        literals.copy(content);
        for (let i = literals.length; i < content.length; i++) content[i] = content[i - distance]!;
        const whole = Buffer.concat([content, last]);
        return {
          whole,
          block: plain
            ? { packed: false, data: whole }
            : { packed: true, data: sequence(literals, distance, count, last) },
        };
      });
      const content = Buffer.concat(parts.map((each) => each.whole));
      const one = frame(
        parts.map((each) => each.block),
        content,
      );
      assert.deepEqual(Buffer.from(readLz4Frames(one, content.length)), content);
      assert.deepEqual(
        Buffer.from(readLz4Frames(Buffer.concat([one, one]), content.length * 2)),
        Buffer.concat([content, content]),
      );
      assert.throws(() => readLz4Frames(one, content.length - 1), /larger than/);
    }),
  );
});

test("damage is found, and never reads beyond the input", () => {
  const content = Buffer.from("some content, some content, some content");
  const good = frame(
    [{ packed: true, data: sequence(content.subarray(0, 14), 14, 21, content.subarray(35)) }],
    content,
  );
  assert.deepEqual(Buffer.from(readLz4Frames(good, 100)), content);
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(), (at, change, cut) => {
      const damaged = Buffer.from(good.subarray(0, good.length - (cut % 3)));
      damaged[at % damaged.length]! ^= change;
      try {
        const out = Buffer.from(readLz4Frames(damaged, 1_000));
        assert.ok(out.length === 0 || out.equals(content));
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof RangeError), String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
