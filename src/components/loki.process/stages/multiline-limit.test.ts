import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { runStages, startStages } from "../pipeline-testing.ts";

const MULTILINE = (more = "") => `stage.multiline {\n firstline = "^START"\n ${more}\n}\n`;

test("multiline: joins lines of each stream, passes what comes before the first start", async () => {
  const clock = new ManualClock();
  await using run = await startStages(`${MULTILINE()}stage.labels {\n values = { app = "" }\n}`, { clock });
  const b = (line: string) => ({ line, labels: { app: "b" }, ms: 9 });
  await run.send([
    "early",
    { line: "START a", ms: 1, ns: 2, metadata: ["k", "v"] },
    { line: " a2", ms: 2 },
    b("START b"),
    { line: " a3\r\n", ms: 3 },
    b(" b2"),
    { line: "START c", ms: 4 },
  ]);
  assert.deepEqual(
    run.items.map(({ line, labels, ms, ns, metadata }) => [line, labels, ms, ns, metadata]),
    [
      ["early", "{}", 0, 0, undefined],
      ["START a\n a2\n a3", "{}", 1, 2, ["k", "v"]],
    ],
  );
  await clock.advance(1_000);
  assert.equal(run.items.length, 2);
  await clock.advance(2_000);
  const late = run.items.slice(2).map(({ line, labels }) => `${labels} ${line}`);
  assert.deepEqual(late.toSorted(), ['{app="b"} START b\n b2', "{} START c"]);
});

test("multiline: acknowledges when the block is safe", async () => {
  const clock = new ManualClock();
  await using run = await startStages(MULTILINE(), { clock });
  const fired: string[] = [];
  const ack = (name: string) => new Acknowledgement(() => void fired.push(name));
  await run.send(["START 1", "x"], ack("one"));
  await run.send(["y"], ack("two"));
  assert.deepEqual(fired, []);
  await run.send(["START 2"], ack("three"));
  assert.deepEqual(fired.toSorted(), ["one", "two"]);
  await run.component.stop();
  assert.deepEqual(fired.toSorted(), ["one", "three", "two"]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["START 1\nx\ny", "START 2"],
  );
});

test("multiline: max_lines ends a block, and further lines keep its start's context", async () => {
  await using run = await startStages(MULTILINE("max_lines = 2"), { clock: new ManualClock() });
  await run.send([
    { line: "START", ms: 1 },
    { line: "2", ms: 2 },
    { line: "3", ms: 3 },
    { line: "4", ms: 4 },
    { line: "START", ms: 5 },
  ]);
  assert.deepEqual(
    run.items.map(({ line, ms }) => [line, ms]),
    [
      ["START\n2", 1],
      ["3\n4", 1],
    ],
  );
});

test("multiline: newlines are kept without trim_newlines; empty lines first add none", async () => {
  await using run = await startStages('stage.multiline {\n firstline = "^(START|$)"\n trim_newlines = false\n}', {
    clock: new ManualClock(),
  });
  await run.send(["START\n", "b"]);
  await run.send(["START"]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["START\n\nb"],
  );
});

test("multiline: extracted values are those of the first line", async () => {
  const config = `stage.regex {\n expression = "id=(?P<id>\\\\d+)"\n}\n${MULTILINE()}stage.labels {\n values = { id = "" }\n}`;
  await using run = await startStages(config, { clock: new ManualClock() });
  await run.send(["START id=1", "id=2", "START"]);
  assert.deepEqual(
    run.items.map(({ line, labels }) => [line, labels]),
    [["START id=1\nid=2", '{id="1"}']],
  );
});

test("multiline: more blocks come out of a batch than entries went in before them", async () => {
  const clock = new ManualClock();
  await using run = await startStages(MULTILINE(), { clock });
  const stream = (i: number, line: string) => ({ line, labels: { i: String(i) } });
  await run.send(Array.from({ length: 600 }, (_, i) => stream(i, `START ${i}`)));
  // Each entry ends a block and, with max_wait_time over, none is held back for long.
  await run.send(Array.from({ length: 600 }, (_, i) => stream(i, `START ${i} again`)));
  assert.equal(run.items.length, 600);
  await clock.advance(3_000);
  assert.equal(run.items.length, 1_200);
  assert.equal(new Set(run.items.map((each) => each.line)).size, 1_200);
});

