import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

/** What is counted by the same functions, and is no reason. */
const KINDS = new Set(["logs", "metrics", "otlp", "samples", "histograms", "exemplars"]);

/** Types that list reasons, such as `type DropReason = "a" | "b";`. */
const LISTS = /type (?:\w*Drop)?Reason\w* =([^;]*);/g;
/** Calls that count one, such as `flow.drop("logs", "a", 1)`. */
const CALLS =
  /\b#?(?:drop|dropped|unreadable)\(\s*(?:(?:"(?:logs|metrics|otlp)"|[\w.#]+),\s*)?(?:[^,()]*\? )?"([a-z_0-9]+)"(?: : "([a-z_0-9]+)")?/g;

function reasons(): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of globSync("src/**/*.ts").filter((path) => !/\.(test|testing|bench)\.ts$/.test(path))) {
    const text = readFileSync(file, "utf8");
    const names = [...text.matchAll(LISTS)].flatMap(([, list]) => [...list!.matchAll(/"([a-z_0-9]+)"/g)]);
    for (const [, ...matched] of [...names, ...text.matchAll(CALLS)]) {
      for (const name of matched) if (name !== undefined && !KINDS.has(name)) found.set(name, file);
    }
  }
  return found;
}

test("docs/alerts.md says of every drop reason what happened and what to do", () => {
  const found = reasons();
  for (const name of ["no_consumer", "queue_full", "too_far_in_future", "parse_error", "relabel_rule", "no_message"])
    assert.ok(found.has(name), `${name} is found in the sources`);
  const text = readFileSync("docs/alerts.md", "utf8");
  const unexplained = [...found].filter(([name]) => !text.includes(`\`${name}\``));
  assert.deepEqual(unexplained, []);
});
