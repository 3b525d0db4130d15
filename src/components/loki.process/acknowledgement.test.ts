import assert from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { startStages } from "./pipeline-testing.ts";

/** What was acknowledged, in order; releasing too often throws. */
function acknowledgements() {
  const fired: string[] = [];
  return { fired, make: (name: string) => new Acknowledgement(() => void fired.push(name)) };
}

test("a block that a later stage drops is acknowledged with all of its lines", async () => {
  const { fired, make } = acknowledgements();
  const run = await startStages(`
    stage.multiline { firstline = "^\\\\S" }
    stage.drop { expression = "debug" }`);
  await run.send(["a", "  debug"], make("one"));
  await run.send(["  more"], make("two"));
  assert.deepEqual(fired, []);
  await run.send(["b"], make("three"));
  assert.deepEqual(fired, ["one", "two"]);
  await run[Symbol.asyncDispose]();
  assert.deepEqual(fired, ["one", "two", "three"]);
  assert.deepEqual(
    run.items.map(({ line }) => line),
    ["b"],
  );
});

test("a block that is dropped when time ends it is acknowledged", async () => {
  const { fired, make } = acknowledgements();
  const run = await startStages(`
    stage.match {
      selector = "{none=\\"\\"}"
      stage.multiline { firstline = "^\\\\S" }
      stage.drop { expression = "." }
    }`);
  await run.send(["a"], make("one"));
  await run[Symbol.asyncDispose]();
  assert.deepEqual(fired, ["one"]);
});

test("elements that are dropped and a block that is split are acknowledged once each", async () => {
  const { fired, make } = acknowledgements();
  await using run = await startStages(`
    stage.multiline {
      firstline = "^\\\\["
      max_lines = 2
    }
    stage.split_json {}
    stage.drop { expression = "^[13]$" }`);
  await run.send(["[1,2,"], make("one"));
  await run.send(["3,4,5]"], make("two"));
  assert.deepEqual(
    run.items.map(({ line }) => line),
    ["2", "4", "5"],
  );
  assert.deepEqual(fired.toSorted(), ["one", "two"]);
});

test("CRI parts whose whole line is dropped are acknowledged", async () => {
  const { fired, make } = acknowledgements();
  await using run = await startStages(`
    stage.cri {}
    stage.drop { expression = "^ab$" }`);
  await run.send(["2026-11-20T00:00:00Z stdout P a"], make("one"));
  await run.send(["2026-11-20T00:00:00Z stdout F b"], make("two"));
  assert.equal(run.items.length, 0);
  assert.deepEqual(fired.toSorted(), ["one", "two"]);
});
