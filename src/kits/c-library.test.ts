import assert from "node:assert/strict";
import { test } from "node:test";
import { openCLibrary } from "./c-library.ts";

test("functions of the C library can be called, and one that is not there is no crash", {
  skip: process.platform !== "linux",
}, () => {
  const calls = openCLibrary({ getppid: { arguments: [], return: "int32" } });
  assert.equal(calls?.getppid(), process.ppid);
  assert.equal(openCLibrary({ no_such_function: { arguments: [], return: "int32" } }), undefined);
});
