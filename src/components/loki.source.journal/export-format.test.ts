import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ExportReader } from "./export-format.ts";

type Fields = readonly (readonly [name: string, value: Uint8Array])[];

function encode(entries: readonly Fields[], binary: boolean): Buffer {
  const parts: Buffer[] = [];
  for (const fields of entries) {
    for (const [name, value] of fields) {
      const bytes = Buffer.from(value);
      if (!binary && !bytes.includes(10)) {
        parts.push(Buffer.from(`${name}=`), bytes, Buffer.from("\n"));
        continue;
      }
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(bytes.length));
      parts.push(Buffer.from(`${name}\n`), size, bytes, Buffer.from("\n"));
    }
    parts.push(Buffer.from("\n"));
  }
  return Buffer.concat(parts);
}

function read(reader: ExportReader, chunks: Iterable<Uint8Array>) {
  const seen: [string, string][][] = [];
  const large: boolean[] = [];
  for (const chunk of chunks) {
    reader.push(chunk, (entry) => {
      const fields: [string, string][] = [];
      for (let i = 0; i < entry.count; i++) {
        fields.push([entry.name(i), entry.data.subarray(entry.start(i), entry.end(i)).toString("hex")]);
      }
      seen.push(fields);
      large.push(entry.messageTooLarge);
    });
  }
  return { seen, large };
}

const name = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,10}$/);
const fields = fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 40 })), { minLength: 1, maxLength: 6 });

test("gives every byte of every field back, wherever chunks end", () => {
  fc.assert(
    fc.property(
      fc.array(fields, { maxLength: 5 }),
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
      (entries, binary, sizes) => {
        const bytes = encode(entries, binary);
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        const expected = entries.map((each) =>
          each.map(([field, value]) => [field, Buffer.from(value).toString("hex")]),
        );
        assert.deepEqual(read(new ExportReader(), chunks).seen, expected);
      },
    ),
  );
});

for (const [form, binary] of [
  ["binary", true],
  ["text", false],
] as const) {
  test(`passes over a field that is too large and goes on after it: ${form}`, () => {
    const small: Fields = [["A", Buffer.from("1")]];
    const huge = Buffer.alloc(20 * 1024 * 1024, 120);
    const bytes = encode(
      [
        small,
        [
          ["A", Buffer.from("2")],
          ["MESSAGE", huge],
          ["B", Buffer.from("3")],
        ],
        small,
      ],
      binary,
    );
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.subarray(at, at + 65_536));
    const reader = new ExportReader();
    const { seen, large } = read(reader, chunks);
    assert.deepEqual(seen, [
      [["A", "31"]],
      [
        ["A", "32"],
        ["B", "33"],
      ],
      [["A", "31"]],
    ]);
    assert.deepEqual(large, [false, true, false]);
    assert.ok(reader.data.length <= 33 * 1024 * 1024);
  });
}

test("an entry that was cut short is forgotten", () => {
  const reader = new ExportReader();
  assert.deepEqual(read(reader, [Buffer.from("A=1\nMESSA")]).seen, []);
  reader.reset();
  assert.deepEqual(read(reader, [Buffer.from("B=2\n\n")]).seen, [[["B", "32"]]]);
});
