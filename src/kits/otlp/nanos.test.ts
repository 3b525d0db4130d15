import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtoReader, ProtoWriter } from "#formats/protobuf";
import { millisOf, nanosBeyondMillis, writeNanos } from "./nanos.ts";

test("times keep each nanosecond, both ways", () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e15, max: 1.8e13 }), fc.nat(999_999), (ms, ns) => {
      const writer = new ProtoWriter();
      writeNanos(writer, 1, ms, ns);
      const reader = new ProtoReader(writer.finish());
      assert.equal(reader.tag(), 9);
      const low = reader.fixed64Low();
      const { high } = reader;
      const nanos = (BigInt(high) << 32n) | BigInt(low);
      assert.equal(nanos, BigInt.asUintN(64, BigInt(ms) * 1_000_000n + BigInt(ns)));
      if (ms < 0) return;
      assert.equal(millisOf(low, high), ms);
      assert.equal(nanosBeyondMillis(low, high), ns);
    }),
  );
});
