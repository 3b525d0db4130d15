import assert from "node:assert/strict";
import { test } from "node:test";
import { Bytes, copyRun, NO_BYTES, putVarint } from "./bytes.ts";
import { AttributeKey } from "./otlp/attribute-key.ts";
import { ProtoReader } from "./protobuf.ts";

const source = new Bytes(Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 37 + 0x7f) & 0xff)));

test("runs of every length are copied, and nothing beside them", () => {
  for (let length = 0; length < 130; length++) {
    const target = new Bytes(Buffer.alloc(200));
    assert.equal(copyRun(source, 3, 3 + length, target, 5), 5 + length);
    const wanted = Buffer.concat([Buffer.alloc(5), source.buffer.subarray(3, 3 + length), Buffer.alloc(195 - length)]);
    assert.deepEqual(Buffer.from(target.buffer), wanted, `${length} bytes`);
  }
});

test("a key is found in its place, and only there", () => {
  for (let length = 0; length < 40; length++) {
    const key = new AttributeKey("abcdefghij".repeat(4).slice(0, length));
    const text = Buffer.from(`__${key.text}__`);
    assert.ok(key.isAt(new Bytes(text).view, 2), key.text);
    for (let i = 2; i < 2 + length; i++) {
      const other = Buffer.from(text);
      other[i] = 0x58;
      assert.ok(!key.isAt(new Bytes(other).view, 2), `${key.text} at ${i}`);
    }
  }
});

test("the same bytes are wrapped once, and parts of a buffer are seen from their begin", () => {
  const part = Buffer.from("xabcd").subarray(1);
  assert.equal(Bytes.of(part), Bytes.of(part));
  assert.equal(Bytes.of(part).view.getUint8(0), 0x61);
  assert.equal(Bytes.of(Buffer.alloc(0)), NO_BYTES);
});

test("varints are put into room that is there", () => {
  for (const value of [0, 1, 127, 128, 16_383, 16_384, 2 ** 28, 2 ** 31 - 1]) {
    const target = Buffer.alloc(8);
    const end = putVarint(target, 1, value);
    const reader = new ProtoReader(target, 1, end);
    assert.deepEqual([reader.varint(), reader.position], [value, end]);
  }
});
