import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runInvar, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { NumberedPages } from "../kit/numbered-pages.ts";
import { Sink } from "../kit/sink.ts";

/** A running pipeline gets a configuration that is wrong: in its text, in a module, in its wiring, in how a secret is written. */

const WRITE = "prometheus.remote_write.out";

interface Status {
  readonly config: { readonly hash: string };
  readonly failedReload: { readonly time: string; readonly error: string } | null;
}

async function prepare(t: TestContext) {
  const pages = await NumberedPages.start(t);
  let requests = 0;
  const sink = await Sink.start(() => void (requests += 1));
  cleanUp(t, () => sink.stop());
  const scrape = (forward = "prometheus.remote_write.out.receiver") => `prometheus.scrape "t" {
  targets         = ${pages.targets(1)}
  forward_to      = [${forward}]
  scrape_interval = "500ms"
  scrape_timeout  = "500ms"
}
`;
  const write = (url = `${sink.url}/api/v1/write`, more = "") => `prometheus.remote_write "out" {
  endpoint {
    url = "${url}"
    ${more}
    queue_config {
      batch_send_deadline = "50ms"
    }
  }
}
`;
  const agent = await startAgent(t, scrape() + write());
  /** Data goes on flowing. */
  const flows = async () => {
    const before = requests;
    await agent.until(() => requests > before + 1, "data goes on flowing");
  };
  await flows();
  return { agent, sink, scrape, write, flows };
}

const status = (agent: TestAgent) => agent.json<Status>("/api/v0/web/status");
const loaded = (agent: TestAgent) => agent.metric("alloy_config_last_load_successful");

