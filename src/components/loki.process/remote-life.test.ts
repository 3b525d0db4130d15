import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { logBatch } from "#pipeline/log-batch";
import type { EntryTrace } from "#pipeline/tap";
import { recordLogs, startComponent } from "#pipeline/testing";
import { WorkerPool } from "#pipeline/worker-pool";
import process from "./loki.process.ts";
import { keepRunning, testPool } from "./remote-testing.ts";

const shared = testPool();
keepRunning(shared.pool);
after(() => shared.pool.close());
const { signal } = new AbortController();

const A = Labels.from([["app", "a"]]);
const B = Labels.from([["app", "b"]]);
const WORDS = `
  stage.regex { expression = "^(?P<word>\\\\w+) (?P<number>\\\\d+)" }
  stage.labels { values = { word = "" } }`;
const BLOCKS = `
  stage.multiline {
    firstline     = "^\\\\S"
    max_wait_time = "1h"
  }`;

async function start(stages: string, pool: WorkerPool = shared.pool) {
  const recorder = recordLogs();
  const component = await startComponent(process, `forward_to = [sink]\n${stages}`, {
    scope: { sink: recorder.value },
    services: { workers: pool },
  });
  const fired: string[] = [];
  return {
    recorder,
    component,
    fired,
    /** Sends lines that the source could read again, unless `name` is missing. */
    send(lines: readonly string[], name?: string, labels = A): void | Promise<void> {
      const acknowledgement = name === undefined ? undefined : new Acknowledgement(() => void fired.push(name));
      const entries = lines.map((line, i) => ({ line, labels, ms: i }));
      return component.exports.receiver.consume(logBatch(entries, acknowledgement), signal);
    },
    lines: () => recorder.items.map(({ line }) => line),
    [Symbol.asyncDispose]: () => component.stop(),
  };
}

const numbered = (word: string, from: number, count = 10) =>
  Array.from({ length: count }, (_, i) => `${word} ${from + i}`);

test("what can be read again is accepted at once, and acknowledged when it is delivered", async () => {
  await using run = await start(WORDS);
  let open = () => {};
  run.recorder.gate = () => new Promise<void>((resolve) => (open = resolve));
  assert.equal(run.send(["a 1"], "one"), undefined);
  await until(() => run.component.flow.edge("test.logs").waiting > 0, "it comes out");
  assert.deepEqual(run.fired, []);
  open();
  await until(() => run.fired.length === 1, "it is acknowledged");
});

test("what cannot be read again is accepted when the consumer has accepted it", async () => {
  await using run = await start(WORDS);
  let open = () => {};
  run.recorder.gate = () => new Promise<void>((resolve) => (open = resolve));
  let accepted = false;
  const pending = Promise.resolve(run.send(["a 1"])).then(() => (accepted = true));
  await until(() => run.component.flow.edge("test.logs").waiting > 0, "it comes out");
  assert.equal(accepted, false);
  open();
  await pending;
  assert.deepEqual(run.lines(), ["a 1"]);
});

test("a consumer that takes nothing makes senders wait, and nothing is lost or out of order", async () => {
  await using run = await start(WORDS);
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  run.recorder.gate = () => gate;
  const all: Promise<void>[] = [];
  let accepted = 0;
  for (let i = 0; i < 100; i++) {
    all.push(Promise.resolve(run.send(numbered("a", i * 10), `${i}`)).then(() => void accepted++));
  }
  await until(() => accepted > 0 && run.component.flow.edge("test.logs").waiting > 0, "it is full");
  assert.ok(accepted < 40, `${accepted} batches were accepted`);
  open();
  await Promise.all(all);
  await until(() => run.fired.length === 100, "all came");
  assert.deepEqual(run.lines(), numbered("a", 0, 1000));
});

