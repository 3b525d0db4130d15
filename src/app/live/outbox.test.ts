import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "./outbox.ts";

test("pieces that come together are sent together, and the end comes after them", async () => {
  const outbox = new Outbox(new AbortController().signal);
  const read: string[] = [];
  const reading = (async () => {
    for await (const text of outbox.read()) {
      read.push(text);
      if (read.length === 1) {
        outbox.push("2");
        outbox.push("3");
        setTimeout(() => {
          outbox.push("4");
          outbox.end();
        }, 10);
      }
    }
  })();
  outbox.push("1");
  await reading;
  assert.deepEqual(read, ["1", "234"]);
  assert.equal(outbox.hasRoom, false);
});

test("takes a bounded number of pieces and characters while nobody reads", async () => {
  const signal = new AbortController().signal;
  const many = new Outbox(signal);
  let pieces = 0;
  for (; many.hasRoom; pieces++) many.push("x");
  assert.equal(pieces, 2000);
  const large = new Outbox(signal);
  let characters = 0;
  for (; large.hasRoom; characters += 1000) large.push("x".repeat(1000));
  assert.ok(characters >= 1 << 20 && characters < (1 << 20) + 1000);
  for await (const text of large.read()) {
    assert.equal(text.length, characters);
    assert.equal(large.hasRoom, true, "what was read makes room");
    break;
  }
});

test("a client that goes ends the reading, whatever it waits for", async () => {
  for (const first of ["", "x"]) {
    const client = new AbortController();
    const outbox = new Outbox(client.signal);
    if (first !== "") outbox.push(first);
    const reading = (async () => {
      let text = "";
      for await (const each of outbox.read()) text += each;
      return text;
    })();
    setTimeout(() => client.abort(), 10);
    assert.equal(await reading, first);
  }
});
