import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LogfmtReader } from "./logfmt.ts";

function read(text: string | Uint8Array): { pairs: [string, string][]; error: boolean } {
  const bytes = Buffer.from(text);
  const around = Buffer.concat([Buffer.from("q=1 "), bytes, Buffer.from('z=2 "')]);
  const reader = new LogfmtReader();
  reader.reset(around, 4, 4 + bytes.length);
  const pairs: [string, string][] = [];
  while (reader.next()) pairs.push([reader.key(), reader.value()]);
  return { pairs, error: reader.error !== undefined };
}

// Expected values are what github.com/go-logfmt/logfmt v0.6.1 gives.
for (const [text, pairs, error] of [
  ["a=1", [["a", "1"]], false],
  [
    "  a=1\tb=2  ",
    [
      ["a", "1"],
      ["b", "2"],
    ],
    false,
  ],
  ["a", [["a", ""]], false],
  ["a=", [["a", ""]], false],
  [
    "a= b",
    [
      ["a", ""],
      ["b", ""],
    ],
    false,
  ],
  ['a=""', [["a", ""]], false],
  [
    'a="b"c=d',
    [
      ["a", "b"],
      ["c", "d"],
    ],
    false,
  ],
  ['a="\\/\\\'"', [["a", "/'"]], false],
  ['a="\\x41"', [], true],
  ['a="tab\there"', [["a", "tab\there"]], false],
  ['a="\\n tab\there"', [], true],
  ['a="\\ud83d\\ude00\\ud800"', [["a", "😀\ufffd"]], false],
  ["=", [], true],
  ['"', [], true],
  ['a"', [], true],
  ["a==", [], true],
  ["a=b=c", [], true],
  ['a="', [], true],
  [
    "a=1\r\nb=2\n\nc=3",
    [
      ["a", "1"],
      ["b", "2"],
      ["c", "3"],
    ],
    false,
  ],
  ["a=1\n=\nb=2", [["a", "1"]], true],
  ["ключ=значение", [["ключ", "значение"]], false],
  ["", [], false],
] as const) {
  test(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(read(text), { pairs, error }));
}

test("invalid UTF-8 in a key is an error, in a value it is passed", () => {
  assert.equal(read(Buffer.from([0x61, 0xff, 0x3d, 0x31])).error, true);
  assert.deepEqual(read(Buffer.from([0x61, 0x3d, 0xff])), { pairs: [["a", "\ufffd"]], error: false });
});

test("what is written is read back", () => {
  const key = fc.stringMatching(/^[a-zA-Z_.é][a-zA-Z0-9_.é]*$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.string({ unit: "grapheme" }))), (pairs) => {
      const text = pairs
        .map(([name, value]) => `${name}=${/^[\w.]+$/.test(value) ? value : JSON.stringify(value)}`)
        .join(" ");
      assert.deepEqual(read(text), { pairs, error: false });
    }),
  );
});

test("any bytes: no failure, and no reading beyond the end", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => void read(bytes)));
});
