import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { logBatch } from "#pipeline/log-batch";
import { startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { type LokiServer, startLoki } from "./loki-server.ts";

const { signal } = new AbortController();
const A = Labels.from([["app", "a"]]);

/** Real pauses are short; the time of day moves when a test says so. */
function shiftedClock(): Clock & { shiftMs: number } {
  const clock = {
    shiftMs: 0,
    now: () => Date.now() + clock.shiftMs,
    monotonic: () => performance.now() + clock.shiftMs,
    sleep: (ms: number, abort?: AbortSignal) => systemClock.sleep(Math.min(ms, 10), abort),
  };
  return clock;
}

function endpoint(server: LokiServer, more = ""): string {
  return `endpoint {\n url = "${server.url}"\n batch_wait = "5ms"\n min_backoff_period = "5ms"\n max_backoff_period = "10ms"\n${more}\n}\n`;
}

/** Says nothing of the time, since the clock of the component is moved. */
async function startTimeless(): Promise<LokiServer> {
  const server = await startLoki();
  let answer = server.answer;
  return Object.defineProperty(server, "answer", {
    get:
      () =>
      (response: Parameters<typeof answer>[0], ...rest: [Parameters<typeof answer>[1], number]) => {
        response.sendDate = false;
        answer(response, ...rest);
      },
    set: (next: typeof answer) => {
      answer = next;
    },
  });
}

async function start(config: string) {
  const clock = shiftedClock();
  const component = await startComponent(write, config, { clock });
  const { flow } = component;
  return {
    component,
    clock,
    flow,
    /** Sends entries with the present time, or what is given. */
    send: async (entries: readonly { line?: string; labels?: Labels; ms?: number }[] = [{}]) =>
      component.exports.receiver.consume(
        logBatch(entries.map((each) => ({ labels: A, line: "x", ms: clock.now(), ...each }))),
        signal,
      ),
    /** Resolves when the worst of what the rules find is this one. */
    found: (rule: string, state = "degraded") =>
      until(
        () => {
          flow.judge();
          return flow.status.rule === rule && flow.status.state === state;
        },
        () => `${rule}, but ${JSON.stringify(flow.status)}`,
      ),
    [Symbol.asyncDispose]: () => component.stop(100),
  };
}

test("refused credentials: failing with the answer, what to set and until when entries are kept, which is true", async () => {
  await using server = await startTimeless();
  let mended = false;
  server.answer = (response) => (mended ? response.writeHead(204).end() : response.writeHead(401).end("no org id\n"));
  await using run = await start(endpoint(server));
  await run.send();
  await run.found("unauthorized", "failing");
  const { cause } = run.flow.status;
  assert.match(
    cause,
    /answered 401: no org id; this Loki has several tenants: set tenant_id of the endpoint; entries are kept/,
  );
  const until = Date.parse(/until (\S+Z), then dropped/.exec(cause)![1]!);
  assert.ok(Math.abs(until - run.clock.now() - 10 * 60_000) < 3_000);
  run.clock.shiftMs = 9.5 * 60_000;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(run.flow.droppedItems, 0);
  run.clock.shiftMs = 10.5 * 60_000;
  await run.found("unauthorized", "failing");
  await waitForDrops(run.flow, "unauthorized", 1);
  await run.send();
  mended = true;
  await server.waitFor(1);
  await run.found("entries_dropped");
  assert.match(run.flow.status.cause, /^dropped 1 entries as unauthorized in the last 5 min: .*401: no org id/);
  run.clock.shiftMs += 6 * 60_000;
  await run.send();
  await run.found("", "ok");
});

test("entries that Loki rejects: the reason, its count, the stream, and whether anything gets through", async () => {
  await using server = await startTimeless();
  const text = `2 errors like: entry for stream '{app="a"}' has timestamp too new: 2036-01-01T00:00:00Z`;
  server.answer = (response, entries) =>
    entries.some(({ line }) => line === "bad") ? response.writeHead(400).end(text) : response.writeHead(204).end();
  await using run = await start(endpoint(server));
  for (let i = 0; i < 4; i++) {
    await run.send([{ line: "bad" }, { line: "bad" }]);
    await waitForDrops(run.flow, "too_far_in_future", 2 * (i + 1));
  }
  await run.found("rejected", "failing");
  assert.match(
    run.flow.status.cause,
    /^Loki rejected 8 entries as too_far_in_future in the last 5 min: .*\{app="a"\}.*location of stage\.timestamp/,
  );
  await run.send([{ line: "good" }]);
  await server.waitFor(1);
  await run.found("rejected");
  const logged = run.component.logs
    .filter(({ level }) => level !== "debug")
    .map(({ level, message }) => [level, message]);
  assert.deepEqual(logged, [["error", "entries were dropped"]], "once a minute");
  assert.equal(run.component.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 8);
  run.clock.shiftMs = 6 * 60_000;
  await run.send([{ line: "good" }]);
  await run.found("", "ok");
});

test("what Loki says that it dropped of a request counts, not the whole request", async () => {
  await using server = await startTimeless();
  const line = "entry with timestamp 2026-01-07 01:35:32 +0000 UTC ignored, reason: 'entry too far behind, ...',";
  server.answer = (response) =>
    response.writeHead(400).end(`${line}\nuser 'fake', total ignored: 2 out of 10 for stream: {app="a"}\n`);
  await using run = await start(endpoint(server));
  await run.send(Array.from({ length: 10 }, () => ({})));
  await waitForDrops(run.flow, "out_of_order", 2);
});

test("a limit that some requests get past is degraded, one that none gets past for a minute is failing", async () => {
  await using server = await startTimeless();
  server.answer = (response) => response.writeHead(429).end("Ingestion rate limit exceeded for user fake");
  await using run = await start(endpoint(server, "max_backoff_retries = 0"));
  await run.send();
  await run.found("rate_limited");
  run.clock.shiftMs = 40_000;
  const before = server.requests.length;
  await until(
    () => server.requests.length > before + 1,
    () => "further requests",
  );
  await run.found("rate_limited");
  run.clock.shiftMs = 80_000;
  await run.found("rate_limited", "failing");
  server.answer = (response) => response.writeHead(204).end();
  await server.waitFor(1);
  await run.found("rate_limited");
  run.clock.shiftMs = 160_000;
  await run.found("", "ok");
});

test("a clock that differs from the backend's, by the dates of its answers", async () => {
  await using server = await startLoki();
  server.answer = (response) =>
    response.writeHead(204, { date: new Date(Date.now() + 7 * 60_000).toUTCString() }).end();
  await using run = await start(endpoint(server));
  for (let i = 1; i <= 2; i++) {
    await run.send();
    await server.waitFor(i);
  }
  await run.found("clock_skew");
  assert.match(run.flow.status.cause, /this machine's clock is 7 min behind that of 127\.0\.0\.1:\d+/);
});

test("timestamps in the future, and a label with a value for each line", async () => {
  await using server = await startTimeless();
  await using run = await start(`external_labels = { cluster = "c" }\n${endpoint(server)}`);
  for (let i = 0; i < 12; i++) {
    await run.send([{ ms: run.clock.now() + 7_200_000 }]);
    run.clock.shiftMs += 1_000;
  }
  await run.found("timestamps");
  assert.match(run.flow.status.cause, /timestamps are 2 h in the future, such as in \{app="a"\}/);
  for (let i = 0; i < 25; i++) {
    await run.send(Array.from({ length: 1_000 }, (_, n) => ({ labels: A.with("request_id", `${i}-${n}`) })));
    run.clock.shiftMs += 1_000;
  }
  await run.found("high_cardinality");
  assert.match(run.flow.status.cause, /label "request_id" has ~2\d k values in 5 min/);
  assert.ok(run.component.metric("alloy_component_new_label_values", { label: "request_id" })! > 20_000);
  assert.equal(run.component.metric("alloy_component_new_label_values", { label: "cluster" }), 1);
  assert.ok(run.component.metric("loki_write_new_streams_total")! > 20_000);
});

test("without an endpoint everything is dropped, and the status says so", async () => {
  await using run = await start("");
  await run.send();
  await run.found("entries_dropped", "failing");
  assert.match(
    run.flow.status.cause,
    /dropped 1 entries as no_endpoint in the last 5 min: there is no `endpoint` block to send to: add one/,
  );
});

async function waitForDrops(flow: { dropped: Map<string, Map<string, number>> }, reason: string, count: number) {
  const dropped = () => flow.dropped.get("logs")?.get(reason);
  await until(
    () => dropped() === count,
    () => `${count} dropped as ${reason}, but ${dropped()}`,
  );
}
