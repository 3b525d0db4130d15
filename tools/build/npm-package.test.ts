import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDependencies } from "./npm-package.ts";

test("what the package imports is Node's, its own or declared", () => {
  checkDependencies(["node:fs", "./run.js", "labels.js", "undici", "@scope/name/part", "zlib"], {
    undici: "1.0.0",
    "@scope/name": "1.0.0",
  });
  assert.throws(() => checkDependencies(["yaml"], { undici: "1.0.0" }), /yaml is imported, but yaml is not in/);
  assert.throws(
    () => checkDependencies(["@scope/other/part"], { "@scope/name": "1.0.0" }),
    /@scope\/other is not in "dependencies"/,
  );
});