suite("failures of the configuration", { concurrency: true }, () => {
  test("a reload that fails keeps the last good one running, and says so until the next that works", async (t) => {
    const { agent, scrape, write, flows } = await prepare(t);
    const { config } = await status(agent);
    const bad: readonly (readonly [text: string, says: RegExp])[] = [
      [`${scrape()}prometheus.remote_write "out" {\n`, /expected|unexpected|block/i],
      [scrape() + write(undefined, 'remote_timeut = "1s"'), /unrecognized attribute name "remote_timeut"/],
      [scrape("prometheus.remote_write.gone.receiver") + write(), /prometheus\.remote_write\.gone/],
      [scrape() + write(undefined, 'remote_timeout = "soon"'), /remote_timeout/],
      [
        scrape() +
          write(undefined, 'write_relabel_config {\n source_labels = ["a"]\n regex = "("\n action = "drop"\n }'),
        /regex|parenthesis/,
      ],
    ];
    for (const [text, says] of bad) {
      const { status: code, text: answer } = await agent.reload(text);
      assert.equal(code, 400, answer);
      assert.match(answer, says);
      const { failedReload, config: now } = await status(agent);
      assert.match(failedReload!.error, says);
      assert.equal(now.hash, config.hash, "the last good one is in force");
      assert.equal(await loaded(agent), 0);
      await agent.untilLogged(/level=error .*(reload|load)/);
      await flows();
    }
    await agent.untilRule(WRITE, "", "ok");
    assert.equal((await agent.reload(scrape() + write())).status, 200);
    assert.equal((await status(agent)).failedReload, null);
    assert.equal(await loaded(agent), 1);
    await flows();
    assert.equal(await agent.stop(), 0);
  });

  test("a bad configuration at the start ends the agent, with every fault and its place", async (t) => {
    const file = join(temporaryFolder(t), "config.alloy");
    writeFileSync(
      file,
      'prometheus.remote_write "a" {\n  endpoint {\n    urll = "x"\n  }\n}\nprometheus.scrape "b" {\n}\n',
    );
    const storage = join(temporaryFolder(t), "storage");
    const result = await runInvar(["run", `--storage.path=${storage}`, "--server.http.listen-addr=127.0.0.1:0", file]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /config\.alloy:3:5: unrecognized attribute name "urll"/);
    assert.match(result.stderr, /did you mean "url"\?/);
    assert.match(result.stderr, /config\.alloy:6:1: missing required attribute "(targets|forward_to)"/);
  });

  test("an imported module that breaks stops nothing: what it gave before goes on, beside all the rest", async (t) => {
    const { agent, scrape, write, flows } = await prepare(t);
    const folder = temporaryFolder(t);
    const module = join(folder, "module.alloy");
    const good = `declare "labels" {
  argument "forward_to" { }
  prometheus.relabel "inner" {
    forward_to = argument.forward_to.value
    rule {
      target_label = "module"
      replacement  = "one"
    }
  }
  export "receiver" {
    value = prometheus.relabel.inner.receiver
  }
}
`;
    writeFileSync(module, good);
    const imports = `import.file "lib" {
  filename       = "${module}"
  detector       = "poll"
  poll_frequency = "100ms"
}
lib.labels "x" {
  forward_to = [prometheus.remote_write.out.receiver]
}
`;
    const text = imports + scrape("lib.labels.x.receiver") + write();
    assert.equal((await agent.reload(text)).status, 200);
    await flows();
    writeFileSync(module, good.replace('replacement  = "one"', 'replacment  = "two"'));
    await agent.untilLogged(/level=error msg="failed to evaluate a block again" .*lib\.labels\.x .*replacment/);
    await flows();
    const inner = () => agent.component("lib.labels.x/prometheus.relabel.inner");
    const { health, flow } = await inner();
    assert.deepEqual([health.state, flow.state], ["unhealthy", "ok"], "it runs on with what it had");
    assert.match(health.message, /evaluation failed: unrecognized attribute name "replacment"/);
    const { status: code, text: answer } = await agent.reload(text);
    assert.equal(code, 400);
    assert.match(answer, /module\.alloy:\d+:\d+: unrecognized attribute name "replacment"/);
    assert.equal(await loaded(agent), 0);
    await flows();
    writeFileSync(module, good.replace('"one"', '"two"'));
    assert.equal((await agent.reload(text)).status, 200);
    assert.equal(await loaded(agent), 1);
    assert.equal((await inner()).health.state, "healthy");
    await flows();
    assert.equal(await agent.stop(), 0);
  });

  test("wiring that leads nowhere is told at the load; what is lost by it is counted", async (t) => {
    const { agent, scrape, write, flows } = await prepare(t);
    const relabel =
      'prometheus.relabel "dead" {\n  forward_to = []\n  rule {\n    target_label = "a"\n    replacement = "b"\n  }\n}\n';
    assert.equal((await agent.reload(scrape("prometheus.relabel.dead.receiver") + relabel + write())).status, 200);
    await agent.untilLogged(
      /level=warn msg=wiring component_id=prometheus\.relabel\.dead problem="it forwards to nothing: forward_to is empty, and its data is dropped/,
    );
    await agent.untilLogged(
      /level=warn msg=wiring component_id=prometheus\.scrape\.t problem="its data reaches no destination: it ends at prometheus\.relabel\.dead/,
    );
    await agent.untilLogged(
      /level=warn msg=wiring component_id=prometheus\.remote_write\.out problem="nothing feeds it: no component forwards to prometheus\.remote_write\.out\.receiver/,
    );
    const dropped = () =>
      agent.metric("alloy_component_dropped_total", { component_id: "prometheus.relabel.dead", reason: "no_consumer" });
    await agent.until(async () => ((await dropped()) ?? 0) > 0, "what goes nowhere is counted");
    const nodes = await agent.json<{ nodes: readonly { localId: string; wiring: string }[] }>("/api/v0/web/pipeline");
    assert.match(
      nodes.nodes.find(({ localId }) => localId === "prometheus.relabel.dead")!.wiring,
      /^it forwards to nothing/,
    );
    const before = agent.log.length;
    assert.equal((await agent.reload(scrape("") + write())).status, 200);
    await agent.until(
      () =>
        /msg=wiring component_id=prometheus\.scrape\.t problem="it forwards to nothing/.test(agent.log.slice(before)),
      "an empty forward_to of a source is told",
    );
    await agent.until(async () => (await agent.dropped("prometheus.scrape.t", "no_consumer")) > 0, "and counted");
    assert.equal((await agent.reload(scrape() + write())).status, 200);
    await flows();
    assert.equal(await agent.stop(), 0);
  });

  test("a password with special characters in a URL: how to write it, and never the password", async (t) => {
    const { agent, sink, scrape, write, flows } = await prepare(t);
    const host = sink.url.slice("http://".length);
    for (const password of ["p@geheim/w#rd", "geheim#rd", "geheim%rd", "geheim/rd"]) {
      const { status: code, text } = await agent.reload(
        scrape() + write(`http://user:${password}@${host}/api/v1/write`),
      );
      assert.equal(code, 400, text);
      assert.match(
        text,
        /`url` has a password with .*give user and password in `basic_auth` instead, or escape each of them with encoding\.url_encode/,
      );
      const { failedReload } = await status(agent);
      assert.match(failedReload!.error, /encoding\.url_encode/);
      for (const shown of [text, failedReload!.error, agent.log]) assert.doesNotMatch(shown, /geheim|w#rd/);
      await flows();
    }
    const escaped = '" + encoding.url_encode("p@geheim/w#rd") + "';
    assert.equal((await agent.reload(scrape() + write(`http://user:${escaped}@${host}/api/v1/write`))).status, 200);
    await flows();
    await agent.untilRule(WRITE, "", "ok");
    assert.doesNotMatch(agent.log, /geheim|w#rd/);
    assert.equal(await agent.stop(), 0);
  });
});
