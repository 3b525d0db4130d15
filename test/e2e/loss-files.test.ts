import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { LogWriter, SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** Nothing that was written to a file may be missing at the end, whatever happens to the agent and the backend between. */

const KILLS = 6;

async function startSink(t: TestContext, port?: number): Promise<{ sink: Sink; counter: SequenceCounter }> {
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, SEQUENCE_MARKER, counter), port);
  cleanUp(t, () => sink.stop());
  return { sink, counter };
}

function config(files: string, url: string, more = ""): string {
  return `local.file_match "logs" {
  path_targets = [{ __path__ = "${files}" }]
  sync_period  = "200ms"
}

loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.write.out.receiver]
}

loki.write "out" {
  endpoint {
    url                 = "${url}/loki/api/v1/push"
    batch_wait          = "100ms"
    batch_size          = "64KiB"
    min_backoff_period  = "50ms"
    max_backoff_period  = "300ms"
    max_backoff_retries = 0
    remote_timeout      = "2s"
  }
  ${more}
}
`;
}

/** Takes, refuses and dawdles in turn. */
function flapping() {
  let requests = 0;
  return async () => {
    const turn = requests++ % 7;
    if (turn === 2 || turn === 3) return { status: 500 };
    if (turn === 5) await sleep(150);
    return { status: 204 };
  };
}

for (const [title, more] of [
  ["without wal", ""],
  ["with wal", "wal {\n    enabled = true\n  }"],
] as const) {
  test(`kill -9 in a loop while files grow and are rotated, backend flapping: ${title}`, async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, "logs"));
    const { sink, counter } = await startSink(t);
    sink.answer = flapping();
    const writer = new LogWriter(join(folder, "logs", "app.log"), {
      linesPerWrite: 40,
      pauseMs: 10,
      rotateAfter: 4_000,
    });
    cleanUp(t, () => writer.stop());
    const agent = await startAgent(t, config(join(folder, "logs", "app.log*"), sink.url, more));
    for (let kill = 0; kill < KILLS; kill++) {
      const before = counter.total;
      await agent.until(() => counter.total > before + 2_000, `lines come in life ${kill}`);
      await sleep(Math.random() * 300);
      await agent.kill();
      await agent.start();
    }
    await writer.stop();
    await agent
      .until(() => counter.distinct >= writer.written, "every line has come", 30_000)
      .catch((error) => {
        throw new Error(`${writer.written - counter.distinct} of ${writer.written} lines lost\n${error}`);
      });
    assert.equal(counter.distinct, writer.written);
    assert.equal(await agent.stop(), 0);
    t.diagnostic(`${writer.written} lines, ${KILLS} kills, ${counter.duplicated} duplicates`);
  });
}

test("SIGTERM under load: drained, exit 0, and the next life goes on without a gap or a double", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "logs"));
  const { sink, counter } = await startSink(t);
  const writer = new LogWriter(join(folder, "logs", "app.log"), { linesPerWrite: 100, pauseMs: 10 });
  cleanUp(t, () => writer.stop());
  const agent = await startAgent(t, config(join(folder, "logs", "app.log"), sink.url));
  for (let life = 0; life < 3; life++) {
    const before = counter.total;
    await agent.until(() => counter.total > before + 3_000, "lines come");
    assert.equal(await agent.stop(), 0);
    await agent.start();
  }
  await writer.stop();
  await agent.until(() => counter.distinct >= writer.written, "every line has come", 30_000);
  assert.equal(await agent.stop(), 0);
  assert.deepEqual([counter.distinct, counter.duplicated], [writer.written, 0]);
});

test("a reload under load that restarts the writer loses nothing", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "logs"));
  const { sink, counter } = await startSink(t);
  const writer = new LogWriter(join(folder, "logs", "app.log"), { linesPerWrite: 100, pauseMs: 10 });
  cleanUp(t, () => writer.stop());
  const files = join(folder, "logs", "app.log*");
  const agent = await startAgent(t, config(files, sink.url));
  for (let i = 0; i < 4; i++) {
    const before = counter.total;
    await agent.until(() => counter.total > before + 2_000, "lines come");
    const { status, text } = await agent.reload(config(files, sink.url, `external_labels = { i = "${i}" }`));
    assert.equal(status, 200, text);
  }
  await writer.stop();
  await agent.until(() => counter.distinct >= writer.written, "every line has come", 30_000);
  assert.equal(await agent.stop(), 0);
  assert.deepEqual([counter.distinct, counter.duplicated], [writer.written, 0]);
});

