import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { SequenceCounter, Sink, type SinkAnswer } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** What loki.write does with lines of a file when its endpoints, its disk or the agent fail: docs/delivery.md. */

const WRITE = "loki.write.out";

async function startSink(t: TestContext) {
  const counter = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", counter));
  cleanUp(t, () => sink.stop());
  return { sink, counter };
}

function startFile(t: TestContext) {
  const path = join(temporaryFolder(t), "a.log");
  writeFileSync(path, "");
  let written = 0;
  return {
    path,
    written: () => written,
    /** Appends numbered lines of text that hardly compresses. */
    append: (lines: number) => {
      let text = "";
      for (let i = 0; i < lines; i++) text += `seq=${written++} ${crypto.randomUUID()}${crypto.randomUUID()}\n`;
      appendFileSync(path, text);
    },
  };
}

const endpoint = (sink: Sink, more = "") => `endpoint {
    url                 = "${sink.url}/loki/api/v1/push"
    batch_wait          = "50ms"
    batch_size          = "8KiB"
    min_backoff_period  = "20ms"
    max_backoff_period  = "100ms"
    max_backoff_retries = 0
    ${more}
  }`;

const pipeline = (path: string, write: string) => `loki.source.file "a" {
  targets    = [{ __path__ = "${path}", app = "shop" }]
  forward_to = [${WRITE}.receiver]
}
loki.write "out" {
  ${write}
}
`;

const DOWN: SinkAnswer = { status: 503, body: "no healthy ingester" };

