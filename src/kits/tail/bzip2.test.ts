import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { Bzip2Error, decompressBzip2 } from "./bzip2.ts";

function compress(data: Uint8Array, level = 1): Buffer {
  return spawnSync("bzip2", ["-c", `-${level}`], { input: data, maxBuffer: 1 << 28 }).stdout;
}

async function decompress(data: Uint8Array, cuts: readonly number[] = []): Promise<Buffer> {
  async function* pieces() {
    let from = 0;
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      const to = Math.min(cut, data.length);
      yield data.subarray(from, to);
      from = to;
    }
    yield data.subarray(from);
  }
  const out: Buffer[] = [];
  for await (const piece of decompressBzip2(pieces())) out.push(piece);
  return Buffer.concat(out);
}

test("undoes what bzip2 does, over several blocks and streams", async () => {
  const inputs = [
    Buffer.alloc(0),
    Buffer.from("a"),
    Buffer.alloc(300_000, "x"),
    Buffer.from("abc".repeat(1000)),
    randomBytes(250_000),
    Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join("")),
  ];
  for (const input of inputs) {
    assert.ok((await decompress(compress(input))).equals(input));
    assert.ok((await decompress(compress(input, 9), [1, 5, 100, 1000])).equals(input));
  }
  const joined = Buffer.concat([compress(Buffer.from("one\n")), compress(Buffer.from("two\n"), 9)]);
  assert.equal((await decompress(joined)).toString(), "one\ntwo\n");
});

test("any bytes survive, whatever the chunks", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc
      .array(fc.tuple(fc.nat(3), fc.nat(600)))
      .map((runs) => Buffer.concat(runs.map(([byte, count]) => Buffer.alloc(count, byte)))),
  );
  await fc.assert(
    fc.asyncProperty(bytes, fc.array(fc.nat(3000), { maxLength: 5 }), async (input, cuts) => {
      assert.ok((await decompress(compress(input), cuts)).equals(input));
    }),
    { numRuns: 40 },
  );
});

test("notices damage and missing ends", async () => {
  const text = "some text that is compressed ".repeat(50);
  const whole = compress(Buffer.from(text));
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const damaged = Buffer.from(whole);
      damaged[at]! ^= change;
      // Some bits change nothing: padding, a larger block size, a starting point that is as good in periodic text.
      const outcome = await decompress(damaged).then(
        (content) => Buffer.from(content).toString(),
        (error: unknown) => error,
      );
      if (outcome !== text) assert.ok(outcome instanceof Bzip2Error, String(outcome));
    }),
    { numRuns: 60, examples: [[16, 2]] },
  );
  for (let length = 0; length < whole.length; length += 7)
    await assert.rejects(decompress(whole.subarray(0, length)), Bzip2Error);
});
