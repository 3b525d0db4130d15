import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteSizeError, formatByteSize, parseByteSize, roughByteSize } from "./bytesize.ts";

test("reads sizes in powers of two", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["0B", 0],
    ["1B", 1],
    ["1KB", 1024],
    ["1KiB", 1024],
    ["1MB1KB25B", 1_049_625],
    ["1MiB512KiB", 1_572_864],
    ["1.5MiB", 1_572_864],
    [".5KiB", 512],
    ["-1KiB", -1024],
    ["+7B", 7],
    ["1.0001B", 1],
    ["4EiB", 2 ** 62],
  ];
  for (const [text, bytes] of cases) assert.equal(parseByteSize(text), bytes, text);
});

test("rejects other texts, with the words of package units", () => {
  const cases: [string, string][] = [
    ["", "units: invalid "],
    ["-", "units: invalid -"],
    ["B", "units: invalid B"],
    [".B", "units: invalid .B"],
    ["1", "units: unknown unit  in 1"],
    ["1kB", "units: unknown unit kB in 1kB"],
    ["1 MiB", "units: unknown unit  MiB in 1 MiB"],
    ["1KB1MiB", "units: unknown unit MiB in 1KB1MiB"],
    ["1KiB1MB", "units: unknown unit KiB in 1KiB1MB"],
    ["9EiB", "units: unknown unit EiB in 9EiB"],
    ["9007199254740993KB", "units: overflow parsing unit"],
    ["9223372036854775808B", "units: invalid 9223372036854775808B"],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseByteSize(text),
      (error) => error instanceof ByteSizeError && error.message === message,
      text,
    );
  }
});

test("writes sizes", () => {
  assert.equal(formatByteSize(0), "0B");
  assert.equal(formatByteSize(1025), "1KiB1B");
  assert.equal(formatByteSize(-1536), "-1KiB-512B");
  assert.equal(formatByteSize(4 * 1024 * 1024), "4MiB");
});

test("a written size reads back", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      assert.equal(parseByteSize(formatByteSize(bytes)), bytes);
    }),
  );
});

test("any text gives a number or a ByteSizeError", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[-+]?([0-9.]{0,22}[KMGTPE]?i?B?){0,4}$/)), (text) => {
      try {
        assert.ok(Number.isFinite(parseByteSize(text)));
      } catch (error) {
        assert.ok(error instanceof ByteSizeError, String(error));
      }
    }),
  );
});

test("says how much something is in words", () => {
  const shown = [0, 1, 1023, 3_500, 12_600_000, 3 * 1024 ** 3].map(roughByteSize);
  assert.deepEqual(shown, ["0 bytes", "1 byte", "1023 bytes", "3.4 KiB", "12 MiB", "3.0 GiB"]);
});