suite("loki.write", { concurrency: 4 }, () => {
  test("one of three endpoints dead: the others get everything that its queue can hold, then wait for it", async (t) => {
    const [dead, one, two] = await Promise.all([startSink(t), startSink(t), startSink(t)]);
    dead.sink.answer = () => DOWN;
    const file = startFile(t);
    const queue = (drop = "") => `queue_config {\n capacity = "64KiB"\n ${drop}\n }`;
    const write = (drop?: string) =>
      [endpoint(dead.sink, queue(drop)), endpoint(one.sink), endpoint(two.sink)].join("\n");
    const agent = await startAgent(t, pipeline(file.path, write()));
    file.append(500); // about 40 kB, which fit
    await agent.until(() => one.counter.distinct === 500 && two.counter.distinct === 500, "the others get the lines");
    const { cause } = await agent.untilRule(WRITE, "endpoint_down", "degraded");
    assert.match(cause, /answered 503: no healthy ingester; .*entries are kept until it takes them$/);
    file.append(5_000);
    await agent.until(
      async () => (await agent.component("loki.source.file.a")).flow.sent.some(({ waiting }) => waiting > 0),
      "the source waits",
    );
    const { flow } = await agent.component(WRITE);
    assert.ok(flow.queue!.bytes >= 64 * 1024 && flow.queue!.bytes < 128 * 1024, `${flow.queue!.bytes} bytes`);
    assert.ok(one.counter.distinct < 5_500, "a queue that blocks blocks");

    // With a queue that drops, nobody waits for it.
    assert.equal((await agent.reload(pipeline(file.path, write("block_on_overflow = false")))).status, 200);
    await agent.until(
      () => one.counter.distinct === 5_500 && two.counter.distinct === 5_500,
      "the others get the rest",
    );
    assert.ok((await agent.dropped(WRITE, "queue_full")) > 1_000);
    dead.sink.answer = () => ({ status: 204 });
    await agent.until(
      async () => dead.counter.distinct + (await agent.dropped(WRITE, "queue_full")) === 5_500,
      "what it has not got is counted",
    );
    assert.deepEqual([one.counter.duplicated, two.counter.duplicated, dead.counter.duplicated], [0, 0, 0]);
    assert.equal(await agent.stop(), 0);
  });

  test("429, 500, 503 and broken connections at random: all lines arrive, once", async (t) => {
    const { sink, counter } = await startSink(t);
    let refused = 0;
    sink.answer = () => {
      const chance = Math.random();
      if (chance > 0.4) return { status: 204 };
      refused += 1;
      if (chance > 0.3) throw new Error("a failure of the server"); // 500
      return { status: chance > 0.15 ? 429 : 503 };
    };
    const file = startFile(t);
    const agent = await startAgent(t, pipeline(file.path, endpoint(sink, "queue_config {\n min_shards = 3\n }")));
    for (let i = 0; i < 20; i++) {
      file.append(200);
      await agent.until(() => counter.distinct > file.written() - 400, "lines come");
    }
    await agent.until(() => counter.distinct === file.written(), "every line has come");
    assert.ok(refused > 5, `${refused} requests were refused`);
    assert.equal(counter.duplicated, 0);
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.equal(await agent.metric("loki_write_sent_entries_total"), file.written());
    assert.equal(await agent.metric("loki_write_batch_retries_total"), refused);
    assert.equal(await agent.stop(), 0);
  });

  test("Retry-After with a date is kept to, by the server's clock", async (t) => {
    const { sink, counter } = await startSink(t);
    const file = startFile(t);
    const agent = await startAgent(t, pipeline(file.path, endpoint(sink)));
    // This server's clock is an hour behind.
    const behind = () => Date.now() - 3_600_000;
    const date = (ms: number) => new Date(ms).toUTCString();
    sink.answer = () =>
      sink.arrivals.length > 1
        ? { status: 204 }
        : { status: 503, headers: { date: date(behind()), "retry-after": date(behind() + 2_000) } };
    file.append(3);
    await agent.until(() => counter.distinct === 3, "the lines come");
    const pause = sink.arrivals[1]! - sink.arrivals[0]!;
    // By its own clock the agent would wait for an hour more, or not at all.
    assert.ok(pause >= 1_000 && pause < 60_000, `${pause} ms`);
    assert.equal(await agent.stop(), 0);
  });

  test("entries that Loki does not take are counted by their kinds; the others of the request are delivered", async (t) => {
    const { sink } = await startSink(t);
    const file = startFile(t);
    const old = (time: string) =>
      `entry for stream '{app="shop"}' has timestamp too old: ${time}, oldest acceptable timestamp is: 2026-01-01T00:00:00Z`;
    const long = `max entry size '100' bytes exceeded for stream '{app="shop"}' while adding an entry with length '150' bytes`;
    sink.answer = () => ({
      status: 400,
      body: `2 errors like: ${old("2020-01-01T00:00:00Z")}; 3 errors like: ${long}; 1 errors like: ${old("2020-01-02T00:00:00Z")}\n`,
    });
    const agent = await startAgent(t, pipeline(file.path, endpoint(sink)));
    file.append(10);
    const flow = await agent.untilRule(WRITE, "rejected", "degraded");
    assert.match(
      flow.cause,
      /^Loki rejected 3 entries as (too_old|line_too_long) and 3 as (too_old|line_too_long) in the last 5 min: 127\S+ answered 400: /,
    );
    assert.deepEqual([await agent.dropped(WRITE, "too_old"), await agent.dropped(WRITE, "line_too_long")], [3, 3]);
    assert.equal(await agent.metric("loki_write_sent_entries_total"), 4);
    assert.equal(await agent.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 6);
    assert.deepEqual(agent.logged(WRITE, "data flow failing"), []);
    await agent.untilLogged(/msg="entries were dropped" .*reason=line_too_long entries=3 .*stage\.truncate/);
    assert.equal(await agent.stop(), 0);
  });

  for (const [title, more] of [
    ["without wal: they are read again from the file", 'queue_config {\n drain_timeout = "200ms"\n }'],
    ["with wal: they are on disk", ""],
  ] as const) {
    test(`stopped with a full queue, ${title}`, async (t) => {
      const { sink, counter } = await startSink(t);
      const file = startFile(t);
      const wal = more === "";
      const queue = wal ? "" : more.replace("{", '{\n capacity = "16KiB"');
      const tail = wal ? '\nwal {\n enabled = true\n drain_timeout = "200ms"\n }' : "";
      const agent = await startAgent(t, pipeline(file.path, endpoint(sink, queue) + tail));
      file.append(100);
      await agent.until(() => counter.distinct === 100, "lines come");
      sink.answer = () => DOWN;
      file.append(2_000);
      await agent.untilRule(WRITE, "endpoint_down", "failing");
      await agent.until(async () => (await agent.component(WRITE)).flow.queue!.bytes > 16 * 1024, "the queue is full");
      if (wal) {
        const taken = async () => (await agent.component(WRITE)).flow.received.items;
        await agent.until(async () => (await taken()) === 2_100, "all is on disk");
      }
      const began = performance.now();
      assert.equal(await agent.stop(), 0);
      assert.ok(performance.now() - began < 12_000, "it did not wait for the endpoint for longer than it may");
      assert.equal(/stopped with entries that were not delivered.* lost=0/.test(agent.log), !wal);
      sink.answer = () => ({ status: 204 });
      await agent.start();
      await agent.until(() => counter.distinct === 2_100, "every line has come");
      assert.equal(counter.duplicated, 0);
      assert.equal(await agent.stop(), 0);
    });
  }

  test("a disk that is full for the wal: nothing stops while the endpoint takes data, and nothing is lost", async (t) => {
    const disk = await mountSmallDisk();
    if (disk === undefined) return t.skip("without the right to mount a small file system");
    cleanUp(t, () => disk[Symbol.asyncDispose]());
    const { sink, counter } = await startSink(t);
    const file = startFile(t);
    const config = pipeline(file.path, `${endpoint(sink)}\nwal {\n enabled = true\n drain_timeout = "200ms"\n }`);
    const agent = await startAgent(t, config, { storage: disk.path });
    file.append(100);
    await agent.until(() => counter.distinct === 100, "lines come");
    await disk.fill();
    file.append(400);
    await agent.until(() => counter.distinct === 500, "lines come from memory");
    const { cause } = await agent.untilRule(WRITE, "disk", "degraded");
    assert.match(cause, /no space left/);
    sink.answer = () => DOWN;
    file.append(500);
    await agent.untilRule(WRITE, "endpoint_down", "failing");
    await disk.empty();
    sink.answer = () => ({ status: 204 });
    await agent.until(() => counter.distinct === 1_000, "every line has come");
    await agent.until(async () => {
      file.append(1); // a write finds that there is room
      return (await agent.component(WRITE)).flow.state === "ok";
    }, "the status recovers");
    await agent.until(() => counter.distinct === file.written(), "these lines have come as well");
    assert.deepEqual((await agent.component(WRITE)).flow.dropped, []);
    assert.equal(counter.duplicated, 0);
    assert.equal(await agent.stop(), 0);
  });

  test("arguments that mean nothing are warned of, and those that cannot work are refused", async (t) => {
    const { sink } = await startSink(t);
    const file = startFile(t);
    const more = `headers = { "Content-Type" = "application/json" }\n queue_config {\n min_shards = 4\n }`;
    const agent = await startAgent(t, pipeline(file.path, `${endpoint(sink, more)}\nwal {\n enabled = true\n }`));
    await agent.untilLogged(/level=warn .*Content-Type, which is replaced: push requests are protobuf/);
    await agent.untilLogged(/level=warn .*makes `min_shards` of `queue_config` meaningless/);
    const { status, text } = await agent.reload(pipeline(file.path, endpoint(sink, 'remote_timeout = "0s"')));
    assert.equal(status, 400);
    assert.match(text, /remote_timeout` must be longer than 0s: no request could be answered in time/);
    assert.equal(await agent.stop(), 0);
  });
});
