import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FieldPlace } from "./field-place.ts";
import { ProtobufError, ProtoReader } from "./protobuf.ts";

/** Tag, begin of the value and end of the field, as the reader finds them; undefined for what is no field. */
function read(bytes: Buffer, end: number): readonly number[] | undefined {
  const reader = new ProtoReader(bytes, 0, end);
  return attempt(() => {
    const tag = reader.tag();
    const start = reader.position;
    reader.skip(tag);
    if ((tag & 7) !== 2) return [tag, start, reader.position];
    const stop = reader.position;
    reader.position = start;
    reader.length();
    return [tag, reader.position, stop];
  });
}
function place(bytes: Buffer, end: number): readonly number[] | undefined {
  const found = new FieldPlace();
  return attempt(() => {
    found.read(bytes, 0, end);
    return [found.tag, found.body, found.stop];
  });
}
function attempt(step: () => readonly number[]): readonly number[] | undefined {
  try {
    return step();
  } catch (error) {
    assert.ok(error instanceof ProtobufError);
    return undefined;
  }
}

test("a field lies where a reader finds it, whatever its form and wherever the message ends", () => {
  const tag = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(10, 18, 8, 9, 13, 11, 12, 0x8a));
  const length = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
  fc.assert(
    fc.property(tag, length, fc.uint8Array({ maxLength: 300 }), fc.nat(310), (first, second, rest, end) => {
      const bytes = Buffer.from([first, second, ...rest]);
      const last = Math.max(1, Math.min(end, bytes.length));
      assert.deepEqual(place(bytes, last), read(bytes, last));
    }),
    { numRuns: 3000 },
  );
});
