import assert from "node:assert/strict";
import { test } from "node:test";
import { ProbeResults } from "./results.ts";

function start() {
  let now = 1_700_000_000_000;
  const results = new ProbeResults(() => now, new Map([[ProbeResults.key("http://a.test", "http_2xx"), "site"]]));
  const note = (target: string, problem?: string) =>
    results.note(target, "http_2xx", { time: now, durationSeconds: 0.5, problem });
  return { results, note, wait: (ms: number) => (now += ms) };
}

test("what never worked counts at once, and what worked after three failures in a row", () => {
  const { results, note } = start();
  note("http://a.test", "refused");
  assert.deepEqual(results.judge(), {
    state: "degraded",
    cause: "probes of 1 of 1 targets fail: site (http://a.test) with http_2xx: refused",
  });
  note("http://a.test");
  assert.equal(results.judge(), undefined);
  note("http://a.test", "late");
  note("http://a.test", "late");
  assert.equal(results.judge(), undefined);
  note("http://a.test", "late");
  assert.match(results.judge()!.cause, /late/);
  const [shown] = results.debugInfo() as readonly Record<string, unknown>[];
  assert.deepEqual([shown!.name, shown!.failures_in_a_row, shown!.duration], ["site", 3, "500.0ms"]);
});

test("a message names a few, and passwords in targets are not shown", () => {
  const { results, note } = start();
  for (const host of "abcde") note(`http://u:secret@${host}.test`, "no");
  const { cause } = results.judge()!;
  assert.match(cause, /^probes of 5 of 5 targets fail: http:\/\/u:xxxxx@a\.test with http_2xx: no; .*; and 2 more$/);
  assert.doesNotMatch(cause + JSON.stringify(results.debugInfo()), /secret/);
});

test("what nobody asks for any more is forgotten, and memory is bounded", () => {
  const { results, note, wait } = start();
  note("often", "no");
  note("seldom", "no");
  wait(3_600_000);
  note("seldom", "no");
  assert.match(results.judge()!.cause, /1 of 1 targets fail: seldom/);
  wait(2 * 3_600_000);
  assert.match(results.judge()!.cause, /seldom/);
  wait(2 * 3_600_000);
  assert.equal(results.judge(), undefined);
  for (let i = 0; i < 10_100; i++) note(`t${i}`, "no");
  assert.match(results.judge()!.cause, /of 10000 of 10000 targets fail: t100 /);
});
