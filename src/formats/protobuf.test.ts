import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { ProtobufError, ProtoReader, ProtoWriter, varintLength } from "./protobuf.ts";

const { Message } = protobuf.parse(`
  syntax = "proto3";
  message Message {
    uint32 a = 1; int32 b = 2; sint32 c = 3; bool d = 4; uint64 e = 5; int64 f = 6; sint64 g = 7;
    fixed32 h = 8; fixed64 i = 9; sfixed64 j = 10; float k = 11; double l = 12; string m = 13; bytes n = 14;
    repeated Message o = 1000;
  }`).root as unknown as { Message: protobuf.Type };

interface Fields {
  a: number;
  b: number;
  c: number;
  d: boolean;
  e: bigint;
  f: bigint;
  g: bigint;
  h: number;
  i: bigint;
  j: bigint;
  k: number;
  l: number;
  m: string;
  n: Uint8Array;
  o: Fields[];
}

const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
function messageOf(depth: number): fc.Arbitrary<Fields> {
  return fc.record({
    a: fc.nat({ max: 2 ** 32 - 1 }),
    b: fc.integer(),
    c: fc.integer(),
    d: fc.boolean(),
    e: uint64,
    f: int64,
    g: int64,
    h: fc.nat({ max: 2 ** 32 - 1 }),
    i: uint64,
    j: int64,
    k: fc.float(),
    l: fc.double(),
    m: fc.string({ unit: "binary", maxLength: 300 }),
    n: fc.uint8Array({ maxLength: 300 }),
    o: depth === 0 ? fc.constant([]) : fc.array(messageOf(depth - 1), { maxLength: 3 }),
  });
}
const message = messageOf(3);

function write(writer: ProtoWriter, fields: Fields): void {
  writer.uint32(1, fields.a);
  writer.int32(2, fields.b);
  writer.sint32(3, fields.c);
  writer.bool(4, fields.d);
  writer.int64(5, fields.e);
  writer.int64(6, fields.f);
  writer.sint64(7, fields.g);
  writer.fixed32(8, fields.h);
  writer.fixed64Big(9, fields.i);
  writer.fixed64Big(10, fields.j);
  writer.float(11, fields.k);
  writer.double(12, fields.l);
  writer.string(13, fields.m);
  writer.bytes(14, fields.n);
  for (const each of fields.o) {
    const mark = writer.begin(1000);
    write(writer, each);
    writer.end(mark);
  }
}

function read(reader: ProtoReader): Fields {
  const fields: Partial<Fields> & { o: Fields[] } = { o: [] };
  while (!reader.done) {
    const tag = reader.tag();
    switch (tag) {
      case 8:
        fields.a = reader.uint32();
        break;
      case 16:
        fields.b = reader.int32();
        break;
      case 24:
        fields.c = reader.sint32();
        break;
      case 32:
        fields.d = reader.bool();
        break;
      case 40:
        fields.e = reader.uint64();
        break;
      case 48:
        fields.f = reader.int64();
        break;
      case 56:
        fields.g = reader.sint64();
        break;
      case 69:
        fields.h = reader.fixed32();
        break;
      case 73:
        fields.i = reader.fixed64();
        break;
      case 81:
        fields.j = reader.sfixed64();
        break;
      case 93:
        fields.k = reader.float();
        break;
      case 97:
        fields.l = reader.double();
        break;
      case 106:
        fields.m = reader.string();
        break;
      case 114:
        fields.n = reader.lengthDelimited();
        break;
      case 8002: {
        const outer = reader.enter();
        fields.o.push(read(reader));
        reader.leave(outer);
        break;
      }
      default:
        reader.skip(tag);
    }
  }
  return fields as Fields;
}

/** protobufjs's view of the same fields, with its 64-bit numbers as text. */
function plain(fields: Fields): Record<string, unknown> {
  const { e, f, g, i, j, n, o, ...rest } = fields;
  const text = { e: `${e}`, f: `${f}`, g: `${g}`, i: `${i}`, j: `${j}` };
  return { ...rest, ...text, n: Buffer.from(n).toString("base64"), o: o.map(plain) };
}

const asPlain = { longs: String, bytes: String, defaults: true, arrays: true } as const;

test("what is written is what protobufjs reads, and reads back the same", () => {
  const writer = new ProtoWriter(16);
  fc.assert(
    fc.property(message, (fields) => {
      writer.reset();
      write(writer, fields);
      const bytes = writer.finish();
      assert.deepEqual(Message.toObject(Message.decode(bytes), asPlain), plain(fields));
      assert.deepEqual(plain(read(new ProtoReader(bytes))), plain(fields));
    }),
    { numRuns: 300 },
  );
});

