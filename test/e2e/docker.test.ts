import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { FakeDocker } from "../../src/kits/docker-engine.testing.ts";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

const KILLS = 5;

test("kill -9 in a loop while containers write, stop and start and the backend fails: no line is lost", async (t) => {
  const docker = await FakeDocker.start(join(temporaryFolder(t), "docker.sock"));
  cleanUp(t, () => docker.stop());
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, SEQUENCE_MARKER, counter));
  cleanUp(t, () => sink.stop());
  let requests = 0;
  sink.answer = () => ({ status: requests++ % 5 === 3 ? 500 : 204 });
  const containers = [docker.add("c1", "one"), docker.add("c2", "two"), docker.add("c3", "three", true)];
  let written = 0;
  let writing = true;
  const line = () => `line ${SEQUENCE_MARKER}${written++} of a container`;
  const writer = (async () => {
    for (let round = 1; writing; round++) {
      for (const [i, container] of containers.entries()) {
        for (let n = 0; n < 10 && container.running; n++)
          container.write(line(), n % 3 === 0 && i < 2 ? "stderr" : "stdout");
      }
      if (round % 100 === 50) containers[1]!.stop();
      if (round % 100 === 80) containers[1]!.start();
      await sleep(10);
    }
  })();
  const agent = await startAgent(
    t,
    `discovery.docker "all" {
  host             = "${docker.host}"
  refresh_interval = "300ms"
}

loki.source.docker "all" {
  host       = "${docker.host}"
  targets    = discovery.docker.all.targets
  labels     = { job = "docker" }
  forward_to = [loki.write.out.receiver]
}

loki.write "out" {
  endpoint {
    url                 = "${sink.url}/loki/api/v1/push"
    batch_wait          = "100ms"
    min_backoff_period  = "50ms"
    max_backoff_period  = "300ms"
    max_backoff_retries = 0
  }
}
`,
  );
  for (let kill = 0; kill < KILLS; kill++) {
    const before = counter.distinct;
    await agent.until(() => counter.distinct > before + 500, `lines come in life ${kill}`);
    await sleep(Math.random() * 300);
    await agent.kill();
    await agent.start();
  }
  writing = false;
  await writer;
  if (!containers[1]!.running) containers[1]!.start();
  await agent
    .until(() => counter.distinct >= written, "every line has come")
    .catch((error) => {
      throw new Error(`${written - counter.distinct} of ${written} lines lost\n${error}`);
    });
  await agent.untilRule("loki.source.docker.all", "", "ok");
  assert.equal(await agent.stop(), 0);
  t.diagnostic(`${written} lines, ${KILLS} kills, ${counter.duplicated} duplicates`);
  const duplicates = counter.duplicated;
  await agent.start();
  containers[0]!.write(line());
  await agent.until(() => counter.distinct >= written, "the line after a stop");
  assert.equal(counter.duplicated, duplicates, "an orderly stop repeats nothing");
  assert.equal(await agent.stop(), 0);
});
