import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { LogWriter, SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { sleep } from "../kit/process.ts";
import { SequenceCounter, Sink, type SinkAnswer } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/**
 * Nothing that was written to a file may be missing at the end, whatever happens to the agent and the backend between.
 * `LOSS_TESTS=full` makes it long: a hundred kills, an outage of five minutes (CONTRIBUTING.md says how to run that).
 */

const FULL = process.env.LOSS_TESTS === "full";
const KILLS = FULL ? 50 : 5;
const OUTAGE_MS = FULL ? 300_000 : 8_000;
const ROTATING_MS = FULL ? 120_000 : 8_000;
/** Positions are saved every second, and less often where that takes long; what was sent since is sent again. */
const UNSAVED_MS = 10_000;
const MAX_RSS = 300 * 1024 * 1024;

async function startSink(t: TestContext, port?: number): Promise<{ sink: Sink; counter: SequenceCounter }> {
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => countSequences(body, SEQUENCE_MARKER, counter), port);
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

/** Takes most requests, and refuses or dawdles at random. */
async function moody(): Promise<SinkAnswer> {
  const mood = Math.random();
  if (mood < 0.15) return { status: 500 };
  if (mood < 0.25) return { status: 429 };
  if (mood < 0.4) await sleep(150);
  return { status: 204 };
}

function lost(counter: SequenceCounter, lines: number): string {
  return `${lines - counter.distinct} of ${lines} lines lost: ${counter.missing(lines)}\n`;
}

/** Only what was on its way when the agent gave its request up, after `remote_timeout`, may come again. */
function assertRepeats(counter: SequenceCounter, sink: Sink, end: number): void {
  const again = `${counter.duplicated} repeated, ${sink.unanswered} had no answer: ${counter.repeated(end)}`;
  assert.ok(counter.duplicated <= sink.unanswered, again);
}

/** How many lines came lately. */
class RecentTotals {
  readonly #counter: SequenceCounter;
  readonly #timer: NodeJS.Timeout;
  #totals: { readonly atMs: number; readonly total: number }[] = [];

  constructor(counter: SequenceCounter) {
    this.#counter = counter;
    this.#timer = setInterval(() => this.#totals.push({ atMs: performance.now(), total: counter.total }), 100);
  }
  within(ms: number): number {
    const from = performance.now() - ms;
    this.#totals = this.#totals.filter(({ atMs }) => atMs >= from);
    return this.#counter.total - (this.#totals[0]?.total ?? this.#counter.total);
  }
  stop(): void {
    clearInterval(this.#timer);
  }
}

/** The most memory that a process has had, in bytes. */
function peakRss(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

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

// They mostly wait, and not for each other.
suite("no line is lost", { concurrency: 3 }, () => {
  for (const [title, more] of [
    ["without wal", ""],
    ["with wal", "wal {\n    enabled = true\n  }"],
  ] as const) {
    test(`kill -9 in a loop while files grow and are rotated, a backend that refuses at random: ${title}`, async (t) => {
      const folder = temporaryFolder(t);
      mkdirSync(join(folder, "logs"));
      const { sink, counter } = await startSink(t);
      sink.answer = moody;
      // No more than is delivered between two kills, and none of it deleted before it is read.
      const writer = new LogWriter(join(folder, "logs", "app.log"), {
        linesPerWrite: 20,
        pauseMs: 20,
        rotateAfter: 1_000,
        keep: 1_000,
      });
      cleanUp(t, () => writer.stop());
      const agent = await startAgent(t, config(join(folder, "logs", "app.log*"), sink.url, more));
      const recent = new RecentTotals(counter);
      cleanUp(t, () => recent.stop());
      let unsaved = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const before = counter.total;
        await agent.until(() => counter.total > before + 2_000, `lines come in life ${kill}`);
        await sleep(Math.random() * 300);
        await agent.kill();
        unsaved += recent.within(UNSAVED_MS);
        await agent.start();
      }
      await writer.stop();
      await agent
        .until(() => counter.distinct >= writer.written, "every line has come", 120_000)
        .catch((error) => {
          throw new Error(lost(counter, writer.written) + error);
        });
      assert.equal(counter.distinct, writer.written);
      assert.ok(counter.duplicated <= unsaved, `${counter.duplicated} repeated, at most ${unsaved} were not saved`);
      assert.equal(await agent.stop(), 0);
      t.diagnostic(`${writer.written} lines, ${KILLS} kills, ${counter.duplicated} repeated, 0 lost`);
    });
  }

  for (const rotation of ["create", "copytruncate"] as const) {
    test(`rotation every second (${rotation}), a backend that refuses at random, and reloads: nothing lost`, async (t) => {
      const folder = temporaryFolder(t);
      mkdirSync(join(folder, "logs"));
      const { sink, counter } = await startSink(t);
      sink.answer = moody;
      // It runs before they write: what was rotated before that has another name, which nobody asked for.
      const files = join(folder, "logs", "app-?.log");
      const agent = await startAgent(t, config(files, sink.url));
      const writers = [0, 1, 2, 3].map(
        (i) =>
          new LogWriter(join(folder, "logs", `app-${i}.log`), {
            linesPerWrite: 5,
            pauseMs: 10,
            rotateAfterMs: 1_000,
            rotation,
            // Of two cuts between two looks at a file the first one shows nowhere.
            mayRotate: (cut) => rotation === "create" || cut === undefined || counter.has(cut),
            firstNumber: i,
            step: 4,
          }),
      );
      cleanUp(t, () => Promise.all(writers.map((writer) => writer.stop())));
      const end = performance.now() + ROTATING_MS;
      let reloads = 0;
      for (; performance.now() < end; reloads++) {
        await sleep(2_000);
        const { status, text } = await agent.reload(config(files, sink.url, `external_labels = { i = "${reloads}" }`));
        assert.equal(status, 200, text);
      }
      await Promise.all(writers.map((writer) => writer.stop()));
      const lines = writers.reduce((sum, writer) => sum + writer.lines, 0);
      await agent
        .until(() => counter.distinct >= lines, "every line has come")
        .catch((error) => {
          throw new Error(lost(counter, lines) + error);
        });
      assert.equal(counter.distinct, lines);
      assertRepeats(counter, sink, Math.max(...writers.map(({ written }) => written)));
      const rotations = writers.reduce((sum, writer) => sum + writer.rotations, 0);
      assert.ok(rotations >= 4, `${rotations} rotations`);
      assert.equal(await agent.stop(), 0);
      t.diagnostic(`${lines} lines, ${rotations} rotations, 0 lost, ${counter.duplicated} repeated`);
    });
  }

  for (const [title, more] of [
    ["without wal", ""],
    ["with wal", "wal {\n    enabled = true\n  }"],
  ] as const) {
    test(`a backend that is down while files rotate every second: everything arrives, memory stays bounded: ${title}`, async (t) => {
      const folder = temporaryFolder(t);
      mkdirSync(join(folder, "logs"));
      const { sink, counter } = await startSink(t);
      const writer = new LogWriter(join(folder, "logs", "app.log"), {
        linesPerWrite: 100,
        pauseMs: 10,
        rotateAfterMs: 1_000,
        keep: 1_000,
      });
      cleanUp(t, () => writer.stop());
      const agent = await startAgent(t, config(join(folder, "logs", "app.log*"), sink.url, more));
      await agent.until(() => counter.total > 1_000, "lines come");
      sink.answer = () => ({ status: 503 });
      await sleep(OUTAGE_MS);
      const during = counter.total;
      sink.answer = () => ({ status: 204 });
      await writer.stop();
      await agent
        .until(() => counter.distinct >= writer.written, "every line has come", 120_000)
        .catch((error) => {
          throw new Error(lost(counter, writer.written) + error);
        });
      const peak = peakRss(agent.pid);
      assert.ok(peak < MAX_RSS, `peak RSS ${Math.round(peak / 2 ** 20)} MiB`);
      assert.ok(writer.written > during + 1_000, "more was written than could be delivered");
      assert.equal(counter.distinct, writer.written);
      assertRepeats(counter, sink, writer.written);
      assert.equal(await agent.stop(), 0);
      t.diagnostic(
        `${writer.written} lines, 0 lost, ${counter.duplicated} repeated, peak RSS ${Math.round(peak / 2 ** 20)} MiB`,
      );
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
    await agent.until(() => counter.distinct >= writer.written, "every line has come");
    assert.equal(await agent.stop(), 0);
    assert.equal(counter.distinct, writer.written);
    assertRepeats(counter, sink, writer.written);
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
    await agent.until(() => counter.distinct >= writer.written, "every line has come");
    assert.equal(await agent.stop(), 0);
    assert.equal(counter.distinct, writer.written);
    assertRepeats(counter, sink, writer.written);
  });

  test("a disk that is full, and a kill -9 before there is room again: nothing is lost, and what could not be saved comes again", async (t) => {
    const disk = await mountSmallDisk();
    if (disk === undefined) return t.skip("without the right to mount a small file system");
    cleanUp(t, () => disk[Symbol.asyncDispose]());
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, "logs"));
    const { sink, counter } = await startSink(t);
    const recent = new RecentTotals(counter);
    cleanUp(t, () => recent.stop());
    const writer = new LogWriter(join(folder, "logs", "app.log"), {
      linesPerWrite: 20,
      pauseMs: 10,
      rotateAfterMs: 1_000,
      keep: 1_000,
    });
    cleanUp(t, () => writer.stop());
    const agent = await startAgent(t, config(join(folder, "logs", "app.log*"), sink.url), { storage: disk.path });
    await agent.until(() => counter.total > 1_000, "lines come");
    await disk.fill();
    const full = performance.now();
    const { cause } = await agent.untilRule("loki.source.file.logs", "positions", "degraded");
    assert.match(cause, /cannot save positions: ENOSPC/);
    const { rotations } = writer;
    const before = counter.total;
    await agent.until(
      () => counter.total > before + 2_000 && writer.rotations > rotations + 1,
      "lines come all the same",
    );
    await agent.kill();
    const unsaved = recent.within(performance.now() - full + UNSAVED_MS);
    await disk.empty();
    await agent.start();
    await writer.stop();
    await agent
      .until(() => counter.distinct >= writer.written, "every line has come")
      .catch((error) => {
        throw new Error(lost(counter, writer.written) + error);
      });
    assert.equal(await agent.stop(), 0);
    assert.equal(counter.distinct, writer.written);
    assert.ok(counter.duplicated <= unsaved, `${counter.duplicated} repeated, at most ${unsaved} were not saved`);
  });

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
          (flow.state === "failing" || flow.state === "degraded") &&
          cause.test(flow.cause) &&
          health.state === "healthy"
        );
      }, `the flow status says ${cause}`);
      const during = counter.total;
      await agent.until(() => sink.arrivals.length > 0 && writer.written > during + 2_000, "more is written meanwhile");
      if (name.startsWith("429")) {
        await agent.until(() => sink.arrivals.length >= refusedFrom + 3, "it is tried again");
        const times = sink.arrivals.slice(refusedFrom);
        const pauses = times.slice(1).map((each, i) => Math.round(each - times[i]!));
        // A request may be noticed late here; without the header it would be tried again after 300 ms.
        assert.ok(Math.min(...pauses) >= 500, `Retry-After is kept: ${pauses}`);
      }
      await end();
      await writer.stop();
      await agent.until(() => counter.distinct >= writer.written, "every line has come");
      // That a backend limits the rate is said for a minute more, since it will do so again.
      const recovered = async () => {
        const { flow } = await agent.component("loki.write.out");
        return flow.state === "ok" || flow.rule === "rate_limited";
      };
      await agent.until(recovered, "the status recovers");
      assertRepeats(counter, sink, writer.written);
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
    await agent.until(() => second.counter.distinct >= missing(), "the rest has come");
    assert.equal(await agent.stop(), 0);
  });
});
