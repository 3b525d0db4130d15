import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GelfError, gelfLevelName, parseGelf } from "./gelf.ts";

test("writes known fields first, then additional ones by name, as Go does", () => {
  const { line, ...fields } = parseGelf(
    '{"_b":{"z":1,"a":[null,true]},"short_message":"<a> & \\u2028","version":"1.1","host":"h","level":4.7,' +
      '"timestamp":1385053862.3072,"_a":"é","other":"gone","facility":"f","full_message":"long\\n"}',
  );
  assert.equal(
    line,
    '{"version":"1.1","host":"h","short_message":"\\u003ca\\u003e \\u0026 \\u2028","full_message":"long\\n",' +
      '"timestamp":1385053862.3072,"level":4,"facility":"f","_a":"é","_b":{"a":[null,true],"z":1}}',
  );
  assert.deepEqual(fields, { version: "1.1", host: "h", level: 4, facility: "f", timestamp: 1385053862.3072 });
  assert.equal(parseGelf("{}").line, '{"version":"","host":"","short_message":"","timestamp":0}');
  assert.deepEqual([0, 4, 7, 8].map(gelfLevelName), ["emergency", "warning", "debug", ""]);
});

test("what is none is refused with the reason", () => {
  for (const [text, message] of [
    ["hello", /it is no JSON: /],
    ["[]", /no JSON object/],
    ["null", /no JSON object/],
    ['{"level":"high"}', /invalid type for field level: it must be a number/],
    ['{"host":null}', /invalid type for field host: it must be a string/],
  ] as const) {
    assert.throws(() => parseGelf(text), message);
  }
});

test("what is written is read again as the same", () => {
  const message = fc.record(
    {
      version: fc.string(),
      host: fc.string(),
      short_message: fc.string(),
      timestamp: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }),
      level: fc.nat(10),
      _x: fc.jsonValue(),
      "_<&>": fc.string(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(message, (each) => {
      const { line } = parseGelf(JSON.stringify(each));
      assert.equal(parseGelf(line).line, line);
      assert.doesNotMatch(line, /[<>&]/);
      for (const [name, value] of Object.entries(each)) {
        if (name !== "level" || value !== 0)
          assert.deepEqual(JSON.parse(line)[name], JSON.parse(JSON.stringify(value)));
      }
    }),
  );
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseGelf(text);
      } catch (error) {
        assert.ok(error instanceof GelfError);
      }
    }),
  );
});
