import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { Labels } from "#base/labels";
import { logEntries, sliceable } from "#pipeline/log-batch";
import { PushRequestEncoder } from "./encode.ts";
import { decodePushJson } from "./json.ts";
import { LabelTextCache, parseLabelText } from "./labels.ts";
import { countPushEntries, decodePush, PushError, splitPush } from "./loki-push.ts";

const PushRequest = protobuf
  .parse(
    `syntax = "proto3";
     message PushRequest { repeated Stream streams = 1; string format = 2; }
     message Stream { string labels = 1; repeated Entry entries = 2; uint64 hash = 3; }
     message Entry { Timestamp timestamp = 1; string line = 2; repeated Pair structuredMetadata = 3; repeated Pair parsed = 4; }
     message Timestamp { int64 seconds = 1; int32 nanos = 2; }
     message Pair { string name = 1; string value = 2; }`,
  )
  .root.lookupType("PushRequest");

interface Entry {
  readonly app: string;
  readonly line: string;
  readonly ms: number;
  readonly ns: number;
  readonly metadata: readonly string[];
}
const entry: fc.Arbitrary<Entry> = fc.record({
  app: fc.constantFrom("a", "b", 'q"\\\n', "é"),
  line: fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ minLength: 100, maxLength: 400 }),
    fc.constant("x".repeat(20_000)),
  ),
  ms: fc.oneof(
    fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
    fc.constantFrom(0, 1, 999, 1_700_000_000_123, 4_294_967_296_000),
  ),
  ns: fc.nat(999_999),
  metadata: fc.array(fc.string(), { maxLength: 4 }).map((texts) => texts.slice(0, texts.length & ~1)),
});

function encode(entries: readonly Entry[], encoder = new PushRequestEncoder(), scratch?: Uint8Array): Uint8Array {
  const streams = new Map<string, ReturnType<PushRequestEncoder["stream"]>>();
  for (const { app, line, ms, ns, metadata } of entries) {
    const labels = Labels.from([["app", app]]).toString();
    let stream = streams.get(labels);
    if (stream === undefined) streams.set(labels, (stream = encoder.stream(Buffer.from(labels))));
    const bytes = Buffer.from(` ${line} `);
    encoder.add(stream, ms, ns, sliceable(bytes), 1, bytes.length - 1, metadata.length > 0 ? metadata : undefined);
  }
  return encoder.finish(scratch);
}
/** Entries in the order of their streams' first appearance. */
function grouped(entries: readonly Entry[]): Entry[] {
  return [...Map.groupBy(entries, (each) => each.app).values()].flat();
}
const wellFormed = (entries: readonly Entry[]) => entries.map((each) => ({ ...each, line: each.line.toWellFormed() }));

test("what is encoded, protobufjs decodes", () => {
  const encoder = new PushRequestEncoder();
  const scratch = Buffer.alloc(50_000);
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 30, size: "max" }), (raw) => {
      const entries = wellFormed(raw);
      const decoded = PushRequest.toObject(PushRequest.decode(encode(entries, encoder, scratch)), {
        longs: String,
        defaults: true,
      }) as {
        streams: {
          labels: string;
          entries: {
            timestamp: { seconds: string; nanos: number };
            line: string;
            structuredMetadata: { name: string; value: string }[];
          }[];
        }[];
      };
      const found = decoded.streams.flatMap(({ labels, entries: inner }) =>
        inner.map(({ timestamp, line, structuredMetadata }) => ({
          labels,
          line,
          time: BigInt(timestamp.seconds) * 1_000_000_000n + BigInt(timestamp.nanos),
          metadata: structuredMetadata.flatMap(({ name, value }) => [name, value]),
        })),
      );
      assert.deepEqual(
        found,
        grouped(entries).map(({ app, line, ms, ns, metadata }) => ({
          labels: Labels.from([["app", app]]).toString(),
          line,
          time: BigInt(ms) * 1_000_000n + BigInt(ns),
          metadata,
        })),
      );
    }),
    { numRuns: 100 },
  );
});

test("what is encoded is decoded, whole or in halves", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20, size: "max" }), (raw) => {
      const entries = wellFormed(raw);
      const bytes = encode(entries);
      assert.equal(countPushEntries(bytes), entries.length);
      const halves = splitPush(bytes);
      assert.equal(halves === undefined, entries.length < 2);
      for (const parts of [[bytes], ...(halves ? [halves] : [])]) {
        const found = parts.flatMap((part) => [...logEntries(decodePush(part).batch)]);
        assert.deepEqual(
          found.map(({ labels, line, ms, ns, metadata }) => ({ app: labels.get("app"), line, ms, ns, metadata })),
          grouped(entries).map(({ app, line, ms, ns, metadata }) => ({ app, line, ms, ns, metadata })),
        );
      }
    }),
    { numRuns: 100 },
  );
});

