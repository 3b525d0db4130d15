import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { Acknowledgement } from "./acknowledgement.ts";
import { LogBatchBuilder, logBatch, logEntries } from "./log-batch.ts";

const A = Labels.from([["a", "1"]]);
const B = Labels.from([["b", "2"]]);

test("what is added comes out, also after a reset", () => {
  const builder = new LogBatchBuilder();
  const entry = fc.record({
    line: fc.string({ unit: "binary", maxLength: 300 }).map((text) => text.toWellFormed()),
    labels: fc.constantFrom(A, B),
    ms: fc.integer(),
    ns: fc.nat(999_999),
    metadata: fc.constantFrom([], ["k", "v"], ["k", "v", "k2", ""]),
    asBytes: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 400, size: "max" }), fc.boolean(), (entries, take) => {
      builder.reset();
      for (const { line, labels, ms, ns, metadata, asBytes } of entries) {
        const stream = builder.streamId(labels);
        if (asBytes) {
          const bytes = Buffer.from(`<${line}>`);
          builder.add(stream, ms, ns, bytes, 1, bytes.length - 1, metadata);
        } else builder.addText(stream, ms, ns, line, metadata);
      }
      assert.equal(builder.count, entries.length);
      const batch = take ? builder.take() : builder.build();
      if (take) {
        assert.equal(builder.count, 0);
        builder.addText(builder.streamId(B), 1, 1, "overwrites nothing");
      }
      assert.deepEqual(
        [...logEntries(batch)],
        entries.map(({ line, labels, ms, ns, metadata }) => ({ labels, line, ms, ns, metadata })),
      );
      assert.ok(batch.streams.length <= 2);
    }),
    { numRuns: 50 },
  );
});

test("a batch from plain values, with its acknowledgement", () => {
  let fired = false;
  const acknowledgement = new Acknowledgement(() => {
    fired = true;
  });
  const batch = logBatch([{ line: "x" }, { line: Buffer.from([0xff]), labels: A, ms: 1, ns: 2 }], acknowledgement);
  assert.deepEqual(
    [...logEntries(batch)].map(({ labels, line, ms }) => [labels.toString(), line, ms]),
    [
      ["{}", "x", 0],
      ['{a="1"}', "\ufffd", 1],
    ],
  );
  batch.acknowledgement.release();
  assert.equal(fired, true);
});
