import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { processorMs } from "#base/processor-time.testing";
import { THRIFT, ThriftBinaryReader, ThriftCompactReader, ThriftError, type ThriftReader } from "./thrift-reader.ts";
import {
  type ThriftProtocol,
  type ThriftStruct,
  type ThriftValue,
  thriftCall,
  thriftValue,
} from "./thrift-writer.testing.ts";

const PROTOCOLS: readonly ThriftProtocol[] = ["binary", "compact"];
const readerOf = (bytes: Uint8Array, protocol: ThriftProtocol): ThriftReader =>
  protocol === "binary" ? new ThriftBinaryReader(bytes) : new ThriftCompactReader(bytes);

/** Reads any value back into the tree that it was written from. */
function readValue(reader: ThriftReader, type: number): ThriftValue {
  switch (type) {
    case THRIFT.bool:
      return { bool: reader.bool() };
    case THRIFT.i16:
      return { i16: reader.i16() };
    case THRIFT.i32:
      return { i32: reader.i32() };
    case THRIFT.i64: {
      const low = reader.i64();
      return { i64: (BigInt(reader.high) << 32n) | BigInt(low) };
    }
    case THRIFT.double: {
      const bits = Buffer.alloc(8);
      bits.writeUInt32LE(reader.double());
      bits.writeInt32LE(reader.high, 4);
      return { double: bits.readDoubleLE() };
    }
    case THRIFT.string:
      reader.string();
      return { string: reader.text() };
    case THRIFT.list: {
      const count = reader.listBegin();
      const { itemType } = reader;
      const of = (Object.keys(THRIFT) as (keyof typeof THRIFT)[]).find((name) => THRIFT[name] === itemType)!;
      return { list: Array.from({ length: count }, () => readValue(reader, itemType)), of };
    }
    default: {
      const fields: [number, ThriftValue][] = [];
      reader.structBegin();
      for (let inner = reader.fieldBegin(); inner !== THRIFT.stop; inner = reader.fieldBegin()) {
        const id = reader.field;
        fields.push([id, readValue(reader, inner)]);
      }
      reader.structEnd();
      return { struct: fields };
    }
  }
}

const { value: anyValue } = fc.letrec<{ value: ThriftValue; struct: ThriftValue }>((tie) => ({
  struct: fc
    .array(fc.tuple(fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }), tie("value")), { maxLength: 4 })
    .map((fields) => ({ struct: fields })),
  value: fc.oneof(
    { maxDepth: 5 },
    fc.boolean().map((bool) => ({ bool })),
    fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }).map((i16) => ({ i16 })),
    fc.integer().map((i32) => ({ i32 })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((i64) => ({ i64 })),
    fc.double().map((double) => ({ double })),
    fc.string({ unit: "binary" }).map((string) => ({ string })),
    fc
      .array(
        fc.bigInt({ min: -9n, max: 9n }).map((i64) => ({ i64 })),
        { maxLength: 20 },
      )
      .map((list) => ({ list, of: "i64" as const })),
    fc
      .array(
        fc.boolean().map((bool) => ({ bool })),
        { maxLength: 3 },
      )
      .map((list) => ({ list, of: "bool" as const })),
    tie("struct"),
  ),
}));

test("values come out of both protocols as they went in, and are skipped as a whole", () => {
  fc.assert(
    fc.property(anyValue, fc.constantFrom(...PROTOCOLS), (value, protocol) => {
      const message = thriftValue({ struct: [[1, value]] }, protocol);
      const reader = readerOf(message, protocol);
      assert.deepEqual(readValue(reader, THRIFT.struct), { struct: [[1, value]] });
      assert.equal(reader.position, message.length);
      const skipped = readerOf(message, protocol);
      skipped.skip(THRIFT.struct);
      assert.equal(skipped.position, message.length);
    }),
    { numRuns: 300 },
  );
});

test("any bytes are read to their end, or refused", () => {
  const start = fc.constantFrom(...Object.values(THRIFT));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), start, fc.constantFrom(...PROTOCOLS), (bytes, type, protocol) => {
      const reader = readerOf(bytes, protocol);
      try {
        reader.skip(type);
        assert.ok(reader.position <= bytes.length);
      } catch (error) {
        assert.ok(error instanceof ThriftError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("counts and lengths are believed only as far as there are bytes", () => {
  const huge: [ThriftProtocol, number, number[]][] = [
    ["binary", THRIFT.list, [THRIFT.struct, 0x7f, 0xff, 0xff, 0xff]],
    ["binary", THRIFT.map, [THRIFT.string, THRIFT.struct, 0x7f, 0xff, 0xff, 0xff]],
    ["binary", THRIFT.string, [0x7f, 0xff, 0xff, 0xff, 1]],
    ["binary", THRIFT.string, [0xff, 0xff, 0xff, 0xff]],
    ["compact", THRIFT.list, [0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]],
    ["compact", THRIFT.list, [0xf1, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ["compact", THRIFT.map, [0xff, 0xff, 0xff, 0xff, 0x07, 0x8c]],
    ["compact", THRIFT.string, [0xff, 0xff, 0xff, 0xff, 0x07]],
    ["compact", THRIFT.i64, Array(11).fill(0x80) as number[]],
  ];
  for (const [protocol, type, bytes] of huge) {
    const ms = processorMs(() =>
      assert.throws(() => readerOf(Uint8Array.from(bytes), protocol).skip(type), ThriftError),
    );
    assert.ok(ms < 100, `${protocol} ${type}: ${ms} ms`);
  }
  for (const protocol of PROTOCOLS) {
    const deep = (levels: number): ThriftStruct => (levels === 0 ? [] : [[1, { struct: deep(levels - 1) }]]);
    readerOf(thriftValue({ struct: deep(60) }, protocol), protocol).skip(THRIFT.struct);
    const nested = thriftValue({ struct: deep(70) }, protocol);
    assert.throws(() => readerOf(nested, protocol).skip(THRIFT.struct), /nested too deeply/);
  }
});

test("the head of a call: with a version and without, and that of the other protocol", () => {
  for (const protocol of PROTOCOLS) {
    const reader = readerOf(thriftCall("emitBatch", [], protocol), protocol);
    assert.equal(reader.messageBegin(), "emitBatch");
    assert.equal(reader.position, reader.bytes.length - 1);
  }
  const old = new ThriftBinaryReader(Buffer.from([0, 0, 0, 1, 0x61, 1, 0, 0, 0, 1]));
  assert.deepEqual([old.messageBegin(), old.position], ["a", 10]);
  const other = "the port of the other one is meant";
  assert.throws(() => readerOf(thriftCall("a", [], "compact"), "binary").messageBegin(), new RegExp(other));
  assert.throws(() => readerOf(thriftCall("a", [], "binary"), "compact").messageBegin(), new RegExp(other));
  assert.throws(
    () => new ThriftCompactReader(Buffer.from("GET / HTTP/1.1")).messageBegin(),
    /no message of thrift's compact/,
  );
  assert.throws(
    () => new ThriftBinaryReader(Buffer.from([0xff, 1, 2, 3])).messageBegin(),
    /no message of thrift's binary/,
  );
});
