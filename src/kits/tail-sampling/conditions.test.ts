import assert from "node:assert/strict";
import { test } from "node:test";
import { compileRegex } from "#base/regex";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { ProtoReader } from "#formats/protobuf";
import { OttlContext } from "../ottl/context.ts";
import { boolTest, type Condition, ConditionReader, equalsAnyTest, matchesAnyTest, rangeTest } from "./conditions.ts";
import { PolicySet } from "./policy-set.ts";
import { Traces } from "./traces.ts";

/** The first message at a path of fields. */
function messageAt(bytes: Buffer, path: readonly number[]): Buffer {
  const reader = new ProtoReader(bytes);
  for (const field of path) {
    while (reader.tag() >>> 3 !== field) reader.skip((field << 3) | 2);
    reader.enter();
  }
  return bytes.subarray(reader.position, reader.end);
}
const spanOf = (span: object) =>
  messageAt(
    oracleEncode("traces", { resourceSpans: [{ scopeSpans: [{ spans: [{ name: "x", ...span }] }] }] }),
    [1, 2, 2],
  );
const resourceOf = (attributes: readonly object[]) =>
  messageAt(oracleEncode("traces", { resourceSpans: [{ resource: { attributes } }] }), [1, 1]);

/** Numbers of the conditions that hold for a span. */
function held(conditions: readonly Condition[], span: object | Buffer): number[] {
  const reader = new ConditionReader(conditions);
  const bytes = Buffer.isBuffer(span) ? span : spanOf(span);
  reader.span(bytes, 0, bytes.length);
  return bitsOf(reader, conditions.length);
}
const bitsOf = ({ hits }: ConditionReader, count: number) =>
  Array.from({ length: count }, (_, i) => i).filter((i) => (hits[i >>> 5]! & (1 << (i & 31))) !== 0);
const attribute = (test: Extract<Condition, { kind: "attribute" }>["test"]): Condition => ({ kind: "attribute", test });
const pair = (key: string, value?: object) => ({ key, ...(value === undefined ? {} : { value }) });

test("values of another kind count as the zero value of the one that is looked for", () => {
  const conditions = [
    attribute(rangeTest("a", -1, 1)),
    attribute(rangeTest("a", 5, Infinity)),
    attribute(boolTest("a", false)),
    attribute(boolTest("a", true)),
    attribute(equalsAnyTest("a", ["x", ""])),
    attribute(matchesAnyTest("a", [compileRegex("^x?$")], 0)),
  ];
  const of = (value?: object) => held(conditions, { attributes: [pair("a", value)] });
  assert.deepEqual(of({ intValue: 7 }), [1, 2]);
  assert.deepEqual(of({ intValue: "-9007199254740993" }), [2]);
  assert.deepEqual(of({ doubleValue: 7 }), [0, 2]);
  assert.deepEqual(of({ boolValue: true }), [0, 3]);
  assert.deepEqual(of({ stringValue: "x" }), [0, 2, 4, 5]);
  assert.deepEqual(of({ stringValue: "" }), [0, 2], "no text of a span is empty");
  assert.deepEqual(of(), [0, 2]);
  assert.deepEqual(held(conditions, {}), []);
  const reader = new ConditionReader(conditions);
  const resource = resourceOf([pair("a", { intValue: 3 })]);
  reader.resource(resource, 0, resource.length);
  assert.deepEqual(bitsOf(reader, 6), [2, 5], "texts of resources may be");
});

test("of several attributes with a key the first counts", () => {
  const conditions = ["a 3", "b 2", "b 4"].map((each) => attribute(equalsAnyTest(each[0]!, [each[2]!])));
  const attributes = ["a", "b", "a", "b"].map((key, i) => pair(key, { stringValue: `${i + 1}` }));
  assert.deepEqual(held(conditions, { attributes }), [1]);
});

test("attributes in any form are read: long, with the value first, with unknown fields", () => {
  const long = "v".repeat(300);
  assert.deepEqual(
    held([attribute(equalsAnyTest("a", [long]))], { attributes: [pair("a", { stringValue: long })] }),
    [0],
  );
  const key = "k".repeat(200);
  assert.deepEqual(held([attribute(rangeTest(key, 1, 1))], { attributes: [pair(key, { intValue: 1 })] }), [0]);
  // attributes { value { string_value: "v" } 15: 1 key: "a" }
  const odd = Buffer.from([0x4a, 10, 0x12, 3, 0x0a, 1, 0x76, 0x78, 1, 0x0a, 1, 0x61]);
  assert.deepEqual(held([attribute(equalsAnyTest("a", ["v"]))], odd), [0]);
});

