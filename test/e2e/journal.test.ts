import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { JournalWriter } from "../../src/kits/journal-writer.testing.ts";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

const KILLS = 5;
const NOBODY = 65_534;

/** What journalctl processes read this folder. */
function readers(folder: string): string[] {
  const out = execFileSync("ps", ["-eo", "pid=,args="], { encoding: "utf8" });
  return out.split("\n").filter((line) => line.includes("journalctl") && line.includes(`--directory=${folder} `));
}

test("kill -9 in a loop while the journal grows and the backend fails: no entry is lost", async (t) => {
  const folder = join(temporaryFolder(t), "journal");
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, SEQUENCE_MARKER, counter));
  cleanUp(t, () => sink.stop());
  let requests = 0;
  sink.answer = () => ({ status: requests++ % 5 === 3 ? 500 : 204 });
  const writer = new JournalWriter(folder);
  cleanUp(t, () => writer.close());
  let writing = true;
  const written = (async () => {
    while (writing) {
      const from = writer.written;
      await writer.write(
        ...Array.from({ length: 20 }, (_, i) => ({ message: `entry ${SEQUENCE_MARKER}${from + i} of the journal` })),
      );
      await sleep(10);
    }
  })();
  const agent = await startAgent(
    t,
    `loki.source.journal "all" {
  path       = "${folder}"
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
    await agent.until(() => counter.distinct > before + 500, `entries come in life ${kill}`);
    await sleep(Math.random() * 300);
    await agent.kill();
    await agent.start();
  }
  writing = false;
  await written;
  await agent
    .until(() => counter.distinct >= writer.written, "every entry has come")
    .catch((error) => {
      throw new Error(`${writer.written - counter.distinct} of ${writer.written} entries lost\n${error}`);
    });
  // The children of killed agents end by themselves.
  await agent.until(() => readers(folder).length === 1, "one journalctl reads");
  assert.equal(await agent.stop(), 0);
  assert.deepEqual(readers(folder), []);
  t.diagnostic(`${writer.written} entries, ${KILLS} kills, ${counter.duplicated} duplicates`);
  const duplicates = counter.duplicated;
  await agent.start();
  const from = writer.written;
  await writer.write({ message: `entry ${SEQUENCE_MARKER}${from} of the journal` });
  await agent.until(() => counter.distinct >= writer.written, "the entry after a stop");
  assert.equal(counter.duplicated, duplicates, "an orderly stop repeats nothing");
  assert.equal(await agent.stop(), 0);
});

test("a user who may not read the journal is told which groups it takes", async (t) => {
  const folder = join(temporaryFolder(t), "journal");
  const writer = new JournalWriter(folder);
  await writer.write({ message: "1" });
  await writer.close();
  execFileSync("chmod", ["-R", "go-rwx", folder]);
  execFileSync("chmod", ["go+rx", join(folder, ".."), folder]);
  const storage = join(folder, "..", "storage");
  mkdirSync(storage);
  chownSync(storage, NOBODY, NOBODY);
  const agent = await startAgent(t, `loki.source.journal "all" {\n  path       = "${folder}"\n  forward_to = []\n}\n`, {
    user: NOBODY,
    storage,
  });
  const flow = await agent.untilRule("loki.source.journal.all", "journal_unreadable", "failing");
  assert.match(flow.cause, /may not read the journal: .*insufficient permissions.* groups systemd-journal and adm/);
  const { health } = await agent.component("loki.source.journal.all");
  assert.equal(health.state, "unhealthy");
});