test("a sender that gives up while it waits is told, and its batch is not taken", async () => {
  await using run = await start(WORDS);
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  run.recorder.gate = () => gate;
  const all: (void | Promise<void>)[] = [];
  for (let i = 0; i < 50; i++) all.push(run.send(["a 1"], `${i}`));
  const controller = new AbortController();
  const refused = assert.rejects(
    Promise.resolve(run.component.exports.receiver.consume(logBatch([{ line: "late" }]), controller.signal)),
    /given up/,
  );
  controller.abort(new Error("given up"));
  await refused;
  open();
  await Promise.all(all);
  await until(() => run.fired.length === 50, "all came");
  assert.ok(!run.lines().includes("late"));
});

test("a thread that dies: its batches and the lines that stages held are processed again, once each", async () => {
  const { pool, workers } = testPool();
  await using run = await start(BLOCKS, pool);
  await run.send(["one", " more"], "1", A);
  await run.send(["other", " more"], "2", B);
  await until(() => run.component.flow.receiving("logs").items === 4, "they are held");
  await run.send(["first of next"], "3", A);
  await until(() => run.lines().length === 1, "a block came");
  const before = [...workers];
  // Batches that are on their way when the threads end.
  await run.send([" and more", "last"], "4", A);
  await Promise.all(before.map((worker) => worker.terminate()));
  await run.send([" end"], "5", B);
  await run.component.stop();
  assert.deepEqual(run.lines().toSorted(), ["first of next\n and more", "last", "one\n more", "other\n more\n end"]);
  assert.deepEqual(run.fired.toSorted(), ["1", "2", "3", "4", "5"]);
  const [logged] = run.component.logs.filter(({ level }) => level === "error");
  assert.match(logged!.message, /a worker thread died; what it had is processed again/);
  assert.match(String(new Map(logged!.fields).get("cause")), /exit code 1/);
  assert.ok(workers.length > before.length, "no thread took its place");
  assert.equal(pool.running, 0);
});

test("threads that keep dying: the main thread takes over, and nothing is lost", async () => {
  const { pool, workers } = testPool(1);
  await using run = await start(BLOCKS, pool);
  for (let i = 0; i < 5; i++) {
    await run.send([`block ${i}`, ` more ${i}`], `${i}`);
    const live = workers.at(-1)!;
    if (i < 3) await live.terminate();
    await until(() => i >= 2 || workers.at(-1) !== live, "it has a successor, or none is tried any more");
  }
  const { debugInfo } = run.component.instance;
  assert.deepEqual(debugInfo!(), { runs_in: "main thread", because: "worker threads kept dying" });
  assert.ok(run.component.logs.some(({ message }) => /worker threads keep dying/.test(message)));
  await run.component.stop();
  assert.deepEqual(
    run.lines(),
    [0, 1, 2, 3, 4].map((i) => `block ${i}\n more ${i}`),
  );
  assert.deepEqual(run.fired, ["0", "1", "2", "3", "4"]);
});

/** Sends more than there is room for to a consumer that takes nothing yet. */
function crowd(run: Awaited<ReturnType<typeof start>>, batches: number) {
  let open = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  run.recorder.gate = () => gate;
  let accepted = 0;
  const all = Array.from({ length: batches }, async (_, i) => {
    await run.send([`block ${i}`, ` more ${i}`], `${i}`);
    accepted += 1;
  });
  const blocks = all.map((_, i) => `block ${i}\n more ${i}`);
  return { open, all: Promise.all(all), blocks, accepted: () => accepted };
}

test("the main thread takes over while senders wait", async () => {
  const { pool, workers } = testPool(1);
  await using run = await start(BLOCKS, pool);
  const { open, all, blocks, accepted } = crowd(run, 30);
  await until(() => accepted() > 2 && run.component.flow.edge("test.logs").waiting > 0, "it is full");
  for (let i = 0; i < 3; i++) {
    const live = workers.at(-1)!;
    await live.terminate();
    await until(() => i === 2 || workers.at(-1) !== live, "it has a successor, or none is tried any more");
  }
  open();
  await all;
  await run.component.stop();
  assert.deepEqual(run.lines(), blocks);
  assert.deepEqual(new Set(run.fired).size, 30);
});

