import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** `invar positions` beside an agent that runs, and without one. */

async function setUp(t: TestContext) {
  const folder = join(temporaryFolder(t), "logs");
  mkdirSync(folder);
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", lines));
  cleanUp(t, () => sink.stop());
  const [a, b] = [join(folder, "a.log"), join(folder, "b.log")];
  writeFileSync(a, "seq=0 a\nseq=1 a\n");
  writeFileSync(b, "seq=2 b\n");
  const agent = await startAgent(
    t,
    `loki.source.file "logs" {
  targets    = [{ __path__ = "${a}", job = "x" }, { __path__ = "${b}", job = "x" }]
  forward_to = [loki.write.out.receiver]
}
loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`,
  );
  await agent.until(() => lines.total === 3, "all lines come");
  const run = (...args: string[]) => runInvar(["positions", ...args, `--storage.path=${agent.storage}`]);
  const list = async () =>
    JSON.parse((await run("ls", "--json")).stdout) as {
      path: string;
      offset: number;
      unreadBytes: number;
      state: string;
      pendingReset?: string;
    }[];
  const saved = () =>
    agent.until(async () => (await list()).every((each) => each.unreadBytes === 0), "it is all saved");
  return { a, b, lines, agent, run, list, saved };
}

test("lists positions beside a running agent, and has it read one file again", async (t) => {
  const { a, lines, agent, run, list, saved } = await setUp(t);
  await saved();
  const table = await run("ls");
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /^COMPONENT +STATE +POSITION +UNREAD +PATH +LABELS/);
  assert.match(table.stdout, /loki\.source\.file\.logs +current +16 +0B? +\S*a\.log +\{job="x"\}/);
  assert.deepEqual(
    (await list()).map(({ offset, state }) => [offset, state]),
    [
      [16, "current"],
      [8, "current"],
    ],
  );
  const dry = await run("reset", "--to=start", "--dry-run", "a.log");
  assert.match(dry.stdout, /^loki\.source\.file\.logs: \S*a\.log \{job="x"\} to the start\nNothing was changed/);
  const reset = await run("reset", "--to=start", "a.log");
  assert.equal(reset.code, 0, reset.stderr);
  assert.equal(reset.stdout, "loki.source.file.logs: 1 position reset to the start by the running agent\n");
  await agent.until(() => lines.total === 5, "the lines of one file come again");
  appendFileSync(a, "seq=3 a\n");
  await agent.until(() => lines.total === 6, "it goes on");
  assert.equal(lines.distinct, 4);
  assert.equal(await agent.stop(), 0);
});

test("without an agent a reset waits for its start, and is carried out once", async (t) => {
  const { a, b, lines, agent, run, list, saved } = await setUp(t);
  await saved();
  await agent.stop();
  appendFileSync(a, "seq=3 nobody wants this\n");
  appendFileSync(b, "seq=4 b\n");
  assert.deepEqual(
    (await list()).map(({ unreadBytes }) => unreadBytes),
    [24, 8],
  );
  const reset = await run("reset", "--to=end", "--component=loki.source.file.*", a);
  assert.match(reset.stdout, /1 position will be reset to the end when the agent starts; none that runs/);
  assert.deepEqual(
    (await list()).map(({ pendingReset }) => pendingReset),
    ["end", undefined],
  );
  assert.match((await run("ls")).stdout, /reset to end waits/);
  await agent.start();
  await agent.until(() => lines.total === 4, "the line of the other file comes");
  appendFileSync(a, "seq=5 a\n");
  await agent.until(() => lines.total === 5, "what comes after the reset is read");
  assert.deepEqual([lines.distinct, lines.duplicated], [5, 0]);
  await agent.stop();
  await agent.start();
  appendFileSync(a, "seq=6 a\n");
  await agent.until(() => lines.total === 6, "the next start goes on");
  assert.deepEqual([lines.distinct, lines.duplicated], [6, 0]);
  assert.ok(!existsSync(join(agent.storage, "loki.source.file.logs/positions.reset.json")));
  assert.equal(await agent.stop(), 0);
});
