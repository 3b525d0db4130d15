import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger } from "#base/log";
import { Secret } from "#lang/value";
import type { LogBatch } from "#pipeline/batch";
import { recordLogs } from "#pipeline/testing";
import { LogOutput } from "./log-output.ts";

function setUp() {
  const written: string[] = [];
  const output = new LogOutput((text) => void written.push(text));
  const log = createLogger(output, () => Date.UTC(2026, 10, 20, 12, 0, 0, 5));
  const configure = (args: object) =>
    output.apply({ level: "info", format: "logfmt", destination: "stderr", write_to: [], ...args });
  return { written, output, log, configure };
}

test("logfmt with Alloy's keys, values quoted where they must be", () => {
  const { written, log } = setUp();
  log.with({ component_id: "a.b" }).warn("it went wrong", {
    error: new Error("outer", { cause: new Error("inner") }),
    empty: "",
    list: [1, "x"],
    quote: 'a"b\nc',
    "odd key": 1,
  });
  assert.equal(
    written.join(""),
    'ts=2026-11-20T12:00:00.005Z level=warn msg="it went wrong" component_id=a.b error="outer: inner" empty="" list="[1 x]" quote="a\\"b\\nc" odd_key=1\n',
  );
});

test("passwords inside of URLs are not logged", async () => {
  const { written, log, configure } = setUp();
  const fail = () =>
    log.error("no answer from http://me:hunter2@host/", { error: new Error('Get "http://:hunter2@host/"') });
  fail();
  configure({ format: "json" });
  fail();
  assert.doesNotMatch(written.join(""), /hunter2/);
  assert.equal(JSON.parse(written[1]!).msg, "no answer from http://(secret)@host/");
});

test("JSON, one object a line", () => {
  const { written, log, configure } = setUp();
  configure({ format: "json" });
  log.info("started", { port: 1, ok: true, error: new Error("x"), nothing: null });
  assert.deepEqual(JSON.parse(written[0]!), {
    ts: "2026-11-20T12:00:00.005Z",
    level: "info",
    msg: "started",
    port: 1,
    ok: true,
    error: "x",
    nothing: null,
  });
});

test("levels: what is below is not written, and the change holds at once for loggers made before", () => {
  const { written, log, configure, output } = setUp();
  log.debug("no");
  configure({ level: "debug" });
  log.debug("yes");
  configure({ level: "error" });
  log.warn("no");
  output.apply(undefined); // the block is gone
  log.info("yes");
  assert.equal(written.length, 2);
  assert.ok(written.every((line) => line.includes("msg=yes")));
});

test("secrets hide themselves", () => {
  const { written, log, configure } = setUp();
  const password = new Secret("hunter2");
  log.info("a", { password });
  configure({ format: "json" });
  log.info("b", { password, list: [password] });
  assert.doesNotMatch(written.join(""), /hunter2/);
});

test("the last thousand lines are kept for the support bundle", () => {
  const { log, output } = setUp();
  for (let i = 0; i < 1_500; i++) log.info(`line-${i}`);
  assert.equal(output.recent.length, 1_000);
  assert.match(output.recent[0]!, /line-500/);
  assert.match(output.recent.at(-1)!, /line-1499/);
});

test("write_to gets every line as an entry of its own, in order, with its time", async () => {
  const { log, configure } = setUp();
  const recorder = recordLogs();
  configure({ write_to: [recorder] });
  for (let i = 0; i < 1_200; i++) log.info(`line-${i}`);
  const entries = await recorder.waitFor(1_200);
  assert.ok(entries.every((each, i) => each.line.endsWith(`msg=line-${i}`)));
  assert.equal(entries[0]!.labels, '{component="alloy"}');
  assert.equal(entries[0]!.ms, Date.UTC(2026, 10, 20, 12, 0, 0, 5));
});

test("one consumer that refuses costs the others nothing", async () => {
  const { log, configure } = setUp();
  const [refuses, takes] = [recordLogs(), recordLogs()];
  refuses.gate = () => {
    throw new Error("no");
  };
  configure({ write_to: [refuses, takes] });
  log.info("a");
  await takes.waitFor(1);
  log.info("b");
  await takes.waitFor(2);
});

test("logging never waits: what a stuck consumer leaves over is bounded and counted", async () => {
  const { log, configure, output } = setUp();
  const recorder = recordLogs();
  let finish = () => {};
  let first = true;
  recorder.gate = (_batch: LogBatch) => {
    if (!first) return undefined;
    first = false;
    return new Promise<void>((resolve) => (finish = resolve));
  };
  configure({ write_to: [recorder] });
  log.info("stuck");
  await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 10_500; i++) log.info(`line-${i}`);
  assert.equal(output.dropped, 500);
  finish();
  const entries = await recorder.waitFor(10_001);
  assert.match(entries.at(-1)!.line, /line-10499/);
});
