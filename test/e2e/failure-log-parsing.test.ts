import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { logPipeline } from "../kit/log-pipeline.ts";
import { Sink } from "../kit/sink.ts";

/** A pipeline that parses well is given the wrong stages; what then shows in the status, the log and the metrics. */

const PROCESS = "loki.process.p";

async function prepare(t: TestContext) {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "logs"));
  const path = join(folder, "logs", "0.log");
  writeFileSync(path, "");
  let received = "";
  const sink = await Sink.start((_path, body) => void (received = Buffer.from(body).toString("latin1")));
  cleanUp(t, () => sink.stop());
  return {
    path,
    /** Text of the latest request. */
    received: () => received,
    config: (stages: string) => logPipeline(path, sink.url, stages),
  };
}

const JSON_STAGES = `stage.json {
    expressions = { level = "" }
  }
  stage.labels {
    values = { level = "" }
  }`;

suite("failures of parsing logs", { concurrency: true }, () => {
  for (const [runtime, right, kind, line, says] of [
    [
      "Kubernetes",
      "stage.cri { }",
      "json",
      (i: number) =>
        `2026-01-02T03:04:05.678901234Z stdout F {"level":"info","card":"4111-1111-${i}","msg":"${"paid ".repeat(20)}end of line"}`,
      /^stage 0\.json: 100 % of the last 1000 lines and more are not JSON objects: the lines begin with a CRI prefix \(Kubernetes\): add stage\.cri before it\. Such as: 2026-01-02T03:04:05\.678901234Z stdout F \{"level":"info"/,
    ],
    [
      "Docker",
      "stage.docker { }",
      "logfmt",
      (i: number) =>
        JSON.stringify({
          log: `level=info n=${i} msg="${"paid ".repeat(20)}end of line"\n`,
          stream: "stdout",
          time: "2026-01-02T03:04:05.678901234Z",
        }),
      /^stage 0\.logfmt: 100 % .* are not logfmt: the lines are wrapped in Docker's JSON: add stage\.docker before it\. Such as: \{"log":"level=info/,
    ],
  ] as const) {
    test(`the stage for ${runtime}'s log files is forgotten: a hint from what the lines look like`, async (t) => {
      const { path, received, config } = await prepare(t);
      const stages =
        kind === "json"
          ? JSON_STAGES
          : JSON_STAGES.replace("stage.json", "stage.logfmt").replace("expressions", "mapping");
      const agent = await startAgent(t, config(`${right}\n  ${stages}`));
      let written = 0;
      const write = (count: number) => {
        let text = "";
        for (let i = 0; i < count; i++) text += `${line(written++)}\n`;
        appendFileSync(path, text);
      };
      write(1_500);
      await agent.until(
        () => received().includes('level="info"') && received().includes("end of line"),
        "lines are parsed",
      );
      await agent.untilRule(PROCESS, "", "ok");

      assert.equal((await agent.reload(config(stages))).status, 200);
      const writing = setInterval(() => write(100), 50);
      cleanUp(t, () => clearInterval(writing));
      const { cause } = await agent.untilRule(PROCESS, "lines_not_parsed", "degraded");
      assert.match(cause, /^stage 0\./);
      await agent.until(async () => says.test((await agent.component(PROCESS)).flow.cause), "the hint and a sample");
      await agent.untilLogged(/level=warn msg="data flow degraded" .*component_id=loki\.process\.p cause="stage 0\./);
      agent.assertSaidSparingly(PROCESS, "data flow degraded");
      assert.doesNotMatch(agent.log, /end of line/, "whole lines do not go into the agent's log");
      const stage = `0.${kind}`;
      const [seen, unmatched] = await Promise.all([
        agent.metric("loki_process_stage_lines_total", { stage }),
        agent.metric("loki_process_unmatched_lines_total", { stage }),
      ]);
      assert.ok(seen! >= 1_000 && unmatched! >= 1_000, `${unmatched} of ${seen}`);
      assert.equal(
        await agent.metric("alloy_component_flow_rule", { component_id: PROCESS, rule: "lines_not_parsed" }),
        1,
      );

      assert.equal((await agent.reload(config(`${right}\n  ${stages}`))).status, 200);
      await agent.untilRule(PROCESS, "", "ok");
      await agent.until(() => received().includes('level="info"'), "lines are parsed again");
      clearInterval(writing);
      assert.equal(await agent.stop(), 0);
    });
  }
});
