import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** What a running agent says of its data flow by itself: log lines, probes, metrics. See docs/flow-status.md. */

async function probe(agent: TestAgent, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const response = await agent.api(path);
  return { status: response.status, text: await response.text() };
}

function linesOf(agent: TestAgent, message: string): string[] {
  return agent.log.split("\n").filter((line) => line.includes(`msg="${message}"`));
}

suite("flow status", { concurrency: true }, () => {
  test("sources that get nothing say so after a minute, with what they looked for, and say when data come", async (t) => {
    const folder = temporaryFolder(t);
    const agent = await startAgent(
      t,
      `
local.file_match "app" {
  path_targets = [{ __path__ = "${folder}/*.log" }]
  sync_period  = "100ms"
}
loki.source.file "app" {
  targets    = local.file_match.app.targets
  forward_to = [loki.echo.a.receiver]
}
otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${await freePort()}"
  }
  output {
    traces = [otelcol.exporter.debug.a.input]
  }
}
prometheus.scrape "none" {
  targets         = []
  forward_to      = [prometheus.echo.a.receiver]
  scrape_interval = "10s"
}
loki.echo "a" { }
prometheus.echo "a" { }
otelcol.exporter.debug "a" { }
`,
    );
    const sources = [
      "local.file_match.app",
      "loki.source.file.app",
      "otelcol.receiver.otlp.in",
      "prometheus.scrape.none",
    ];
    const silent = (id: string) => linesOf(agent, "no data").filter((line) => line.includes(`component_id=${id} `));
    assert.deepEqual(linesOf(agent, "no data"), []);
    await agent.until(
      () => sources.every((id) => silent(id).length > 0),
      "every source has said it has no data",
      90_000,
    );
    assert.equal(linesOf(agent, "no data").length, sources.length, "once each, and nobody else");
    for (const id of sources) assert.match(silent(id)[0]!, /level=warn .* cause=.+ since=2/);
    assert.match(silent("local.file_match.app")[0]!, /\.log/);
    assert.match(silent("prometheus.scrape.none")[0]!, /`targets` is empty/);
    writeFileSync(join(folder, "a.log"), "hello\n");
    await agent.untilLogged(/level=info msg="data flow began" component_path=\/ component_id=loki\.source\.file\.app /);
    await agent.untilLogged(/level=info msg="data flow began" component_path=\/ component_id=local\.file_match\.app /);
    assert.equal(await agent.stop(), 0);
  });

  test("a backend that is away and comes back shows in log, probes and metrics", async (t) => {
    const folder = temporaryFolder(t);
    const port = await freePort();
    writeFileSync(join(folder, "a.log"), "one\ntwo\nthree\n");
    const agent = await startAgent(
      t,
      `
loki.source.file "a" {
  targets    = [{ __path__ = "${folder}/a.log" }]
  forward_to = [loki.write.b.receiver]
}
loki.write "b" {
  endpoint {
    url                = "http://user:geheim@127.0.0.1:${port}/loki/api/v1/push"
    batch_wait         = "50ms"
    max_backoff_period = "200ms"
  }
}
`,
    );
    const state = (name: string) =>
      agent.metric("alloy_component_flow_status", { component_id: "loki.write.b", state: name });
    const unacknowledged = () =>
      agent.metric("alloy_component_unacknowledged_items", { component_id: "loki.source.file.a" });
    await agent.untilLogged(/level=warn msg="data flow failing" component_path=\/ component_id=loki\.write\.b cause=/);
    assert.deepEqual(
      await Promise.all(["ok", "idle", "degraded", "failing"].map(state)),
      [0, 0, 0, 1],
      "all four states are there",
    );
    assert.equal(await unacknowledged(), 3);
    assert.ok((await agent.metric("alloy_component_queue_bytes", { component_id: "loki.write.b" }))! > 0);
    assert.equal(
      await agent.metric("alloy_component_queue_limit_bytes", { component_id: "loki.write.b" }),
      10 * 2 ** 20,
    );

    assert.deepEqual(await probe(agent, "/-/ready"), { status: 200, text: "Alloy is ready.\n" });
    assert.deepEqual(await probe(agent, "/-/ready?strict=false"), { status: 200, text: "Alloy is ready.\n" });
    assert.deepEqual(await probe(agent, "/-/healthy"), { status: 200, text: "All Alloy components are healthy.\n" });
    assert.equal((await probe(agent, "/-/healthy?flow=0")).status, 200);
    for (const [path, status] of [
      ["/-/ready?strict=true", 503],
      ["/-/healthy?flow=1", 500],
    ] as const) {
      const answer = await probe(agent, path);
      assert.equal(answer.status, status);
      assert.match(answer.text, /\nloki\.write\.b: failing since 2\S+Z: .*127\.0\.0\.1/);
      assert.doesNotMatch(answer.text, /loki\.source\.file\.a|geheim/);
    }
    for (const path of ["/-/ready?strict=yes", "/-/healthy?flow="]) {
      const answer = await probe(agent, path);
      assert.equal(answer.status, 400);
      assert.match(answer.text, /^(strict|flow) must be true or false \(or 1 or 0\), got ".*"\n$/);
    }

    const sink = await Sink.start(() => {}, port);
    cleanUp(t, () => sink.stop());
    await agent.untilLogged(
      /level=info msg="data flow recovered" component_path=\/ component_id=loki\.write\.b after=.* lasted_seconds=\S+ .*dropped=0/,
    );
    agent.assertSaidSparingly("loki.write.b", "data flow failing"); // further failures are counted
    await agent.until(async () => (await unacknowledged()) === 0, "everything is confirmed");
    assert.deepEqual(await Promise.all(["ok", "failing"].map(state)), [1, 0]);
    assert.ok(
      (await agent.metric("alloy_component_last_success_timestamp_seconds", { component_id: "loki.write.b" }))! > 1e9,
    );
    assert.equal((await probe(agent, "/-/ready?strict=1")).status, 200);
    assert.equal((await probe(agent, "/-/healthy?flow=true")).status, 200);
    assert.equal(await agent.stop(), 0);
    assert.doesNotMatch(agent.log, /geheim/);
  });

  test("strict readiness wants every component healthy, and no data from anybody", async (t) => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    cleanUp(t, () => new Promise((resolve) => taken.close(resolve)));
    const { port } = taken.address() as { port: number };
    const api = (at: number) => `
declare "receiver" {
  loki.source.api "in" {
    http {
      listen_address = "127.0.0.1"
      listen_port    = ${at}
    }
    forward_to = [loki.echo.a.receiver]
  }
  loki.echo "a" { }
}
receiver "r" { }
`;
    const agent = await startAgent(t, api(port));
    await agent.until(
      async () => (await probe(agent, "/-/ready?strict=true")).status === 503,
      "strict readiness is refused",
    );
    const { text } = await probe(agent, "/-/ready?strict=true");
    assert.match(text, /^Alloy is not ready: /);
    assert.match(text, /\nreceiver\.r\/loki\.source\.api\.in: unhealthy: .*EADDRINUSE/);
    assert.equal((await probe(agent, "/-/ready")).status, 200);
    assert.equal((await agent.reload(api(await freePort()))).status, 200);
    await agent.until(
      async () => (await probe(agent, "/-/ready?strict=true")).text === "Alloy is ready.\n",
      "it is ready, though it has had no data",
    );
    assert.equal(await agent.stop(), 0);
  });

  test("wiring that leads nowhere is said at the load that makes it so", async (t) => {
    const agent = await startAgent(t, 'loki.echo "a" { }\n');
    const wiring = () => agent.log.split("\n").filter((line) => / msg=wiring /.test(line));
    assert.equal(wiring().length, 1);
    assert.match(wiring()[0]!, /level=warn msg=wiring component_id=loki\.echo\.a problem=.+/);
    assert.equal((await agent.reload('loki.echo "a" { }\nloki.process "p" {\n  forward_to = []\n}\n')).status, 200);
    assert.deepEqual(
      wiring().map((line) => /component_id=(\S+)/.exec(line)![1]),
      ["loki.echo.a", "loki.process.p"],
    );
    assert.equal(await agent.stop(), 0);
  });
});
