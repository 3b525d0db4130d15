import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DockerJsonReader } from "./docker-json.ts";
import { FIELD_MISSING, type FieldValue, JsonFields, marshalJsoniter } from "./json-fields.ts";

const PATHS = [["a"], ["b"], ["a", "b"], ["b", "c", "a"], ["é"], ["__proto__"]];

/** What JSON.parse says about a document and a path. */
function oracle(text: string, path: readonly string[]): FieldValue | undefined {
  let value: unknown = JSON.parse(text);
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return typeof value === "object" && value !== null ? marshalJsoniter(value) : (value as FieldValue);
}
function scan(fields: JsonFields, text: string | Uint8Array): boolean {
  const bytes = Buffer.from(text);
  // Somewhere in the middle of a larger buffer, as in batches.
  const around = Buffer.concat([Buffer.from('"x{'), bytes, Buffer.from('"}]}')]);
  return fields.scan(around, 3, 3 + bytes.length);
}
const keys = fc.constantFrom("a", "b", "c", "é", "__proto__", "x");
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: "grapheme" }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.array(fc.tuple(keys, tie("value")), { maxLength: 5 }),
}));
/** Text of a document, with repeated keys (arrays of pairs stand for objects), escapes and white space. */
function write(value: unknown, random: () => number): string {
  const space = () => [" ", "", "", "\n\t"][Math.floor(random() * 4)]!;
  const string = (text: string) =>
    random() < 0.3
      ? `"${[...text].map((c) => (c.length === 1 ? `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}` : c)).join("")}"`
      : JSON.stringify(text);
  if (typeof value === "string") return string(value);
  if (
    Array.isArray(value) &&
    value.every((each) => Array.isArray(each) && each.length === 2 && typeof each[0] === "string")
  ) {
    const members = value.map(
      ([key, member]) => `${space()}${string(key as string)}${space()}:${space()}${write(member, random)}${space()}`,
    );
    return `{${space()}${members.join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map((each) => `${space()}${write(each, random)}${space()}`).join(",")}]`;
  return JSON.stringify(value);
}

test("finds what JSON.parse finds", () => {
  const fields = new JsonFields(PATHS, { finite: true });
  fc.assert(
    fc.property(json.object, fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (object, random) => {
      const text = write(object, () => random.next().value);
      assert.equal(scan(fields, text), true, text);
      for (const [i, path] of PATHS.entries()) assert.deepEqual(fields.value(i), oracle(text, path), `${text} ${path}`);
    }),
    { numRuns: 300 },
  );
});

test("accepts and refuses what JSON.parse does, for documents with damage", () => {
  const fields = new JsonFields(PATHS, { finite: false });
  fc.assert(
    fc.property(
      json.object,
      fc.nat(),
      fc.constantFrom("", "{", "}", '"', "\\", ",", ":", "1", "-", "e", "\u0001", " ", "t"),
      fc.nat(3),
      (object, place, insert, remove) => {
        const whole = write(object, () => 0.5);
        const at = place % (whole.length + 1);
        const text = whole.slice(0, at) + insert + whole.slice(at + remove);
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {}
        const expected = typeof parsed === "object" && !Array.isArray(parsed);
        assert.equal(scan(fields, text), parsed !== undefined && expected, text);
      },
    ),
    { numRuns: 500 },
  );
});

test("any bytes: no failure, no reading beyond the end", () => {
  const fields = new JsonFields(PATHS, { finite: true });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void scan(fields, bytes)));
  for (const text of ['{"a":"x', '{"a":', '{"a', "{", '{"a":1', '{"a":tru', '{"a":"\\u12', '{"a":-', "nul"])
    assert.equal(scan(fields, text), false);
});

test("null is an object without fields, deep nesting is refused", () => {
  const fields = new JsonFields([["a"]], { finite: true });
  assert.equal(scan(fields, " null "), true);
  assert.equal(fields.kind[0], FIELD_MISSING);
  assert.equal(scan(fields, `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`), false);
  assert.equal(scan(fields, `{"a":${"[".repeat(900)}${"]".repeat(900)}}`), true);
});

test("docker lines: what is one", () => {
  const reader = new DockerJsonReader();
  const read = (text: string) => reader.read(Buffer.from(text), 0, Buffer.byteLength(text));
  assert.equal(read('{"log":"x","stream":"s","time":"t"}'), true);
  assert.equal(reader.fields.value(DockerJsonReader.STREAM), "s");
  assert.equal(read('{"log":"x\\n"}'), true);
  for (const text of ['{"log":""}', '{"log":null}', '{"log":["x"]}', '{"log":"x","time":1}', "{}", "x"])
    assert.equal(read(text), false);
});

test("numbers beyond the doubles are refused if all must be finite", () => {
  const finite = new JsonFields([["a"]], { finite: true });
  const any = new JsonFields([["a"]], { finite: false });
  for (const number of ["1e400", "-1e400", "9".repeat(400), `${"9".repeat(400)}.5`]) {
    assert.equal(scan(finite, `{"x":[${number}]}`), false, number);
    assert.equal(scan(any, `{"x":[${number}]}`), true, number);
  }
  for (const number of ["1e308", "1e-400", "9".repeat(308)])
    assert.equal(scan(finite, `{"x":${number}}`), true, number);
});
