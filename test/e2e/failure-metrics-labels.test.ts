import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink } from "../kit/sink.ts";

/** Working pipelines for metrics get labels wrong: in rules, in targets that are there twice, in ever new values. */

/** A target whose page the test writes. */
async function startTarget(t: TestContext, page: () => string): Promise<string> {
  const server = createServer((_, response) => {
    response.setHeader("content-type", "text/plain; version=0.0.4");
    response.end(page());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

suite("failures of labels and targets", { concurrency: true }, () => {
  test("rules about labels that are not there at this place: a warning with the line, and degraded until they are moved", async (t) => {
    const address = await startTarget(t, () => "go_info 1\nup_to_you 2\n");
    const config = (targetRule: string, sampleRule: string) => `discovery.relabel "t" {
  targets = [{ __address__ = "${address}", __meta_zone = "a" }]
  rule {
    source_labels = ["__meta_zone"]
    target_label  = "zone"
  }
  ${targetRule}
}
prometheus.scrape "t" {
  targets         = discovery.relabel.t.output
  forward_to      = [prometheus.relabel.t.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}
prometheus.relabel "t" {
  forward_to = [prometheus.echo.t.receiver]
  ${sampleRule}
}
prometheus.echo "t" { }
`;
    const agent = await startAgent(t, config("", ""));
    await agent.until(async () => (await agent.component("prometheus.echo.t")).flow.received.items > 0, "samples come");
    await agent.untilRule("discovery.relabel.t", "", "ok");

    const drop =
      'rule {\n    source_labels = ["__name__"]\n    regex         = "go_.*"\n    action        = "drop"\n  }';
    const map = 'rule {\n    source_labels = ["__meta_zone"]\n    target_label  = "place"\n  }';
    assert.equal((await agent.reload(config(drop, map))).status, 200);
    const early = await agent.untilRule("discovery.relabel.t", "misplaced_label", "degraded");
    assert.equal(
      early.cause,
      "rule 2 uses __name__, which no target has: it comes into being with the scrape; move the rule to a prometheus.relabel behind the scrape",
    );
    const late = await agent.untilRule("prometheus.relabel.t", "misplaced_label", "degraded");
    assert.match(
      late.cause,
      /^rule 1 uses __meta_zone, which no sample has: .*; move the rule to a discovery\.relabel/,
    );
    await agent.untilLogged(
      /level=warn msg="`rule\[1\]\.source_labels` uses `__name__`, .*component_id=discovery\.relabel\.t at=.*config\.alloy:8:21 hint="move the rule to a prometheus\.relabel/,
    );
    await agent.untilLogged(
      /level=warn msg="`rule\[0\]\.source_labels` uses `__meta_zone`, .*component_id=prometheus\.relabel\.t at=.*config\.alloy:\d+:21 /,
    );
    assert.equal(await agent.ruleMetric("discovery.relabel.t", "misplaced_label"), 1);

    assert.equal((await agent.reload(config(map, drop))).status, 200);
    await agent.untilRule("discovery.relabel.t", "", "ok");
    await agent.untilRule("prometheus.relabel.t", "", "ok");
    await agent.untilLogged(
      /msg="data flow recovered" .*component_id=prometheus\.relabel\.t after="rule 1 uses __meta_zone/,
    );
    assert.equal(await agent.ruleMetric("discovery.relabel.t", "misplaced_label"), 0);
    assert.equal(await agent.stop(), 0);
  });

  test("the same target twice, in two components and in one: both are named until one is gone", async (t) => {
    const address = await startTarget(t, () => "up_to_you 2\n");
    const scrape = (label: string, targets: string) => `prometheus.scrape "${label}" {
  targets         = ${targets}
  forward_to      = [prometheus.echo.t.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
  job_name        = "app"
}
`;
    const echo = 'prometheus.echo "t" { }\n';
    const one = `[{ __address__ = "${address}" }]`;
    const agent = await startAgent(t, scrape("a", one) + echo);
    await agent.untilRule("prometheus.scrape.a", "", "ok");

    assert.equal((await agent.reload(scrape("a", one) + scrape("b", one) + echo)).status, 200);
    for (const id of ["prometheus.scrape.a", "prometheus.scrape.b"]) {
      const { cause } = await agent.untilRule(id, "duplicate_targets", "degraded");
      assert.match(
        cause,
        new RegExp(
          `^http://${address}/metrics is scraped by prometheus\\.scrape\\.a and prometheus\\.scrape\\.b with the same labels: its samples are sent twice`,
        ),
      );
    }
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=prometheus\.scrape\.b cause="http.* is scraped by/,
    );
    assert.equal(await agent.ruleMetric("prometheus.scrape.a", "duplicate_targets"), 1);

    const ports = ["80", "81"].map(
      (port) => `{ __address__ = "${address}", __meta_port = "${port}", port = "${port}" }`,
    );
    assert.equal((await agent.reload(scrape("a", `[${ports.join(", ")}]`) + echo)).status, 200);
    const twice = /is scraped 2 times by prometheus\.scrape\.a, as \{port="80"\} and as \{port="81"\}/;
    await agent.until(
      async () => twice.test((await agent.component("prometheus.scrape.a")).flow.cause),
      "one component that scrapes a target twice is named",
    );

    assert.equal((await agent.reload(scrape("a", one) + echo)).status, 200);
    await agent.untilRule("prometheus.scrape.a", "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a label that takes ever more values is named with how many, where from, and as a metric", async (t) => {
    let users = 10;
    let from = 0;
    const address = await startTarget(t, () => {
      const lines = Array.from({ length: users }, (_, i) => `hits_total{code="200",path="/user/${from + i}"} 1`);
      from += users;
      return `# TYPE hits_total counter\n${lines.join("\n")}\n`;
    });
    let samples = 0;
    const sink = await Sink.start((_path, body) => void (samples += decodeWrite(body).length));
    cleanUp(t, () => sink.stop());
    const agent = await startAgent(
      t,
      `prometheus.scrape "t" {
  targets         = [{ __address__ = "${address}" }]
  forward_to      = [prometheus.remote_write.t.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}
prometheus.remote_write "t" {
  endpoint {
    url = "${sink.url}/api/v1/write"
  }
}
`,
    );
    await agent.until(() => samples > 30, "samples arrive");
    await agent.untilRule("prometheus.scrape.t", "", "ok");
    users = 4_000;
    const { cause } = await agent.untilRule("prometheus.scrape.t", "high_cardinality", "degraded");
    assert.match(
      cause,
      new RegExp(
        `^the label "path" has about \\d+ k values in \\d+ k new series within .* \\(it is in 100 % of them\\), most from http://${address}/metrics: .*action = "labeldrop" in a prometheus\\.relabel$`,
      ),
    );
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=prometheus\.scrape\.t cause="the label .*path/,
    );
    users = 10;
    assert.equal(await agent.ruleMetric("prometheus.scrape.t", "high_cardinality"), 1);
    const values = () =>
      agent.metric("alloy_component_new_label_values", { component_id: "prometheus.scrape.t", label: "path" });
    await agent.until(async () => ((await values()) ?? 0) > 8_000, "the metric shows the label");
    assert.deepEqual((await agent.component("prometheus.scrape.t")).flow.dropped, [], "nothing is dropped for it");
    assert.equal(await agent.stop(), 0);
  });
});