test("nothing is lost when the buffer grows, whatever its size at that moment", () => {
  for (let initial = 16; initial < 120; initial++) {
    for (const text of ["#", "é", "x".repeat(9), "y".repeat(40)]) {
      const writer = new ProtoWriter(initial);
      const expected: string[] = [];
      for (let i = 0; i < 12; i++) {
        const mark = writer.begin(1);
        writer.string(13, text);
        writer.end(mark);
        expected.push(text);
      }
      const reader = new ProtoReader(writer.view());
      const seen: string[] = [];
      while (!reader.done) {
        reader.tag();
        const outer = reader.enter();
        reader.tag();
        seen.push(reader.string());
        reader.leave(outer);
      }
      assert.deepEqual(seen, expected);
    }
  }
});

test("reads what protobufjs writes, from the middle of a larger array", () => {
  fc.assert(
    fc.property(message, fc.nat({ max: 9 }), (fields, before) => {
      const encoded = Message.encode(Message.fromObject(plain(fields))).finish();
      const padded = new Uint8Array(encoded.length + before + 3).fill(255);
      padded.set(encoded, before);
      const decoded = read(new ProtoReader(padded, before, before + encoded.length));
      // Defaults are not on the wire, so both sides are completed by protobufjs.
      const again = Message.toObject(Message.decode(encoded), asPlain);
      for (const [key, value] of Object.entries(plain({ ...fillDefaults(), ...decoded, o: [] }))) {
        if (key !== "o") assert.deepEqual(value, again[key], key);
      }
      assert.equal(decoded.o.length, fields.o.length);
    }),
    { numRuns: 200 },
  );
});

function fillDefaults(): Fields {
  const zero = { a: 0, b: 0, c: 0, d: false, e: 0n, f: 0n, g: 0n, h: 0, i: 0n, j: 0n };
  return { ...zero, k: 0, l: 0, m: "", n: new Uint8Array(0), o: [] };
}

test("every truncation of a message fails or ends at a field's border; nothing is read beyond the end", () => {
  fc.assert(
    fc.property(message, fc.nat(), (fields, cut) => {
      const writer = new ProtoWriter();
      write(writer, fields);
      const bytes = writer.finish();
      const end = cut % bytes.length;
      const reader = new ProtoReader(bytes, 0, end);
      try {
        read(reader);
        assert.equal(reader.position, end);
      } catch (error) {
        assert.ok(error instanceof ProtobufError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("random bytes never make the reader run wild", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const reader = new ProtoReader(bytes);
      try {
        while (!reader.done) reader.skip(reader.tag());
        assert.equal(reader.position, bytes.length);
      } catch (error) {
        assert.ok(error instanceof ProtobufError, String(error));
      }
    }),
    { numRuns: 5_000 },
  );
});

test("varints: halves, doubles and lengths agree for all widths", () => {
  fc.assert(
    fc.property(uint64, (value) => {
      const writer = new ProtoWriter();
      writer.int64(1, value);
      const bytes = writer.finish();
      const reader = new ProtoReader(bytes);
      reader.tag();
      const low = reader.varint();
      assert.equal((BigInt(reader.high) << 32n) | BigInt(low), value);
      assert.ok(reader.done);
      if (value <= 2n ** 53n) {
        assert.equal(varintLength(Number(value)), bytes.length - 1);
        writer.reset();
        writer.int64(1, Number(value));
        assert.deepEqual(writer.finish(), bytes);
        assert.equal(new ProtoReader(bytes, 1).uint64Number(), Number(value));
      }
    }),
  );
  const minusOne = new ProtoWriter();
  minusOne.int64(1, -1);
  assert.equal(new ProtoReader(minusOne.view(), 1).int64Number(), -1);
});

test("what is no protobuf is named", () => {
  const cases: [name: string, bytes: number[], message: RegExp][] = [
    ["varint of eleven bytes", [8, ...Array(10).fill(0xff), 1], /longer than 64 bits/],
    ["length beyond the end", [10, 5, 1], /beyond the end/],
    ["length beyond 2^32", [10, 0x80, 0x80, 0x80, 0x80, 0x80, 1], /beyond the end/],
    ["field 0", [0, 1], /invalid field number/],
    ["wire type 7", [15, 1], /wire type 7/],
    ["end of a group that did not begin", [12], /wire type 4/],
    ["group closed by another", [11, 20], /did not begin/],
    ["group without an end", [11], /truncated/],
    ["groups in groups", Array(100).fill(11), /nested too deeply/],
  ];
  for (const [name, bytes, expected] of cases) {
    const reader = new ProtoReader(Uint8Array.from(bytes));
    assert.throws(() => reader.skip(reader.tag()), { name: "ProtobufError", message: expected }, name);
  }
  const grouped = new ProtoReader(Uint8Array.from([11, 8, 1, 19, 20, 12, 8, 7]));
  grouped.skip(grouped.tag());
  assert.equal(grouped.tag(), 8);
  assert.equal(grouped.uint32(), 7);
});
