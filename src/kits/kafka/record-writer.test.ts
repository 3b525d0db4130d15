import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeRecordBatch, KAFKA_COMPRESSIONS, type KafkaRecord } from "./record-writer.ts";
import { RecordCursor, readBatchHeader, unpackRecords } from "./records.ts";

const bytes = fc.uint8Array({ maxLength: 200 });
const records: fc.Arbitrary<KafkaRecord[]> = fc.array(
  fc.record({
    topic: fc.constant("t"),
    key: fc.option(bytes, { nil: undefined }),
    value: bytes,
    headers: fc.array(fc.record({ name: fc.string({ unit: "grapheme", maxLength: 20 }), value: bytes }), {
      maxLength: 3,
    }),
  }),
  { minLength: 1, maxLength: 20 },
);

for (const compression of KAFKA_COMPRESSIONS) {
  test(`what the writer makes, the reader reads: ${compression}`, async () => {
    await fc.assert(
      fc.asyncProperty(records, async (given) => {
        const data = await encodeRecordBatch(given, compression, 0, 1_700_000_000_123);
        const batch = readBatchHeader(data, 0)!;
        assert.deepEqual([batch.end, batch.count, batch.firstMs], [data.length, given.length, 1_700_000_000_123]);
        const cursor = new RecordCursor(await unpackRecords(data, batch, 1 << 20), batch);
        for (const { key, value, headers } of given) {
          assert.ok(cursor.next());
          assert.deepEqual(cursor.data.subarray(cursor.keyStart, cursor.keyEnd), Buffer.from(key ?? []));
          assert.deepEqual(cursor.data.subarray(cursor.valueStart, cursor.valueEnd), Buffer.from(value));
          assert.equal(cursor.ms, 1_700_000_000_123);
          assert.deepEqual(
            cursor.headers(),
            headers.map((each) => [each.name, Buffer.from(each.value)]),
          );
        }
        assert.ok(!cursor.next());
      }),
      { numRuns: 50 },
    );
  });
}