test("a changed configuration while senders wait and a thread dies", async () => {
  const { pool, workers } = testPool(1);
  await using run = await start(BLOCKS, pool);
  const { open, all, blocks, accepted } = crowd(run, 30);
  await until(() => accepted() > 2 && run.component.flow.edge("test.logs").waiting > 0, "it is full");
  await run.component.update(`forward_to = [sink]\n${BLOCKS}\nstage.static_labels { values = { version = "2" } }`);
  await workers.at(-1)!.terminate();
  open();
  await all;
  await run.component.stop();
  // Where the configuration changed, the block that was open ended.
  assert.deepEqual(run.lines(), blocks);
  assert.deepEqual(new Set(run.fired).size, 30);
  const old = run.recorder.items.filter(({ labels }) => !labels.includes("version")).length;
  assert.ok(old > 0 && old < 30);
});

test("a program that does not start: the main thread does the work", async () => {
  const pool = new WorkerPool(
    1,
    () => {
      throw new Error("no more threads");
    },
    { isEager: true },
  );
  await using run = await start(WORDS, pool);
  await run.send(["a 1"], "one");
  assert.deepEqual(run.lines(), ["a 1"]);
  assert.ok(run.component.logs.some(({ message }) => /no worker thread can be started/.test(message)));
});

test("a changed configuration in the middle: what came before it is worked on as before, then the new one", async () => {
  await using run = await start(`${WORDS}\nstage.static_labels { values = { version = "1" } }`);
  for (let i = 0; i < 20; i++) await run.send(numbered("a", i * 10), `${i}`);
  const changed = run.component.update(
    `forward_to = [sink]\n${WORDS}\nstage.static_labels { values = { version = "2" } }`,
  );
  const later: (void | Promise<void>)[] = [];
  for (let i = 20; i < 40; i++) later.push(run.send(numbered("a", i * 10), `${i}`));
  await changed;
  await Promise.all(later);
  await run.component.stop();
  assert.deepEqual(run.lines(), numbered("a", 0, 400));
  assert.equal(run.fired.length, 40);
  const versions = run.recorder.items.map(({ labels }) => /version="(\d)"/.exec(labels)![1]);
  assert.equal(versions.lastIndexOf("1"), 199);
  assert.equal(versions.indexOf("2"), 200);
});

test("a change to stages that cannot work in threads, and back", async () => {
  await using run = await start(WORDS);
  await run.send(["a 1"], "1");
  const limited = `${WORDS}\nstage.match {\nselector = "{app=\\"a\\"}"\nstage.limit {\nrate = 1000\nburst = 1000\n}\n}`;
  await run.component.update(`forward_to = [sink]\n${limited}`);
  await run.send(["a 2"], "2");
  assert.deepEqual(run.component.instance.debugInfo!(), {
    runs_in: "main thread",
    because: "stage 2.match.0.limit: its rate is one for all entries",
  });
  await run.component.update(`forward_to = [sink]\n${WORDS}`);
  await run.send(["a 3"], "3");
  assert.deepEqual(run.component.instance.debugInfo!(), { runs_in: "worker threads", threads: 2 });
  await run.component.stop();
  assert.deepEqual(run.lines(), ["a 1", "a 2", "a 3"]);
  assert.deepEqual(run.fired, ["1", "2", "3"]);
  const said = run.component.logs.filter(({ message }) => message === "this pipeline stays in the main thread");
  assert.equal(said.length, 1);
});

test("a change while stages hold lines hands them on", async () => {
  await using run = await start(BLOCKS);
  await run.send(["one", " more"], "1");
  await run.component.update(`forward_to = [sink]\n${WORDS}`);
  await run.send(["a 1"], "2");
  await run.component.stop();
  assert.deepEqual(run.lines(), ["one\n more", "a 1"]);
  assert.deepEqual(run.fired, ["1", "2"]);
});

test("lines that stages hold come out when their time is over", async () => {
  await using run = await start(`stage.multiline {\nfirstline = "^\\\\S"\nmax_wait_time = "100ms"\n}`);
  await run.send(["one", " more"], "1");
  await until(() => run.lines().length === 1, "they come");
  assert.deepEqual(run.lines(), ["one\n more"]);
  await until(() => run.fired.length === 1, "they are acknowledged");
});

