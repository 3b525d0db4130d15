import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { Sink, type SinkAnswer } from "../kit/sink.ts";

/** A pipeline that delivers meets a Loki that refuses; the answers are Loki's own words (pkg/validation/validate.go). */

const WRITE = "loki.write.out";

async function prepare(t: TestContext, source = "", more = "") {
  const path = join(temporaryFolder(t), "a.log");
  writeFileSync(path, "first\n");
  let received = "";
  const sink = await Sink.start((_path, body) => void (received += Buffer.from(body).toString("latin1")));
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `loki.source.file "a" {
  targets    = [{ __path__ = "${path}", app = "shop" }]
  forward_to = [loki.write.out.receiver]
}
${source}
loki.write "out" {
  endpoint {
    url                = "${sink.url}/loki/api/v1/push"
    batch_wait         = "50ms"
    min_backoff_period = "50ms"
    max_backoff_period = "200ms"
    ${more}
  }
}
`,
  );
  await agent.until(() => received.includes("first"), "the pipeline works");
  return {
    agent,
    sink,
    port: sink.port,
    write: (line: string) => appendFileSync(path, `${line}\n`),
    received: () => received,
    /** The backend answers so from now on. */
    answer: (answer: SinkAnswer) => {
      sink.answer = () => answer;
    },
  };
}