test("decodes fields that it does not know, and refuses damage with a PushError", () => {
  const bytes = PushRequest.encode({
    format: "f",
    streams: [{ labels: '{a="b"}', hash: 12345678901, entries: [{ line: "x", parsed: [{ name: "p", value: "v" }] }] }],
  }).finish();
  const [only] = logEntries(decodePush(bytes).batch);
  assert.deepEqual([only!.line, only!.ms, only!.labels.toString()], ["x", 0, '{a="b"}']);
  fc.assert(
    fc.property(fc.nat(), fc.uint8Array({ maxLength: 3 }), (place, insert) => {
      const at = place % (bytes.length + 1);
      const damaged = Buffer.concat([bytes.subarray(0, at), insert]);
      try {
        decodePush(damaged);
      } catch (error) {
        assert.ok(error instanceof PushError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

for (const [text, expected] of [
  ['{a="b"}', '{a="b"}'],
  [' { a = "b" , c = \'d"\' , } ', '{a="b", c="d\\""}'],
  ["{a=`x\\n`}", '{a="x\\\\n"}'],
  ['{a="\\u00e9\\x41\\101\\t"}', '{a="éAA\\t"}'],
  ["{}", "{}"],
  ['{a=""}', "{}"],
  ['up{a="b"}', '{__name__="up", a="b"}'],
  ["up", '{__name__="up"}'],
  ['{"dotted.name"="x"}', '{dotted.name="x"}'],
  ['{"up", a="b"}', '{__name__="up", a="b"}'],
] as const) {
  test(`reads the labels ${text}`, () => assert.equal(parseLabelText(text).toString(), expected));
}
for (const text of [
  "",
  "{",
  '{a="b"',
  "{a=b}",
  '{a="b" c="d"}',
  '{="b"}',
  '{a="b"} x',
  '{a="b}',
  '{a="\\q"}',
  '{a="b",a="c"}',
  '{1a="b"}',
  '{a:b="c"}',
]) {
  test(`refuses the labels ${text}`, () => assert.throws(() => parseLabelText(text), /cannot read labels/));
}

test("labels that are written are read back, and remembered", () => {
  const cache = new LabelTextCache();
  const name = fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]*$/);
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          name,
          fc.string({ unit: "binary", minLength: 1 }).map((text) => text.toWellFormed()),
        ),
      ),
      (pairs) => {
        const labels = Labels.from(pairs);
        assert.equal(cache.get(labels.toString()).toString(), labels.toString());
        assert.equal(cache.get(labels.toString()), cache.get(labels.toString()));
      },
    ),
  );
});

test("JSON: entries, times, metadata; and what is wrong with others", () => {
  const decode = (value: unknown) => decodePushJson(Buffer.from(JSON.stringify(value)));
  const { batch, problem } = decode({
    more: { than: ["needed"] },
    streams: [
      { stream: { b: "2", a: "1" }, values: [["1700000000123456789", "l"], ["-1", 'é"', { t: "x" }], null], hash: 1 },
      { values: [["0", "", { a: "b" }, "beyond"]], stream: {} },
      { stream: { c: 3, d: true, e: [1, "2"], f: "" }, values: [["1", "x"]] },
      { stream: { c: "3" }, values: null },
    ],
  });
  assert.equal(problem, undefined);
  assert.deepEqual(
    [...logEntries(batch)].map(({ labels, line, ms, ns, metadata }) => [labels.toString(), line, ms, ns, metadata]),
    [
      ['{a="1", b="2"}', "l", 1_700_000_000_123, 456_789, []],
      ['{a="1", b="2"}', 'é"', -1, 999_999, ["t", "x"]],
      ["{}", "", 0, 0, ["a", "b"]],
      ['{c="3", d="true", e="[1,\\"2\\"]"}', "x", 0, 1, []],
    ],
  );
  for (const [value, message] of [
    [1, /must be a JSON object/],
    [{ streams: {} }, /streams must be an array/],
    [{ streams: [1] }, /streams\[0\] must be an object/],
    [{ streams: [{ stream: [] }] }, /streams\[0\]\.stream must be an object/],
    [{ streams: [{ stream: {}, values: 1 }] }, /streams\[0\]\.values must be an array/],
    [{ streams: [{ stream: {}, values: [{}] }] }, /values\[0\] must be an array/],
    [{ streams: [{ stream: {}, values: [["1", ""], []] }] }, /values\[1\] must be an array/],
    [{ streams: [{ stream: {}, values: [["x", "l"]] }] }, /nanoseconds/],
    [{ streams: [{ stream: {}, values: [["9223372036854775808", "l"]] }] }, /beyond 64 bits/],
    [{ streams: [{ stream: {}, values: [["1"]] }] }, /the line must be a string/],
    [{ streams: [{ stream: {}, values: [["1", 2]] }] }, /the line must be a string/],
    [{ streams: [{ stream: {}, values: [["1", "l", []]] }] }, /must be an object/],
    [{ streams: [{ stream: {}, values: [["1", "l", { a: 1 }]] }] }, /metadata "a" must be a string/],
  ] as const) {
    assert.throws(() => decode(value), message);
  }
  assert.throws(() => decodePushJson(Buffer.from("{")), /not JSON/);
  assert.throws(() => decodePushJson(Buffer.from('{"streams":[]}{"streams":[]}')), /behind the end/);
});

test("streams whose labels cannot be read are left out and told of, in JSON as in protobuf", () => {
  const streams = [
    { stream: { "foo-bar": "x" }, values: [["1", "lost"]] },
    { stream: { a: "b" }, values: [["1", "kept"]] },
    {
      values: [
        ["1", "lost, too"],
        ["2", "and this"],
      ],
    },
  ];
  const { batch, problem, rejected } = decodePushJson(Buffer.from(JSON.stringify({ streams })));
  assert.deepEqual([batch.count, rejected], [1, 3]);
  assert.match(problem!, /^streams\[0\]\.stream: "foo-bar" is no label name/);
  assert.match(decodePushJson(Buffer.from('{"streams":[{"labels":"{}"}]}')).problem!, /has no `stream`/);
});

test("what weighs much more than its bytes is refused", () => {
  const empty = (streams: number, entries: number, metadata: number) =>
    PushRequest.encode({
      streams: Array.from({ length: streams }, (_, i) => ({
        labels: `{a="${i}"}`,
        entries: Array.from({ length: entries }, () => ({ structuredMetadata: Array(metadata).fill({}) })),
      })),
    }).finish();
  const json = (streams: number, entries: number, metadata: number) => {
    const pairs = Object.fromEntries(Array.from({ length: metadata }, (_, i) => [`m${i}`, ""]));
    const values = Array.from({ length: entries }, () => ["1", "", pairs]);
    return Buffer.from(JSON.stringify({ streams: Array(streams).fill({ stream: { a: "b" }, values }) }));
  };
  for (const [streams, entries, metadata] of [
    [13, 0, 0],
    [1, 93, 0],
    [1, 1, 92],
  ] as const) {
    for (const decode of [
      () => decodePush(empty(streams, entries, metadata), undefined, 100),
      () => decodePushJson(json(streams, entries, metadata), undefined, 100),
    ]) {
      assert.throws(decode, (error) => error instanceof PushError && error.tooLarge);
    }
  }
  assert.equal(decodePush(empty(12, 0, 0), undefined, 100).problem, undefined);
  const bad = Buffer.concat(Array(1_001).fill(Buffer.from([0x0a, 0x03, 0x0a, 0x01, 0x7b])));
  assert.throws(() => decodePush(bad), /so it is with 1001 streams/);
  const badJson = JSON.stringify({ streams: Array(1_001).fill({}) });
  assert.throws(() => decodePushJson(Buffer.from(badJson)), /so it is with 1001 streams/);
});

test("times that cannot be are refused", () => {
  for (const timestamp of [{ seconds: 253_402_300_800 }, { seconds: -62_135_596_801 }, { nanos: -1 }, { nanos: 1e9 }]) {
    const bytes = PushRequest.encode({ streams: [{ labels: "{}", entries: [{ timestamp }] }] }).finish();
    assert.throws(() => decodePush(bytes), /a time that cannot be/);
  }
});

test("JSON: what is written is read, and damage is refused with a PushError", () => {
  const label = fc.constantFrom("a", "b", 'q"\\\n', "é");
  const value = fc.tuple(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
    fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }),
  );
  const streams = fc.array(fc.record({ label, values: fc.array(value, { maxLength: 5 }), first: fc.boolean() }), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(streams, fc.nat(), fc.uint8Array({ maxLength: 2 }), (given, place, insert) => {
      const text = JSON.stringify({
        streams: given.map(({ label: app, values, first }) => {
          const list = values.map(([time, line, metadata]) => [String(time), line, metadata]);
          return first ? { stream: { app }, values: list } : { values: list, stream: { app } };
        }),
      });
      const { batch, problem } = decodePushJson(Buffer.from(text));
      assert.equal(problem, undefined);
      assert.deepEqual(
        [...logEntries(batch)].map(({ labels, line, ms, ns, metadata }) => [
          labels.get("app"),
          BigInt(ms) * 1_000_000n + BigInt(ns),
          line,
          metadata,
        ]),
        given.flatMap(({ label: app, values }) =>
          values.map(([time, line, metadata]) => [app, time, line, Object.entries(metadata).flat()]),
        ),
      );
      const bytes = Buffer.from(text);
      const at = place % bytes.length;
      try {
        decodePushJson(Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + 1)]));
      } catch (error) {
        assert.ok(error instanceof PushError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});