test("expressions give the same with few places to keep results at", () => {
  const [cached, other] = [1, 0].map((size) =>
    attribute(matchesAnyTest("a", [compileRegex("^(1|3)"), compileRegex("é")], size)),
  );
  for (const text of ["1", "2", "3", "1", "é", "2", "", `1${"x".repeat(2000)}`, "1", "1"]) {
    const expected = /^[13]|é/.test(text) ? [0, 1] : [];
    assert.deepEqual(held([cached!, other!], { attributes: [pair("a", { stringValue: text })] }), expected);
  }
});

test("status, flags and trace state", () => {
  const conditions: Condition[] = [
    { kind: "status", codes: 4 },
    { kind: "status", codes: 1 | 2 },
    { kind: "flags", mask: 1 },
    { kind: "trace_state", key: "k", values: new Set(["v"]) },
  ];
  assert.deepEqual(held(conditions, {}), [1]);
  assert.deepEqual(held(conditions, { status: { code: 2 }, flags: 257, traceState: "a=b,k=v" }), [0, 2, 3]);
  assert.deepEqual(held(conditions, { status: { code: 1 }, flags: 256, traceState: "k=v,k=w" }), [1]);
  assert.deepEqual(held(conditions, { status: { code: 3 } }), []);
});

test("fields that no condition is about are passed over, of whatever type", () => {
  const condition: Condition = { kind: "status", codes: 4 };
  assert.deepEqual(held([condition], { kind: 3, droppedAttributesCount: 300, links: [{}], status: { code: 2 } }), [0]);
});

test("ids and parents", () => {
  const reader = new ConditionReader([]);
  const read = (span: object) => {
    const bytes = spanOf(span);
    reader.span(bytes, 0, bytes.length);
    return [reader.traceId >= 0 ? bytes[reader.traceId] : -1, reader.isRoot];
  };
  assert.deepEqual(read({ traceId: Buffer.alloc(16, 7) }), [7, true]);
  assert.deepEqual(read({ parentSpanId: Buffer.alloc(8) }), [-1, true]);
  assert.deepEqual(read({ parentSpanId: Buffer.alloc(8, 1) }), [-1, false]);
});

test("a trace in the place of another has nothing of its times", () => {
  const set = new PolicySet([], [{ kind: "latency", aboveMs: 10, atMostMs: 0 }], new OttlContext());
  const traces = new Traces(4);
  traces.prepare(set);
  for (const start of [1_000_000_000, 2_000_000_000]) {
    traces.begin(2, 0, 1);
    const bytes = spanOf({ startTimeUnixNano: `${start}`, endTimeUnixNano: `${start + 1}` });
    set.reader.span(bytes, 0, bytes.length);
    traces.observe(2, set);
    assert.equal(traces.holds(2, 0), false);
  }
});

test("a latency with two bounds holds for good once it has held, and times of 0 are missing", () => {
  const conditions: Condition[] = [
    { kind: "latency", aboveMs: 10, atMostMs: 20 },
    { kind: "latency", aboveMs: 20, atMostMs: 0 },
  ];
  const set = new PolicySet([], conditions, new OttlContext());
  const outcome = (...times: readonly (readonly [start: number, end: number])[]) => {
    const traces = new Traces(4);
    traces.prepare(set);
    traces.begin(2, 0, 1);
    for (const [start, end] of times) {
      const unix = (ms: number) => (ms === 0 ? "0" : String(1_763_640_000_000_000_000n + BigInt(ms) * 1_000_000n));
      const bytes = spanOf({ startTimeUnixNano: unix(start), endTimeUnixNano: unix(end) });
      set.reader.span(bytes, 0, bytes.length);
      traces.observe(2, set);
    }
    assert.deepEqual([traces.holds(1, 0), traces.fails(2, 0)], [false, false]);
    return [0, 1].filter((i) => traces.holds(2, i));
  };
  assert.deepEqual(outcome([100, 105], [103, 111]), [0]);
  assert.deepEqual(outcome([100, 115], [100, 200]), [0, 1]);
  assert.deepEqual(outcome([100, 200]), [1]);
  assert.deepEqual(outcome([100, 110]), []);
  assert.deepEqual(outcome([0, 110], [100, 0]), [1], "a missing start is long ago, until there is one");
});
