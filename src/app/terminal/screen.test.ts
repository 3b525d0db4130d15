import assert from "node:assert/strict";
import { test } from "node:test";
import { keysOf } from "./screen.ts";

test("keys, also several in one piece, and sequences that mean nothing", () => {
  assert.deepEqual(keysOf("q"), [{ text: "q" }]);
  assert.deepEqual(keysOf("\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[F"), [
    "up",
    "down",
    "page-up",
    "page-down",
    "home",
    "end",
  ]);
  assert.deepEqual(keysOf("s\x03"), [{ text: "s" }, "interrupt"]);
  assert.deepEqual(keysOf("\x1b[1;5C\x1b"), []);
  assert.deepEqual(keysOf("ü😀"), [{ text: "ü" }, { text: "😀" }]);
});
