import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, formatLogfmt } from "#base/log";
import { Flow } from "#pipeline/flow";
import { FlowLog } from "./flow-log.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A flow with its log under a clock that only `pass` moves; the monitor's look comes every five seconds of it. */
function setUp(isSource = false) {
  let now = Date.parse("2026-01-01T00:00:00Z");
  const lines: string[] = [];
  const log = createLogger(
    {
      enabled: () => true,
      write: (record) =>
        void lines.push(
          formatLogfmt(record)
            .replace(/^ts=\S+ /, "")
            .replace(/ msg=/, " "),
        ),
    },
    () => now,
  );
  const flow = new Flow(
    () => now,
    (status, previous) => flowLog.changed(status, previous),
  );
  const flowLog: FlowLog = new FlowLog(flow, log, () => now);
  const pass = (ms: number) => {
    for (const end = now + ms; now < end; ) {
      now += 5 * SECOND;
      flow.judge();
      flowLog.tick(isSource);
    }
  };
  return { flow, flowLog, pass, step: (ms: number) => void (now += ms), said: () => lines.splice(0) };
}

test("the end of a component that fails is no end of its trouble", () => {
  const { flow, flowLog, pass, said } = setUp();
  flow.ok();
  pass(5 * SECOND);
  flow.failing("no route to host");
  said();
  flowLog.stopping();
  flow.restarted();
  assert.equal(flow.status.state, "idle");
  assert.deepEqual(said(), []);
});

test("a failure is said at once, again while it lasts with what it costs, and its end", () => {
  const { flow, pass, said } = setUp();
  flow.ok();
  flow.drop("logs", "filtered", 1_000);
  pass(5 * SECOND);
  flow.drop("logs", "queue_full", 7);
  flow.failing("no route to host");
  assert.deepEqual(said(), ['level=warn "data flow failing" cause="no route to host"']);
  flow.failing("no route to host");
  pass(4 * MINUTE);
  assert.deepEqual(said(), []);
  flow.drop("logs", "queue_full", 5);
  pass(MINUTE);
  assert.deepEqual(said(), [
    'level=warn "data flow still failing" cause="no route to host" since=2026-01-01T00:00:05.000Z failures=2 dropped=12',
  ]);
  pass(9 * MINUTE);
  assert.equal(said().length, 1, "every five minutes");
  flow.ok();
  assert.deepEqual(said(), [
    'level=info "data flow recovered" after="no route to host" lasted_seconds=840 failures=2 dropped=12',
  ]);
  pass(10 * MINUTE);
  assert.deepEqual(said(), []);
});

test("another cause is said at most once a minute, other figures in the same cause only with the repeats", () => {
  const { flow, pass, said } = setUp();
  let down = 1;
  const remove = flow.rule({
    name: "targets",
    judge: () => ({ state: "degraded", cause: `${down} of 9 targets fail` }),
  });
  flow.judge();
  assert.deepEqual(said(), ['level=warn "data flow degraded" cause="1 of 9 targets fail"']);
  down = 5;
  pass(2 * MINUTE);
  assert.deepEqual(said(), []);
  flow.rule({ name: "disk", judge: () => ({ state: "degraded", cause: "the disk is slow" }) });
  remove();
  assert.deepEqual(said(), [], "not before the next look");
  pass(5 * SECOND);
  assert.deepEqual(said(), ['level=warn "data flow degraded" cause="the disk is slow"']);
  flow.failing("no route");
  assert.deepEqual(said(), ['level=warn "data flow failing" cause="no route"'], "what gets worse is said at once");
  flow.failing("connection refused");
  pass(30 * SECOND);
  assert.deepEqual(said(), []);
  pass(40 * SECOND);
  assert.deepEqual(said(), ['level=warn "data flow failing" cause="connection refused"']);
});

test("what comes and goes all the time is said once a minute, with how often", () => {
  const { flow, pass, said } = setUp();
  for (let i = 0; i < 12; i++) {
    flow.failing("timed out");
    flow.ok();
    pass(5 * SECOND);
  }
  assert.deepEqual(said(), [
    'level=warn "data flow failing" cause="timed out"',
    'level=info "data flow recovered" after="timed out" lasted_seconds=0 failures=1 dropped=0',
  ]);
  flow.failing("timed out");
  assert.deepEqual(said(), ['level=warn "data flow failing" cause="timed out" also_failed_times=11']);
});

test("a trouble that came too soon after another is said when the minute is over, if it still lasts", () => {
  const { flow, pass, said } = setUp();
  flow.failing("timed out");
  flow.ok();
  flow.failing("timed out");
  said();
  pass(55 * SECOND);
  assert.deepEqual(said(), []);
  pass(5 * SECOND);
  assert.deepEqual(said(), ['level=warn "data flow failing" cause="timed out"']);
});

test("a trouble may end without data", () => {
  const { flow, said, step } = setUp();
  flow.failing("permission denied");
  step(1_500);
  said();
  flow.idle("there is no file any more");
  assert.deepEqual(said(), [
    'level=info "data flow idle" cause="there is no file any more" after="permission denied" lasted_seconds=1.5 failures=1 dropped=0',
  ]);
});

test("a source without data is said after its patience, every half hour, and when data come at last", () => {
  const { flow, pass, said } = setUp(true);
  flow.rule({
    name: "files",
    judge: () => (flow.lastSuccess === 0 ? { state: "idle", cause: '0 files for "/x/*.log"' } : undefined),
  });
  pass(55 * SECOND);
  assert.deepEqual(said(), []);
  pass(5 * SECOND);
  assert.deepEqual(said(), ['level=warn "no data" cause="0 files for \\"/x/*.log\\"" since=2026-01-01T00:00:00.000Z']);
  pass(29 * MINUTE);
  assert.deepEqual(said(), []);
  pass(MINUTE);
  assert.equal(said().length, 1);
  flow.ok();
  assert.deepEqual(said(), ['level=info "data flow began" after_seconds=1860']);
});

test("a source that may take longer is waited for", () => {
  const { flow, pass, said } = setUp(true);
  flow.patienceMs = 10 * MINUTE;
  pass(10 * MINUTE - 5 * SECOND);
  assert.deepEqual(said(), []);
  pass(5 * SECOND);
  assert.equal(said().length, 1);
});

test("a source that falls silent is said once, after half an hour; other components never", () => {
  const { flow, pass, said } = setUp(true);
  flow.ok();
  flow.idle("no new line for 5 minutes");
  pass(29 * MINUTE);
  assert.deepEqual(said(), []);
  pass(60 * MINUTE);
  assert.deepEqual(said(), ['level=warn "no data" cause="no new line for 5 minutes" since=2026-01-01T00:00:00.000Z']);
  flow.ok();
  assert.deepEqual(said(), ['level=info "data flow began again" after_seconds=5340']);
  const sink = setUp(false);
  sink.pass(60 * MINUTE);
  assert.deepEqual(sink.said(), []);
});

test("another life of a source has its patience again", () => {
  const { flow, flowLog, pass, said } = setUp(true);
  flow.ok();
  pass(MINUTE);
  flow.idle("`targets` is empty");
  flowLog.started();
  pass(55 * SECOND);
  assert.deepEqual(said(), []);
  pass(5 * SECOND);
  assert.equal(said().length, 1, "it has had no data in this life");
});
