import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtoWriter } from "../protobuf.ts";
import { OtlpRecord } from "./record.ts";

/** A message of these fields of bytes, in this order. */
function message(...fields: readonly (readonly [field: number, content: string | Uint8Array])[]): Buffer {
  const writer = new ProtoWriter();
  for (const [field, content] of fields) writer.bytes(field, Buffer.from(content));
  return Buffer.from(writer.finish());
}

test("of fields that come several times, together or apart, the last one counts and edits replace all of them", () => {
  for (const bytes of [
    message([2, "a"], [2, "b"], [2, "c"], [3, "x"]),
    message([2, "a"], [3, "x"], [2, "b"], [2, "c"]),
    message([2, "a"], [2, "b"], [3, "x"], [2, "c"]),
  ]) {
    const record = new OtlpRecord().reset(bytes);
    assert.deepEqual([record.text(2), record.text(3)], ["c", "x"]);
    assert.equal(record.changed, false);
    assert.deepEqual(Buffer.from(record.encode()), bytes);
    record.setText(2, "new");
    const order = bytes[0] === 0x12 ? message([2, "new"], [3, "x"]) : message([3, "x"], [2, "new"]);
    assert.deepEqual(Buffer.from(record.encode()), order);
    record.remove(2);
    assert.deepEqual(Buffer.from(record.encode()), message([3, "x"]));
  }
});

test("a message that comes several times is merged, and packed numbers are joined", () => {
  const first = message([2, "a"]);
  const second = message([3, "b"]);
  for (const bytes of [message([5, first], [5, second]), message([5, first], [4, "-"], [5, second])]) {
    const inner = new OtlpRecord().reset(bytes).record(5);
    assert.deepEqual([inner.text(2), inner.text(3)], ["a", "b"]);
  }
  const one = new ProtoWriter();
  one.rawFixed64(1, 0);
  const two = new ProtoWriter();
  two.rawFixed64(2, 0);
  two.rawFixed64(3, 0);
  const packed = message([6, one.finish()], [6, two.finish()]);
  assert.deepEqual(new OtlpRecord().reset(packed).fixed64s(6), [1n, 2n, 3n]);
});

test("a borrowed message keeps its edits although somebody else looked at it", () => {
  const record = new OtlpRecord().reset(message([2, message([1, "a"])], [2, message([1, "b"])]));
  const list = record.list(2);
  const lent = new OtlpRecord();
  for (const [i, text] of ["x", "y"].entries()) {
    const borrowed = list.borrow(i, lent);
    assert.equal(list.at(i).text(1), "ab"[i]);
    borrowed.setText(1, text);
    list.giveBack(i, borrowed);
  }
  assert.deepEqual(Buffer.from(record.encode()), message([2, message([1, "x"])], [2, message([1, "y"])]));
});

test("messages are written anew from their bytes, more than once, and longer or shorter than they were", () => {
  const contents = ["short", "x".repeat(126), "y".repeat(200), ""];
  const record = new OtlpRecord().reset(message(...contents.map((each) => [2, each] as const)));
  const list = record.list(2);
  for (const suffix of ["1", "234"]) {
    for (let i = 0; i < contents.length - 1; i++) {
      list.rewrite(i, (bytes, start, end, out) => {
        out.raw(bytes, start, end);
        out.raw(Buffer.from(suffix));
        return true;
      });
    }
  }
  list.rewrite(3, () => false);
  const wanted = contents.map((each, i) => [2, i === 3 ? each : `${each}1234`] as const);
  assert.deepEqual(Buffer.from(record.encode()), message(...wanted));
});

test("what was taken of an edited message stays as it is when the list is used for another request", () => {
  const record = new OtlpRecord().reset(message([2, message([1, "a"])]));
  const lent = new OtlpRecord();
  const edit = (text: string) => {
    const list = record.list(2);
    const borrowed = list.borrow(0, lent);
    borrowed.setText(1, text);
    list.giveBack(0, borrowed);
  };
  edit("first");
  const taken = record.list(2).borrow(0, lent).encode();
  record.reset(message([2, message([1, "b"])]));
  edit("other");
  assert.deepEqual(Buffer.from(taken), message([1, "first"]));
});
