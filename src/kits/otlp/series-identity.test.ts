import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { POINT } from "#formats/otlp/fields";
import { NumberPointScan } from "#formats/otlp/number-scan";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey } from "#formats/otlp/values";
import { SeriesKey } from "./series-identity.ts";

interface Attribute {
  readonly key: string;
  readonly value: object;
}

/** The attributes of the only span in a request that protobufjs wrote. */
function attributesOf(attributes: readonly Attribute[]) {
  const bytes = oracleEncode("traces", { resourceSpans: [{ scopeSpans: [{ spans: [{ attributes }] }] }] });
  const span = new OtlpRecord().reset(bytes).list(1).at(0).list(2).at(0).list(2).at(0);
  return span.map(9);
}
const keyOf = (attributes: readonly Attribute[]) => hex(new SeriesKey().attributes(attributesOf(attributes)));
const hex = (key: SeriesKey) => key.bytes.toString("hex", 0, key.length);
/** Attributes as they lie in a data point: `[key, encoded AnyValue]`. */
function rawKey(entries: readonly (readonly [key: string, value: readonly number[]])[]): string {
  const fields = entries.map(([key, value]) => {
    const body = [10, key.length, ...Buffer.from(key), 18, value.length, ...value];
    return [(POINT.attributes.number << 3) | 2, body.length, ...body];
  });
  const point = new OtlpRecord().reset(Buffer.from(fields.flat()));
  return hex(new SeriesKey().attributes(point.map(POINT.attributes.number)));
}

const scalar = fc.oneof(
  fc.string().map((stringValue) => ({ stringValue })),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((each) => ({ intValue: String(each) })),
  fc.double({ noNaN: true }).map((doubleValue) => ({ doubleValue })),
  fc.boolean().map((boolValue) => ({ boolValue })),
  fc.uint8Array({ maxLength: 5 }).map((each) => ({ bytesValue: Buffer.from(each).toString("base64") })),
  fc.constant({}),
);
const value = fc.oneof(
  { weight: 5, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }).map((values) => ({ arrayValue: { values } })) },
);
const attributes = fc
  .dictionary(fc.string({ maxLength: 4 }), value, { maxKeys: 40, size: "max" })
  .map((entries) => Object.entries(entries).map(([key, each]) => ({ key, value: each })));

test("the order of attributes does not matter", () => {
  const shuffled = attributes.chain((given) =>
    fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length })),
  );
  fc.assert(
    fc.property(shuffled, ([one, other]) => {
      assert.equal(keyOf(one), keyOf(other));
      const nested = (values: readonly Attribute[]) => [{ key: "map", value: { kvlistValue: { values } } }];
      assert.equal(keyOf(nested(one)), keyOf(nested(other)));
    }),
  );
});

test("other attributes make another key", () => {
  fc.assert(
    fc.property(attributes, attributes, (one, other) => {
      const sorted = (list: readonly Attribute[]) =>
        list.map((each) => JSON.stringify(each, (_, v) => (Object.is(v, -0) ? "-0" : v))).sort();
      const areSame = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
      assert.equal(keyOf(one) === keyOf(other), areSame);
    }),
  );
  const texts = ["1", "true", ""].map((stringValue) => keyOf([{ key: "a", value: { stringValue } }]));
  const others = [{ intValue: "1" }, { boolValue: true }, {}, { doubleValue: 1 }, { bytesValue: "MQ==" }];
  assert.equal(new Set([...texts, ...others.map((each) => keyOf([{ key: "a", value: each }]))]).size, 8);
  assert.notEqual(keyOf([{ key: "ab", value: {} }]), keyOf([{ key: "a", value: { stringValue: "b" } }]));
});

test("the spelling of values does not matter", () => {
  const plain = rawKey([
    ["n", [24, 1]],
    ["t", [10, 1, 97]],
  ]);
  // A varint with a zero too many, a value that comes twice, a length with a zero too many.
  assert.equal(
    rawKey([
      ["t", [10, 0x81, 0, 97]],
      ["n", [24, 0x81, 0]],
    ]),
    plain,
  );
  assert.equal(
    rawKey([
      ["n", [24, 7, 24, 1]],
      ["t", [10, 1, 97]],
    ]),
    plain,
  );
});

test("of a key that comes twice the first value counts, as in the Collector", () => {
  const twice = (...values: number[]) => rawKey(values.map((each) => ["k", [24, each]] as const));
  assert.equal(twice(1, 2), twice(1, 3));
  assert.notEqual(twice(1, 2), twice(2, 1));
  assert.notEqual(twice(1, 1), twice(1));
});

test("edited attributes have the key that they would have had", () => {
  const map = attributesOf([
    { key: "b", value: { stringValue: "x" } },
    { key: "a", value: { intValue: "1" } },
  ]);
  map.set(new AttributeKey("b"), "y");
  map.append("c", true);
  const expected = keyOf([
    { key: "a", value: { intValue: "1" } },
    { key: "b", value: { stringValue: "y" } },
    { key: "c", value: { boolValue: true } },
  ]);
  assert.equal(hex(new SeriesKey().attributes(map)), expected);
});

test("the attributes of a scanned point have the same key, in whatever order those before came", () => {
  const key = new SeriesKey();
  const scan = new NumberPointScan();
  fc.assert(
    fc.property(attributes, (given) => {
      const dataPoints = [{ attributes: given, timeUnixNano: "1", asDouble: 1 }];
      const bytes = oracleEncode("metrics", {
        resourceMetrics: [{ scopeMetrics: [{ metrics: [{ sum: { dataPoints } }] }] }],
      });
      const metric = new OtlpRecord().reset(bytes).list(1).at(0).list(2).at(0).list(2).at(0);
      const point = Buffer.from(metric.record(7).list(1).at(0).encode());
      const view = new DataView(point.buffer, point.byteOffset, point.length);
      if (!scan.read(point, view, 0, point.length)) return given.some((each) => each.key === "");
      if (key.reset().attributesOf(scan)) return hex(key) === keyOf(given);
      return given.some((each) => "arrayValue" in each.value);
    }),
  );
});