test("who watches sees each stage's work, and what flows stays the same", async () => {
  await using run = await start(WORDS);
  const traces: EntryTrace[] = [];
  let wanted = 3;
  const unwatch = run.component.tap.watchTraces({
    wants: () => wanted-- > 0,
    show: (trace) => void traces.push(trace),
  });
  await run.send(numbered("a", 0), "1");
  await until(() => run.fired.length === 1, "it came");
  unwatch();
  assert.equal(traces.length, 3);
  assert.equal(traces[0]!.before.line, "a 0");
  assert.deepEqual(
    traces[0]!.steps.map(({ stage, outcome }) => `${stage} ${outcome}`),
    ["0.regex passed", "1.labels passed"],
  );
  assert.deepEqual(run.lines(), numbered("a", 0));
});

test("lines that no stage can read are reported with one of them", async () => {
  await using run = await start(`stage.json { expressions = { level = "" } }`);
  const judged = () => {
    run.component.flow.judge();
    return run.component.flow.status;
  };
  const send = () => run.send(new Array(600).fill("level=info msg=hello"), "x");
  await send();
  await send();
  await until(() => judged().state === "degraded", "they are counted");
  await send();
  await until(() => /Such as: level=info msg=hello/.test(judged().cause), "a line is shown");
  assert.match(judged().cause, /^stage 0\.json: 100 % .*logfmt/);
  assert.equal(run.component.metric("loki_process_unmatched_lines_total", { stage: "0.json" }), 1800);
  const reports = run.component.logs.filter(({ message }) => /were passed on unchanged/.test(message));
  assert.equal(reports.length, 1);
});

test("lines and entries beyond the room that there is for them come whole", async () => {
  await using run = await start(`
    stage.split_json { }
    stage.template {
      source   = "long"
      template = "{{ repeat 3000 .Entry }}"
    }
    stage.output { source = "long" }`);
  await run.send([JSON.stringify(Array.from({ length: 500 }, (_, i) => i)), "[1, 2]"], "1");
  await until(() => run.fired.length === 1, "they come");
  const wanted = [...Array(500).keys(), 1, 2].map((number) => String(number).repeat(3000));
  assert.ok(run.lines().every((line, i) => line === wanted[i]));
  assert.equal(run.lines().length, 502);
});

test("of data that is mostly dropped only the lines are taken along", async () => {
  await using run = await start(WORDS);
  const data = new TextEncoder().encode(`a 1${"x".repeat(1_000_000)}b 2`);
  const batch = logBatch(["", ""].map((line) => ({ line })));
  Object.assign(batch, { data, start: Int32Array.of(0, data.length - 3), end: Int32Array.of(3, data.length) });
  await run.component.exports.receiver.consume(batch, signal);
  assert.deepEqual(run.lines(), ["a 1", "b 2"]);
});

test("more label sets than the tables hold", async () => {
  await using run = await start(`stage.regex {
    expression         = "(?P<number>[0-9]+)"
    labels_from_groups = true
  }`);
  for (let i = 0; i < 12; i++) await run.send(numbered("a", i * 1000, 1000), `${i}`);
  await until(() => run.fired.length === 12, "they come");
  for (const [i, { labels, line }] of run.recorder.items.entries()) {
    assert.equal(line, `a ${i}`);
    assert.equal(labels, `{app="a", number="${i}"}`);
  }
});

test("a pipeline with little to do stays in the main thread", async () => {
  const pool = new WorkerPool(2, () => assert.fail("a thread was started"));
  await using run = await start(BLOCKS, pool);
  await run.send(["one", " more", "two"], "1");
  assert.deepEqual(run.lines(), ["one\n more"]);
  assert.equal(pool.running, 0);
  await run.component.stop();
  assert.deepEqual(run.lines(), ["one\n more", "two"]);
  assert.deepEqual(run.fired, ["1"]);
});