suite("failures of delivering logs", { concurrency: true }, () => {
  test("no tenant: failing with the answer and what to set; entries are kept, and delivered when it is mended", async (t) => {
    const { agent, answer, write, received, port } = await prepare(t);
    answer({ status: 401, body: "no org id\n" });
    write("while refused");
    const flow = await agent.untilRule(WRITE, "unauthorized", "failing");
    assert.match(
      flow.cause,
      new RegExp(
        `^127\\.0\\.0\\.1:${port} answered 401: no org id; this Loki has several tenants: set tenant_id of the endpoint; entries are kept and sent again until \\S+Z, then dropped$`,
      ),
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=loki\.write\.out cause="127.* answered 401: no org id; .*set tenant_id/,
    );
    assert.equal(await agent.ruleMetric(WRITE, "unauthorized"), 1);
    for (let i = 0; i < 20; i++) write(`also refused ${i}`);
    agent.assertSaidSparingly(WRITE, "data flow failing");
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.ok((await agent.component(WRITE)).flow.queue!.bytes > 0);
    answer({ status: 204 });
    await agent.until(() => received().includes("also refused 19"), "what was kept is delivered");
    await agent.untilRule(WRITE, "", "ok");
    await agent.untilLogged(
      /level=info msg="data flow recovered" .*component_id=loki\.write\.out after="127.* answered 401.*dropped=0/,
    );
    assert.equal(await agent.stop(), 0);
  });

  test("entries that Loki rejects: each kind under a reason of its own, with the stream and what to do", async (t) => {
    const { agent, answer, write } = await prepare(t);
    const stream = '{app="shop", filename="/a.log"}';
    const kinds: readonly (readonly [reason: string, status: number, body: string, says: RegExp])[] = [
      [
        "too_old",
        400,
        `entry for stream '${stream}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-01T00:00:00Z`,
        /reject_old_samples_max_age/,
      ],
      [
        "too_far_in_future",
        400,
        `entry for stream '${stream}' has timestamp too new: 2036-01-01T00:00:00Z`,
        /location of stage\.timestamp/,
      ],
      [
        "out_of_order",
        400,
        `entry with timestamp 2026-01-07 01:35:32 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-01-07T01:35:32Z, oldest acceptable timestamp is: 2026-01-07T03:23:59Z',\nuser 'fake', total ignored: 1 out of 1 for stream: ${stream}\n`,
        /a label that tells them apart/,
      ],
      [
        "line_too_long",
        400,
        `Max entry size '262144' bytes exceeded for stream '${stream}' while adding an entry with length '300000' bytes`,
        /stage\.truncate/,
      ],
      ["invalid_labels", 400, `stream '${stream}' has label value too long: 'xxxx'`, /mend the labels/],
      ["invalid_labels", 400, "error at least one label pair is required per stream", /external_labels/],
    ];
    const dropped = new Map<string, number>();
    for (const [reason, status, body, says] of kinds) {
      answer({ status, body });
      write("rejected");
      dropped.set(reason, (dropped.get(reason) ?? 0) + 1);
      await agent.until(
        async () => (await agent.dropped(WRITE, reason)) === dropped.get(reason),
        `a drop as ${reason}`,
      );
      const told = () =>
        agent.log
          .split("\n")
          .find((each) => each.includes("entries were dropped") && each.includes(`reason=${reason} `));
      await agent.until(() => told() !== undefined, `the log tells of ${reason}`);
      const entry = told();
      if (dropped.get(reason) === 1) assert.match(entry!, says);
      assert.ok(!body.includes("{") || entry!.includes('filename=\\"/a.log\\"'), "the stream is named");
    }
    const { cause } = await agent.untilRule(WRITE, "rejected", "failing");
    assert.match(cause, /^Loki rejected 2 entries as invalid_labels and 1 as /);
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=loki\.write\.out cause="Loki rejected 1 entries as too_old/,
    );
    assert.equal(
      await agent.metric("alloy_component_dropped_total", { component_id: WRITE, reason: "invalid_labels" }),
      2,
    );
    assert.equal(await agent.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 6);
    assert.equal(await agent.ruleMetric(WRITE, "rejected"), 1);
    answer({ status: 204 });
    write("accepted");
    await agent.untilRule(WRITE, "rejected", "degraded");
    assert.equal(await agent.stop(), 0);
  });

  test("limits: rate and streams are waited for, and nothing is dropped", async (t) => {
    const { agent, answer, write, received } = await prepare(t, "", "max_backoff_retries = 0");
    const body =
      "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '1' lines totaling '9' bytes, reduce log volume or contact your Loki administrator";
    answer({ status: 429, body });
    write("limited");
    const { cause } = await agent.untilRule(WRITE, "rate_limited", "degraded");
    assert.match(
      cause,
      /answered 429: Ingestion rate limit exceeded .*; raise the tenant's limits or send less; entries are kept until it takes them$/,
    );
    await agent.untilLogged(/level=warn msg="data flow degraded" .*answered 429/);
    answer({ status: 204 });
    await agent.until(() => received().includes("limited"), "it is delivered");
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("a Loki that is away for longer than requests are tried: what was dropped, and why, stays to be seen", async (t) => {
    const { agent, answer, write, received } = await prepare(t, "", "max_backoff_retries = 4");
    answer({ status: 503, body: "ingester is shutting down" });
    write("lost");
    await agent.until(async () => (await agent.dropped(WRITE, "server_error")) === 1, "the drop");
    const { cause } = await agent.untilRule(WRITE, "endpoint_down", "failing");
    assert.match(
      cause,
      /answered 503: ingester is shutting down; see the server's own log; a request is tried 4 times, for \d s or so, then its entries are dropped \(max_backoff_retries\)$/,
    );
    answer({ status: 204 });
    write("kept");
    await agent.until(() => received().includes("kept"), "it works again");
    const after = await agent.untilRule(WRITE, "entries_dropped", "degraded");
    assert.match(after.cause, /^dropped 1 entries as server_error in the last 5 min: .*answered 503/);
    assert.equal(await agent.stop(), 0);
  });

  test("entries that come without labels: the receiver says so and drops them under a reason of its own", async (t) => {
    const { agent, sink } = await prepare(
      t,
      `loki.source.api "in" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = 0
  }
  forward_to = [loki.write.out.receiver]
}`,
    );
    const id = "loki.source.api.in";
    const idle = await agent.untilRule(id, "no_requests", "idle");
    const url = /http:\S+push/.exec(idle.cause)![0];
    const push = async (stream: object) => {
      const body = JSON.stringify({ streams: [{ stream, values: [[`${Date.now()}000000`, "pushed"]] }] });
      return (await fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } })).status;
    };
    assert.equal(await push({ app: "a" }), 204);
    await agent.untilRule(id, "", "ok");
    const requests = sink.counts.requests;
    assert.equal(await push({}), 204);
    const { cause } = await agent.untilRule(id, "no_labels", "degraded");
    assert.match(
      cause,
      /^1 entries without labels were dropped in the last 5 min, and Loki takes none: let clients send labels, or set `labels`$/,
    );
    assert.equal(await agent.dropped(id, "no_labels"), 1);
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=loki\.source\.api\.in .*without labels/,
    );
    assert.ok(sink.counts.requests <= requests + 1);
    assert.equal(await agent.stop(), 0);
  });
});
