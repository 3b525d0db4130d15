import assert from "node:assert/strict";
import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** One of two Lokis behind a fan-out dies while both are fed; what every component on the way says. */

const SOURCE = "loki.source.file.a";
const PROCESS = "loki.process.p";
const STAGE = "loki.write.stage";
const PROD = "loki.write.prod";

async function prepare(t: TestContext, queue: string) {
  const path = join(temporaryFolder(t), "a.log");
  writeFileSync(path, "");
  const [prod, stage] = [new SequenceCounter(), new SequenceCounter()];
  const start = async (counter: SequenceCounter) => {
    const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", counter));
    cleanUp(t, () => sink.stop());
    return sink;
  };
  const [prodSink, stageSink] = [await start(prod), await start(stage)];
  const endpoint = (sink: Sink, more = "") => `endpoint {
    url                 = "${sink.url}/loki/api/v1/push"
    batch_wait          = "50ms"
    batch_size          = "16KiB"
    min_backoff_period  = "50ms"
    max_backoff_period  = "200ms"
    max_backoff_retries = 0
    ${more}
  }`;
  const agent = await startAgent(
    t,
    `loki.source.file "a" {
  targets    = [{ __path__ = "${path}", app = "shop" }]
  forward_to = [loki.process.p.receiver]
}
loki.process "p" {
  forward_to = [loki.write.prod.receiver, loki.write.stage.receiver]
}
loki.write "prod" {
  ${endpoint(prodSink)}
}
loki.write "stage" {
  ${endpoint(stageSink, `queue_config {\n capacity = "64KiB"\n ${queue}\n }`)}
}
`,
  );
  let written = 0;
  const writing = setInterval(() => {
    let text = "";
    // Random text, which hardly compresses: the queue holds compressed requests.
    for (let i = 0; i < 20; i++) text += `seq=${written++} ${crypto.randomUUID()}${crypto.randomUUID()}\n`;
    appendFileSync(path, text);
  }, 20);
  const stop = () => clearInterval(writing);
  cleanUp(t, stop);
  await agent.until(() => prod.total > 200 && stage.total > 200, "both get lines");
  for (const id of [SOURCE, PROCESS, PROD, STAGE]) await agent.untilRule(id, "", "ok");
  return { agent, path, prod, stage, stageSink, stop, written: () => written };
}

