import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JSON_ARRAY, JSON_OBJECT, JSON_STRING, JsonError, JsonReader } from "./json-reader.ts";

/** The value as JSON.parse would give it. */
function build(reader: JsonReader): unknown {
  switch (reader.peek()) {
    case JSON_OBJECT: {
      const entries: [string, unknown][] = [];
      for (let more = reader.object(); more; more = reader.nextKey()) entries.push([reader.text(), build(reader)]);
      return Object.fromEntries(entries);
    }
    case JSON_ARRAY: {
      const items: unknown[] = [];
      for (let more = reader.array(); more; more = reader.nextItem()) items.push(build(reader));
      return items;
    }
    case JSON_STRING:
      reader.string();
      return reader.text();
    default:
      return JSON.parse(reader.scalar());
  }
}

function parse(text: string | Uint8Array): unknown {
  const reader = new JsonReader(Buffer.from(text as string));
  const value = build(reader);
  reader.finish();
  return value;
}

test("reads and skips what JSON.parse reads", () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: "binary", maxDepth: 3 }), fc.boolean(), (text, pretty) => {
      const spaced = pretty ? JSON.stringify(JSON.parse(text), null, 2) : text;
      const bytes = Buffer.from(spaced);
      assert.deepEqual(parse(bytes), JSON.parse(bytes.toString()));
      const skipping = new JsonReader(bytes);
      skipping.skip();
      skipping.finish();
    }),
    { numRuns: 50 },
  );
});

test("throws nothing but a JsonError, and where JSON.parse does; raw control characters are allowed", () => {
  const damaged = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(([text, at, insert]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + insert + text.slice(place + 1);
  });
  const noise = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0019eE+-. \ntfn', "true", "null") });
  fc.assert(
    fc.property(fc.oneof(damaged, noise), (text) => {
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        expected = undefined;
      }
      for (const read of [() => parse(text), () => new JsonReader(Buffer.from(text)).skip()]) {
        try {
          const value = read();
          if (value !== undefined && expected !== undefined) assert.deepEqual(value, expected);
        } catch (error) {
          assert.ok(error instanceof JsonError, String(error));
          assert.equal(expected, undefined, `${text}: ${error.message}`);
        }
      }
    }),
    { numRuns: 2_000 },
  );
  assert.deepEqual(parse('["a\nb", "\\"\t"]'), ["a\nb", '"\t']);
});

test("strings without their escapes are the same as bytes and as text", () => {
  const piece = fc.constantFrom(
    '\\"',
    "\\\\",
    "\\/",
    "\\n",
    "\\u00e9",
    "\\u20ac",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\ude00",
    "é",
    "\n",
    "x",
    "x".repeat(200),
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const reader = new JsonReader(Buffer.from(`"${pieces.join("")}"`));
      reader.string();
      const length = reader.unescape(reader.start, reader.end);
      assert.equal(Buffer.from(reader.scratch.subarray(0, length)).toString(), reader.text().toWellFormed());
    }),
  );
  for (const text of ['"\\q"', '"\\u12"', '"\\u12g4"']) {
    const reader = new JsonReader(Buffer.from(text));
    reader.string();
    assert.throws(() => reader.unescape(reader.start, reader.end), JsonError);
  }
});

for (const [text, message] of [
  ["", /ends too early/],
  ["[1", /expecting `,` or `\]` at byte 2/],
  ['{"a" 1}', /expecting `:` at byte 5/],
  ["{1:2}", /expecting a string at byte 1/],
  ['"a', /ends too early|not closed/],
  ["[01]", /no value at byte 1/],
  ["1 2", /behind the end of the document at byte 2/],
  ['"\\q"', /invalid escape/],
  [`1${"0".repeat(1_000)}`, /no value/],
] as const) {
  test(`refuses ${text.slice(0, 20)}`, () => assert.throws(() => parse(text), message));
}

test("a deep document ends neither the stack nor the patience", () => {
  assert.throws(() => new JsonReader(Buffer.from("[".repeat(1_000_000))).skip(), /more than 1000 deep/);
});

test("goes back to a value that it has passed over", () => {
  const reader = new JsonReader(Buffer.from('{"a": "x\\ny", "b": "z"}'));
  reader.object();
  const place = reader.position;
  reader.skip();
  reader.nextKey();
  reader.skip();
  reader.position = place;
  reader.string();
  assert.equal(reader.text(), "x\ny");
});
