import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { COMPRESSIONS, CompressionError, compressBody, decompressBody } from "./compression.ts";

const content = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat({ max: 6_000 })).map(([bytes, times]) => {
    return Buffer.concat(Array.from({ length: times }, () => bytes));
  }),
);

test("every encoding gives back what went in, over HTTP and gRPC", async () => {
  await fc.assert(
    fc.asyncProperty(
      content,
      fc.constantFrom(...COMPRESSIONS),
      fc.constantFrom("http", "grpc"),
      async (body, name, transport) => {
        const packed = await compressBody(body, name, undefined, transport as "http" | "grpc");
        const encoding = name === "none" ? "" : name;
        assert.deepEqual(
          Buffer.from(await decompressBody(packed, encoding, Math.max(1, body.length))),
          Buffer.from(body),
        );
      },
    ),
    { numRuns: 120 },
  );
});

test("a bomb is refused before it is unpacked, a damaged body with its reason", async () => {
  const large = Buffer.alloc(3_000_000);
  for (const name of ["gzip", "zlib", "zstd", "snappy"] as const) {
    for (const transport of ["http", "grpc"] as const) {
      const packed = await compressBody(large, name, undefined, transport);
      await assert.rejects(async () => decompressBody(packed, name, 1_000_000), {
        name: "CompressionError",
        tooLarge: true,
      });
      const damaged = Buffer.from(packed.subarray(0, packed.length >> 1));
      await assert.rejects(
        async () => decompressBody(damaged, name, 4_000_000),
        (error: CompressionError) => {
          assert.ok(error instanceof CompressionError);
          assert.equal(error.tooLarge, false, `${name} ${transport}: ${error.message}`);
          return true;
        },
      );
    }
  }
});

test("levels are those of zlib", async () => {
  const body = Buffer.from("abc".repeat(1000) + "bca".repeat(1000));
  assert.deepEqual(await compressBody(body, "gzip", 1, "http"), gzipSync(body, { level: 1 }));
});

test("random bytes as framed snappy never get through unchecked", async () => {
  const framed = Buffer.from(await compressBody(Buffer.from("some content ".repeat(9)), "snappy", undefined, "grpc"));
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const damaged = Buffer.from(framed);
      const index = 10 + (at % (damaged.length - 10));
      damaged[index] = damaged[index]! ^ change;
      try {
        const out = await decompressBody(damaged, "snappy", 1_000);
        // A chunk of skippable type may vanish; content is never wrong.
        assert.ok(out.length === 0 || Buffer.from(out).toString() === "some content ".repeat(9));
      } catch (error) {
        assert.ok(error instanceof CompressionError);
      }
    }),
    { numRuns: 300 },
  );
});
