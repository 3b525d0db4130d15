import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import fc from "fast-check";
import { anyPipeline } from "./graph-text.testing.ts";
import { dotText } from "./graph-text.ts";

test("Graphviz takes what the graph is in DOT", () => {
  for (const drawn of fc.sample(anyPipeline, 20)) {
    const { status, stderr } = spawnSync("dot", ["-Tplain"], { input: dotText(drawn), encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
});
