import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtoWriter } from "../protobuf.ts";
import { type AnyValue, AttributeKey, EncodedEntry, KeyValues, writeKeyValue } from "./values.ts";

type Entry = [key: string, value: AnyValue];
const FIELD = 9;

function encoded(entries: readonly Entry[], field = FIELD): Buffer {
  const writer = new ProtoWriter();
  for (const [key, value] of entries) writeKeyValue(writer, field, key, value);
  return Buffer.from(writer.finish());
}
function read(bytes: Buffer): KeyValues {
  const map = new KeyValues();
  map.reset(bytes);
  map.addRun(0, bytes.length);
  return map;
}
function written(map: KeyValues, field = FIELD): Buffer {
  const writer = new ProtoWriter();
  map.writeField(writer, field);
  return Buffer.from(writer.finish());
}
function entriesOf(map: KeyValues): Entry[] {
  return Array.from({ length: map.size }, (_, i) => [map.keyAt(i), map.valueAt(i)]);
}

const key = fc.oneof(fc.constantFrom("", "a", "ab", "abcd", "abce", "x".repeat(33), "ü", "k".repeat(130)), fc.string());
const value = fc.oneof(
  fc.constantFrom<AnyValue>(undefined, "", true, 0n, -1n, 1.5, "v".repeat(200)),
  fc.string(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const entries = fc.array(fc.tuple(key, value), { maxLength: 20 });

/** What may be done to a map, and to a list of entries in the plainest way. */
interface Edit {
  readonly kind: "set" | "encoded" | "append" | "rename" | "remove" | "read";
  readonly key: string;
  readonly value: AnyValue;
}
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constantFrom("set", "encoded", "append", "remove", "read"), key, value }),
  fc.record({ kind: fc.constant("rename"), key, value: fc.string() }),
);

function apply(map: KeyValues, model: Entry[], { kind, key: text, value: given }: Edit): void {
  const wanted = new AttributeKey(text);
  const at = map.find(wanted);
  assert.equal(
    at,
    model.findIndex(([each]) => each === text),
  );
  switch (kind) {
    case "append":
      map.append(text, given);
      model.push([text, given]);
      break;
    case "remove":
      assert.equal(map.remove(wanted), at >= 0);
      if (at >= 0) model.splice(at, 1);
      break;
    case "read":
      assert.equal(map.get(wanted), model[at]?.[1]);
      break;
    case "rename":
      if (at < 0) break;
      map.setKeyAt(at, given as string);
      model[at]![0] = given as string;
      break;
    case "set":
      map.set(wanted, given);
      if (at < 0) model.push([text, given]);
      else model[at]![1] = given;
      break;
    case "encoded": {
      const entry = new EncodedEntry(wanted, given);
      if (at < 0) {
        map.append(wanted, entry);
        model.push([text, given]);
      } else {
        map.setAt(at, entry);
        model[at]![1] = given;
      }
    }
  }
}

test("edits of a map are those of a list of entries, before and after it is written", () => {
  fc.assert(
    fc.property(entries, fc.array(edit, { maxLength: 12 }), (given, edits) => {
      const map = read(encoded(given));
      const model = given.map(([k, v]): Entry => [k, v]);
      for (const each of edits) apply(map, model, each);
      assert.deepEqual(entriesOf(read(written(map))), model);
      assert.deepEqual(entriesOf(map.copy()), model);
      assert.deepEqual(entriesOf(map), model);
    }),
    { numRuns: 500 },
  );
});

test("what nobody edited is written as it came: unknown fields, an order of one's own", () => {
  // The value before the key; a field that nobody knows; neither key nor value.
  const odd = ["4a07120210010a0161", "4a0a0a0161120210019a0600", "4a00"].map((hex) => Buffer.from(hex, "hex"));
  for (const first of odd) {
    for (const second of [...odd, encoded([["b", "c"]])]) {
      const bytes = Buffer.concat([first, second]);
      assert.deepEqual(written(read(bytes)), bytes);
      const edited = read(bytes);
      edited.append("z", "1");
      assert.deepEqual(written(edited), Buffer.concat([bytes, encoded([["z", "1"]])]));
    }
  }
});

test("tags that are longer than they need to be", () => {
  const [long, short] = ["ca00070a016112021001", "4a070a016112021001"].map((hex) => Buffer.from(hex, "hex"));
  for (const bytes of [Buffer.concat([long!, short!]), Buffer.concat([short!, long!]), Buffer.concat([long!, long!])]) {
    const again = read(written(read(bytes)));
    assert.deepEqual(entriesOf(again), [
      ["a", true],
      ["a", true],
    ]);
  }
});

test("a map is written as another field, entry by entry", () => {
  fc.assert(
    fc.property(entries, (given) => {
      assert.deepEqual(written(read(encoded(given)), 1), encoded(given, 1));
    }),
  );
});

test("a map that is used again knows nothing of the entries before", () => {
  const map = read(encoded([["a", "1"]]));
  assert.equal(map.valueAt(0), "1");
  map.set(new AttributeKey("long-key"), "2");
  const bytes = encoded([["b", 5n]]);
  map.reset(bytes);
  map.addRun(0, bytes.length);
  assert.deepEqual(entriesOf(map), [["b", 5n]]);
  assert.deepEqual([map.changed, map.has(new AttributeKey("long-key"))], [false, false]);
});
