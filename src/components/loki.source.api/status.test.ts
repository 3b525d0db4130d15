import assert from "node:assert/strict";
import { test } from "node:test";
import { request } from "undici";
import { systemClock } from "#base/clock";
import { recordLogs, startComponent } from "#pipeline/testing";
import api from "./loki.source.api.ts";

async function start(more = "") {
  const recorder = recordLogs();
  const clock = { ...systemClock, shiftMs: 0, now: () => Date.now() + clock.shiftMs };
  const component = await startComponent(
    api,
    `http {\n listen_address = "127.0.0.1"\n listen_port = 0\n}\ngraceful_shutdown_timeout = "100ms"\nforward_to = [sink]\n${more}`,
    { scope: { sink: recorder.value }, clock },
  );
  const address = () => (component.instance.debugInfo!() as { listen_address: string }).listen_address;
  while (address() === "") await new Promise((resolve) => setImmediate(resolve));
  return {
    component,
    clock,
    address,
    post: async (path: string, body: string) => {
      const headers = { "content-type": path.endsWith("push") ? "application/json" : "text/plain" };
      const response = await request(`http://${address()}/loki/api/v1/${path}`, { method: "POST", body, headers });
      await response.body.dump();
      return response.statusCode;
    },
    status: () => {
      component.flow.judge();
      return component.flow.status;
    },
    [Symbol.asyncDispose]: () => component.stop(),
  };
}

const push = (stream: object) => JSON.stringify({ streams: [{ stream, values: [["1700000000000000000", "line"]] }] });

test("says where it listens as long as nobody sends", async () => {
  await using run = await start();
  const { state, rule, cause } = run.status();
  assert.deepEqual([state, rule], ["idle", "no_requests"]);
  assert.equal(cause, `no client has sent anything to http://${run.address()}/loki/api/v1/push since the start`);
  assert.equal(await run.post("push", push({ app: "a" })), 204);
  assert.equal(run.status().state, "ok");
});

test("entries without labels are dropped under a reason of their own, and the status says what to do", async () => {
  await using run = await start();
  assert.equal(await run.post("push", push({})), 204);
  assert.equal(run.component.flow.dropped.get("logs")?.get("no_labels"), 1);
  assert.match(run.status().cause, /^1 entries without labels were dropped in the last 5 min,.*set `labels`/);
  assert.equal(run.status().rule, "no_labels");
  run.clock.shiftMs = 6 * 60_000;
  assert.equal(await run.post("raw", "plain\n"), 204);
  assert.match(run.status().cause, /^1 entries without labels came in the last 5 min,/);
  await using labelled = await start('labels = { app = "x" }');
  for (const [path, body] of [
    ["push", push({})],
    ["raw", "plain\n"],
  ] as const) {
    assert.equal(await labelled.post(path, body), 204);
  }
  assert.equal(labelled.status().state, "ok");
});

test("refused requests: why, failing while none is accepted, logged once a minute", async () => {
  await using run = await start();
  for (let i = 0; i < 5; i++) assert.equal(await run.post("push", "{"), 400);
  assert.deepEqual([run.status().state, run.status().rule], ["failing", "requests_refused"]);
  assert.match(run.status().cause, /^clients were refused 5 requests as 400 in the last 5 min: \S+/);
  assert.equal(await run.post("push", push({ app: "a" })), 204);
  assert.equal(run.status().state, "degraded");
  assert.deepEqual(
    run.component.logs.filter(({ level }) => level === "warn").map(({ message }) => message),
    ["refused a request"],
  );
  run.clock.shiftMs = 6 * 60_000;
  assert.equal(run.status().state, "ok");
});