suite("back-pressure of logs", { concurrency: true }, () => {
  test("with a queue that blocks, everybody on the way says who holds up what, and nothing is lost until a file is cut", async (t) => {
    const { agent, path, prod, stage, stageSink, stop, written } = await prepare(t, "");
    stageSink.answer = () => ({ status: 503, body: "no healthy ingester" });
    const before = prod.total;
    const down = await agent.untilRule(STAGE, "endpoint_down", "failing");
    assert.match(down.cause, /answered 503: no healthy ingester; .*; entries are kept until it takes them$/);
    await agent.until(() => prod.total > before + 300, "the other branch goes on while the queue has room");
    const blocked = await agent.untilRule(PROCESS, "blocked", "degraded");
    assert.match(
      blocked.cause,
      /^loki\.write\.stage has taken nothing for \d+ s: \d+ items wait for it and hold back what comes before, and loki\.write\.prod will get nothing more until it takes them/,
    );
    const behind = await agent.untilRule(SOURCE, "behind", "degraded");
    assert.match(
      behind.cause,
      /^\S+ [KM]iB of \S+a\.log are not read yet, \S+ KiB more each second, the oldest for \d+ s: loki\.process\.p has taken nothing for \d+ s\. Nothing is lost while the files stay/,
    );
    const [lag, oldest, waiting, queued] = await Promise.all([
      agent.metric("loki_source_file_lag_bytes"),
      agent.metric("loki_source_file_oldest_unread_seconds"),
      agent.metric("alloy_component_edge_waiting_seconds", { component_id: PROCESS, to: STAGE }),
      agent.metric("alloy_component_queue_bytes", { component_id: STAGE }),
    ]);
    assert.ok(lag! > 10_000 && oldest! >= 20 && waiting! >= 15, `${lag} bytes, ${oldest} s, ${waiting} s`);
    assert.ok(queued! >= 64 * 1024 && queued! < 256 * 1024, `${queued} bytes wait`);
    await agent.untilRule(PROD, "", "ok");
    for (const id of [SOURCE, PROCESS]) {
      await agent.untilLogged(
        new RegExp(`level=warn msg="data flow degraded" .*component_id=${id.replaceAll(".", "\\.")} `),
      );
      agent.assertSaidSparingly(id, "data flow degraded");
    }
    agent.assertSaidSparingly(STAGE, "data flow failing");

    stop();
    const unread = written();
    stageSink.answer = () => ({ status: 204 });
    await agent.until(() => stage.distinct === unread && prod.distinct === unread, "all has come on both branches");
    assert.deepEqual([stage.duplicated, prod.duplicated], [0, 0]);
    for (const id of [SOURCE, PROCESS, STAGE]) await agent.untilRule(id, "", "ok");

    stageSink.answer = () => ({ status: 503 });
    let text = "";
    for (let i = 0; i < 4_000; i++) text += `more ${crypto.randomUUID()}${crypto.randomUUID()}\n`;
    appendFileSync(path, text);
    await agent.until(
      async () => (await agent.component(PROCESS)).flow.sent.some(({ to, waiting }) => to === STAGE && waiting > 0),
      "the queue is full",
    );
    // Twice the text: a lag above one of it is not what was seen before the queue had filled.
    appendFileSync(path, text + text);
    await agent.until(
      async () => (await agent.metric("loki_source_file_lag_bytes"))! >= 2 * text.length,
      "lines are unread",
    );
    truncateSync(path); // as logrotate with copytruncate does it
    stageSink.answer = () => ({ status: 204 });
    const lost = await agent.untilRule(SOURCE, "bytes_lost", "degraded");
    assert.match(
      lost.cause,
      /^\d+ KiB were truncated in the last 10 minutes before they were read, the last of \S+a\.log: .*logrotate: create, not copytruncate/,
    );
    assert.ok((await agent.metric("loki_source_file_lost_bytes_total", { reason: "truncated" }))! >= text.length);
    assert.equal(await agent.stop(), 0);
  });

  test("with a queue that drops, the other branch keeps flowing, and what is lost is counted and told of", async (t) => {
    const { agent, prod, stageSink, stop, written } = await prepare(t, "block_on_overflow = false");
    stageSink.answer = () => ({ status: 503 });
    await agent.until(async () => (await agent.dropped(STAGE, "queue_full")) > 100, "the queue drops");
    const before = prod.total;
    await agent.until(() => prod.total > before + 2_000, "the other branch goes on");
    await agent.untilRule(PROCESS, "", "ok");
    await agent.untilRule(SOURCE, "", "ok");
    await agent.untilRule(STAGE, "endpoint_down", "failing");
    assert.equal(await agent.metric("alloy_component_flow_rule", { component_id: STAGE, rule: "entries_dropped" }), 1);
    assert.ok(
      (await agent.metric("alloy_component_dropped_total", { component_id: STAGE, reason: "queue_full" }))! > 100,
    );
    await agent.untilLogged(
      /level=error msg="entries were dropped" .*component_id=loki\.write\.stage reason=queue_full .*block_on_overflow is off/,
    );
    agent.assertSaidSparingly(STAGE, "entries were dropped");
    stageSink.answer = () => ({ status: 204 });
    const { cause } = await agent.untilRule(STAGE, "entries_dropped", "degraded");
    assert.match(
      cause,
      /^dropped \d+ entries as queue_full in the last 5 min: the queue of an endpoint is full and block_on_overflow is off/,
    );
    stop();
    await agent.until(() => prod.distinct === written(), "the other branch has everything");
    assert.equal(await agent.stop(), 0);
  });
});