test("multiline: a late flush makes room in the batch", async () => {
  let now = 0;
  // A clock without timers: only the next entry of a stream shows that its block is over.
  const clock = { now: () => now, monotonic: () => now, sleep: () => new Promise<void>(() => {}) };
  const run = await startStages('stage.multiline {\n firstline = "^S"\n max_wait_time = "1s"\n max_lines = 2\n}', {
    clock,
  });
  await run.send(["S1"]);
  now = 5_000;
  await run.send(["x", "y", "z", "S2", "a", "S3"]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["S1", "x\ny", "z", "S2\na"],
  );
});

test("multiline: bad configurations", async () => {
  await assert.rejects(runStages(MULTILINE('max_wait_time = "0s"'), []), /greater than 0/);
  await assert.rejects(runStages('stage.multiline {\n firstline = ""\n}', []), /must not be empty/);
});

test("limit: drops beyond burst and rate", async () => {
  const clock = new ManualClock();
  await using run = await startStages("stage.limit {\n rate = 2\n burst = 3\n drop = true\n}", { clock });
  await run.send(["1", "2", "3", "4", "5"]);
  await clock.advance(1_000);
  await run.send(["6", "7", "8"]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["1", "2", "3", "6", "7"],
  );
  assert.equal(run.component.metric("loki_process_dropped_lines_total", { reason: "ratelimit_drop_stage" }), 3);
});

test("limit: by label", async () => {
  await using run = await startStages('stage.limit {\n rate = 1\n burst = 1\n drop = true\n by_label_name = "app"\n}', {
    clock: new ManualClock(),
  });
  await run.send(["a", "b", "a", "none", "none"].map((app) => ({ line: app, labels: app === "none" ? {} : { app } })));
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["a", "b", "none", "none"],
  );
  assert.equal(
    run.component.metric("loki_process_dropped_lines_by_label_total", { label_name: "app", label_value: "a" }),
    1,
  );
});

test("limit: without drop the batch waits", async () => {
  const clock = new ManualClock();
  await using run = await startStages("stage.limit {\n rate = 10\n burst = 5\n}", { clock });
  await run.send(["1", "2", "3", "4", "5"]);
  let done = false;
  const sent = run.send(["6", "7"]).then(() => {
    done = true;
  });
  await clock.advance(199);
  assert.equal(done, false);
  await clock.advance(1);
  await sent;
  assert.equal(run.items.length, 7);
});

test("limit: bad configurations", async () => {
  for (const [config, message] of [
    ["rate = 0\n burst = 1", /greater than 0/],
    ["rate = 1\n burst = 0", /greater than 0/],
    ['rate = 1\n burst = 1\n by_label_name = "a"', /needs `drop = true`/],
  ] as const) {
    await assert.rejects(runStages(`stage.limit {\n ${config}\n}`, []), message);
  }
});

test("limit: counts of label values that are long gone are forgotten", async () => {
  await using run = await startStages(`stage.limit {
    rate = 0.001
    burst = 1
    drop = true
    by_label_name = "id"
  }`);
  for (let start = 0; start < 30_000; start += 1_000) {
    const lines = Array.from({ length: 2_000 }, (_, i) => ({ line: "x", labels: { id: String(start + (i >> 1)) } }));
    await run.send(lines);
  }
  const families = run.component.services.metrics.collect();
  const byLabel = families.find(({ name }) => name === "loki_process_dropped_lines_by_label_total");
  assert.ok(byLabel!.samples.length >= 10_000, `${byLabel!.samples.length} of the last values`);
  assert.ok(byLabel!.samples.length <= 20_000, `${byLabel!.samples.length} values`);
  assert.equal(run.items.length, 30_000);
});