interface Outage {
  readonly name: string;
  /** Begins the outage; what it returns ends it. */
  begin(sink: Sink, t: TestContext): Promise<() => Promise<void>>;
  /** What the component's flow status says meanwhile. */
  readonly cause: RegExp;
}

const answering = (answer: Sink["answer"]) => async (sink: Sink) => {
  sink.answer = answer;
  return async () => {
    sink.answer = () => ({ status: 204 });
  };
};

const OUTAGES: readonly Outage[] = [
  { name: "500", begin: answering(() => ({ status: 500 })), cause: /500/ },
  {
    name: "429 with Retry-After",
    begin: answering(() => ({ status: 429, headers: { "Retry-After": "1" } })),
    cause: /429/,
  },
  { name: "a half-open connection", begin: answering(() => new Promise(() => {})), cause: /time|answer/i },
];

for (const { name, begin, cause } of OUTAGES) {
  test(`an outage of the log backend, ${name}: the status says so, and everything arrives afterwards`, async (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, "logs"));
    const { sink, counter } = await startSink(t);
    const writer = new LogWriter(join(folder, "logs", "app.log"), { linesPerWrite: 50, pauseMs: 10 });
    cleanUp(t, () => writer.stop());
    const agent = await startAgent(t, config(join(folder, "logs", "app.log"), sink.url));
    await agent.until(() => counter.total > 500, "lines come");
    const end = await begin(sink, t);
    const refusedFrom = sink.arrivals.length + 1; // the one under way may still be taken
    await agent.until(async () => {
      const { flow, health } = await agent.component("loki.write.out");
      return (
        (flow.state === "failing" || flow.state === "degraded") && cause.test(flow.cause) && health.state === "healthy"
      );
    }, `the flow status says ${cause}`);
    const during = counter.total;
    await agent.until(() => sink.arrivals.length > 0 && writer.written > during + 2_000, "more is written meanwhile");
    if (name.startsWith("429")) {
      await agent.until(() => sink.arrivals.length >= refusedFrom + 3, "it is tried again");
      const times = sink.arrivals.slice(refusedFrom);
      const pauses = times.slice(1).map((each, i) => Math.round(each - times[i]!));
      assert.ok(Math.min(...pauses) >= 900, `Retry-After is kept: ${pauses}`);
    }
    await end();
    await writer.stop();
    await agent.until(() => counter.distinct >= writer.written, "every line has come", 30_000);
    // That a backend limits the rate is said for a minute more, since it will do so again.
    const recovered = async () => {
      const { flow } = await agent.component("loki.write.out");
      return flow.state === "ok" || flow.rule === "rate_limited";
    };
    await agent.until(recovered, "the status recovers");
    assert.equal(counter.duplicated, 0);
    assert.equal(await agent.stop(), 0);
  });
}

test("a log backend that was away while the agent was killed gets everything", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "logs"));
  const first = await startSink(t);
  const writer = new LogWriter(join(folder, "logs", "app.log"), { linesPerWrite: 50, pauseMs: 10 });
  cleanUp(t, () => writer.stop());
  const agent = await startAgent(t, config(join(folder, "logs", "app.log"), first.sink.url));
  await agent.until(() => first.counter.total > 500, "lines come");
  const { port } = first.sink;
  await first.sink.stop();
  await agent.until(
    async () => /refuses connections/.test((await agent.component("loki.write.out")).flow.cause),
    "the refused connection shows",
  );
  await agent.kill();
  await agent.start();
  await writer.stop();
  const second = await startSink(t, port);
  const missing = () => writer.written - first.counter.distinct;
  await agent.until(() => second.counter.distinct >= missing(), "the rest has come", 30_000);
  assert.equal(await agent.stop(), 0);
});
