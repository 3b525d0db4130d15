import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeSource, positionOf, utf8Length } from "./position.ts";

const encoder = new TextEncoder();

test("lines and columns start at 1, columns count bytes", () => {
  const source = { name: "x", text: "ab\né🦄=\r\n" };
  assert.deepEqual(positionOf(source, 0), { line: 1, column: 1 });
  assert.deepEqual(positionOf(source, 2), { line: 1, column: 3 });
  assert.deepEqual(positionOf(source, 3), { line: 2, column: 1 });
  assert.deepEqual(positionOf(source, source.text.indexOf("=")), { line: 2, column: 7 });
  assert.deepEqual(positionOf(source, source.text.length), { line: 3, column: 1 });
  assert.deepEqual(positionOf(source, 1000), { line: 3, column: 1 });
  assert.deepEqual(positionOf(source, -1), { line: 1, column: 1 });
});

test("lengths are those of the encoded text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => utf8Length(text) === encoder.encode(text).length));
});

test("valid text is decoded as it is, byte order mark included", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.equal(decodeSource("x", encoder.encode(text)).text, text);
    }),
  );
  assert.equal(decodeSource("x", Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)).text, "\ufeffa");
});

test("invalid bytes keep their place and their value", () => {
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0xc3, 0xa9, 0xe4, 0xb8, 0xad, 0xed, 0xa0, 0xf0, 0x9f, 0x61, 0x0a));
  fc.assert(
    fc.property(fc.array(byte), (content) => {
      const { text } = decodeSource("x", Uint8Array.from(content));
      const encoded = Array.from(text).flatMap((character) => {
        const point = character.codePointAt(0)!;
        return point >= 0xdc80 && point <= 0xdcff ? [point - 0xdc00] : [...encoder.encode(character)];
      });
      assert.deepEqual(encoded, content);
      assert.equal(utf8Length(text), content.length);
    }),
  );
});
