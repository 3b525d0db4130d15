import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { logPipeline } from "../kit/log-pipeline.ts";
import { Sink } from "../kit/sink.ts";

/** Labels and times that Loki will not like, in a pipeline that was right before. */

const WRITE = "loki.write.out";

async function prepare(t: TestContext, line: (i: number) => string) {
  const path = join(temporaryFolder(t), "a.log");
  writeFileSync(path, "");
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  let written = 0;
  return {
    sink,
    write: (count: number) => {
      let text = "";
      for (let i = 0; i < count; i++) text += `${line(written++)}\n`;
      appendFileSync(path, text);
    },
    config: (stages: string) => logPipeline(path, sink.url, stages),
  };
}

suite("failures of streams and times", { concurrency: true }, () => {
  test("a label with a value of its own for each line: which one, how many values, and their share", async (t) => {
    const { write, config, sink } = await prepare(t, (i) => `level=info request_id=r${i.toString(36)} msg=served`);
    const stages = (labels: string) => `stage.logfmt {
    mapping = { level = "", request_id = "" }
  }
  stage.labels {
    values = { ${labels} }
  }`;
    const agent = await startAgent(t, config(stages('level = ""')));
    write(1_000);
    await agent.until(() => sink.counts.requests > 0, "the pipeline works");
    await agent.untilRule(WRITE, "", "ok");
    assert.equal((await agent.reload(config(stages('level = "", request_id = ""')))).status, 200);
    write(25_000);
    const { cause } = await agent.untilRule(WRITE, "high_cardinality", "degraded");
    assert.match(
      cause,
      /^label "request_id" has ~\d\d k values in 5 min \((9\d|100) % of new streams\): .*stage\.structured_metadata/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=loki\.write\.out cause="label \\"request_id\\" has/,
    );
    agent.assertSaidSparingly(WRITE, "data flow degraded");
    await agent.until(
      async () =>
        (await agent.metric("alloy_component_new_label_values", { component_id: WRITE, label: "request_id" }))! >
        20_000,
      "the label's values show as a metric",
    );
    assert.equal(await agent.metric("alloy_component_new_label_values", { component_id: WRITE, label: "app" }), 1);
    assert.ok((await agent.metric("loki_write_new_streams_total"))! > 20_000);
    assert.equal(await agent.metric("alloy_component_flow_rule", { component_id: WRITE, rule: "high_cardinality" }), 1);
    assert.equal(await agent.stop(), 0);
  });

  test("a time zone that stage.timestamp does not know: how far in the future, which stream, what to set", async (t) => {
    // The application writes the time of Johannesburg, two hours ahead of UTC all year, and does not say so.
    const local = () => new Date(Date.now() + 2 * 3_600_000).toISOString().slice(0, 19).replace("T", " ");
    const { write, config, sink } = await prepare(t, (i) => `${local()} served request ${i}`);
    const stages = (more: string) => `stage.regex {
    expression = "^(?P<time>\\\\S+ \\\\S+)"
  }
  stage.timestamp {
    source = "time"
    format = "2006-01-02 15:04:05"
    ${more}
  }`;
    const agent = await startAgent(t, config(stages('location = "Africa/Johannesburg"')));
    const writing = setInterval(() => write(1), 100);
    cleanUp(t, () => clearInterval(writing));
    await agent.until(() => sink.counts.requests > 0, "the pipeline works");
    await agent.untilRule(WRITE, "", "ok");
    assert.equal((await agent.reload(config(stages("")))).status, 200);
    const { cause } = await agent.untilRule(WRITE, "timestamps", "degraded");
    assert.match(
      cause,
      /^timestamps are 2 h in the future, such as in \{app="shop", filename=".*a\.log"\}: .*If stage\.timestamp parses them, set its location/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow degraded" .*component_id=loki\.write\.out cause="timestamps are 2 h in the future/,
    );
    assert.equal(await agent.metric("alloy_component_flow_rule", { component_id: WRITE, rule: "timestamps" }), 1);
    await agent.reload(config(stages('location = "Africa/Johannesburg"')));
    await agent.untilRule(WRITE, "", "ok");
    clearInterval(writing);
    assert.equal(await agent.stop(), 0);
  });

  test("this machine's clock is behind the backend's, by the dates of its answers", async (t) => {
    const { write, config, sink } = await prepare(t, (i) => `line ${i}`);
    const agent = await startAgent(t, config(""));
    const writing = setInterval(() => write(1), 100);
    cleanUp(t, () => clearInterval(writing));
    await agent.until(() => sink.counts.requests > 0, "the pipeline works");
    await agent.untilRule(WRITE, "", "ok");
    sink.answer = () => ({ status: 204, headers: { date: new Date(Date.now() + 7 * 60_000).toUTCString() } });
    const { cause } = await agent.untilRule(WRITE, "clock_skew", "degraded");
    assert.match(
      cause,
      new RegExp(`^this machine's clock is 7 min behind that of 127\\.0\\.0\\.1:${sink.port}: .*NTP`),
    );
    await agent.untilLogged(/level=warn msg="data flow degraded" .*cause="this machine's clock is 7 min behind/);
    assert.equal(await agent.metric("alloy_component_flow_rule", { component_id: WRITE, rule: "clock_skew" }), 1);
    sink.answer = () => ({ status: 204 });
    await agent.untilRule(WRITE, "", "ok");
    clearInterval(writing);
    assert.equal(await agent.stop(), 0);
  });
});
