import assert from "node:assert/strict";
import { test } from "node:test";
import { KeptToken } from "./kept-token.ts";

test("a token is asked for once for all, kept until shortly before its end, and again after a failure", async () => {
  let asked = 0;
  const answers = [
    () => Promise.reject(new Error("not now")),
    () => Promise.resolve({ text: "short", expires: Date.now() + 30_000 }),
    () => Promise.resolve({ text: "long", expires: Date.now() + 90_000 }),
  ];
  const token = new KeptToken(60_000, () => answers[asked++]!());
  await assert.rejects(Promise.all([token.text(), token.text()]), /not now/);
  assert.deepEqual(await Promise.all([token.text(), token.text()]), ["short", "short"]);
  assert.equal(asked, 2);
  assert.equal(await token.text(), "long");
  assert.equal(await token.text(), "long");
  assert.equal(asked, 3);
});
