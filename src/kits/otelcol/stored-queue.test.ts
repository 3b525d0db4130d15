import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { createLogger, type LogRecord } from "#base/log";
import { MetricRegistry } from "#base/metrics";
import { until } from "#base/until.testing";
import { Capsule } from "#lang/value";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { Flow } from "#pipeline/flow";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { acknowledged, decodeArguments } from "#pipeline/testing";
import { exporterInstruments, exporterMetrics } from "./metrics.ts";
import { SendError } from "./retry.ts";
import { queueSchema, retrySchema } from "./schema.ts";
import { OtlpSender, type SenderOptions } from "./sender.ts";
import { StorageHandler } from "./storage.ts";

const signal = new AbortController().signal;
const down = new SendError("http_503", "503", { retryable: true });

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "stored-queue-"));
  cleanUp(t, () => rm(path, { recursive: true, force: true }));
  return path;
}

function batch(name: string, items = 1, acknowledgement = Acknowledgement.none, bytes = Buffer.from(name)): OtlpBatch {
  const base = { signal: "otlp", kind: "traces", clientMetadata: undefined } as const;
  return { ...base, parts: [bytes], items, bytes: bytes.length, acknowledgement };
}
const nameOf = ({ parts }: OtlpBatch) => Buffer.concat(parts).toString();

interface Life {
  readonly sender: OtlpSender;
  readonly sent: string[];
  readonly flow: Flow;
  readonly logged: LogRecord[];
  readonly metric: (name: string) => number;
  answer: (request: OtlpBatch) => void | Promise<void>;
  configure(queue: string, storage: StorageHandler | undefined): void;
  /** Without a drain: as a kill would end it, but for what is on its way to the files. */
  end(): Promise<void>;
}

/** A sender in one life of the agent. */
function life(storage: StorageHandler | undefined, queue = "num_consumers = 1", retry = ""): Life {
  const stop = new AbortController();
  const registry = new MetricRegistry();
  const { instruments } = registry.register(exporterMetrics);
  const flow = new Flow(() => Date.now());
  const logged: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logged.push(record) });
  const sent: string[] = [];
  const settings = (text: string, handler: StorageHandler | undefined): SenderOptions => ({
    queue: { ...decodeArguments({ name: "sending_queue", args: queueSchema }, text), storage: handler },
    retry: decodeArguments(
      { name: "retry", args: retrySchema },
      `initial_interval = "10ms"\nmax_interval = "20ms"\n${retry}`,
    ),
    destination: "backend",
    send: async (request) => {
      await self.answer(request);
      sent.push(nameOf(request));
      return { rejected: 0, message: "" };
    },
  });
  const tasks: Promise<void>[] = [];
  const sender = new OtlpSender(
    {
      id: "otelcol.exporter.test.x",
      clock: systemClock,
      log,
      flow,
      run: (task) => void tasks.push(task(stop.signal)),
      queue: (read) => void flow.addQueue(read),
      rule: (name, judge) => void flow.rule({ name, judge }),
      signal: stop.signal,
    },
    exporterInstruments(instruments, "x"),
    settings(queue, storage),
  );
  const metric = (name: string) =>
    registry
      .collect()
      .filter((family) => family.name === name)
      .flatMap((family) => family.samples)
      .reduce((sum, sample) => sum + sample.value, 0);
  const self: Life = {
    sender,
    sent,
    flow,
    logged,
    metric,
    answer: () => {},
    configure: (text, handler) => sender.configure(settings(text, handler)),
    async end() {
      stop.abort(new Error("stopped"));
      await Promise.all(tasks);
      await sender.close();
    },
  };
  return self;
}

function storageIn(directory: string, fsync = false): StorageHandler {
  return new StorageHandler("otelcol.storage.file.x", { directory, timeoutMs: 0, fsync, permissions: 0o750 });
}
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `n${from + i}`);

for (const fsync of [false, true]) {
  test(`what was accepted is sent in order by the next life${fsync ? ", with fsync" : ""}`, async (t) => {
    const storage = storageIn(await folder(t), fsync);
    const first = life(storage);
    first.answer = (request) => {
      if (nameOf(request) !== "n0") throw down;
    };
    for (const name of numbers(0, 50)) await first.sender.consume(batch(name, 3), signal);
    const marked = acknowledged();
    await first.sender.consume(batch("n50", 3, marked.acknowledgement), signal);
    assert.ok(marked.fired, "on disk is acknowledged");
    await until(() => first.sent.length === 1, "the first is sent");
    assert.equal(first.metric("otelcol_exporter_queue_size"), 50);
    await first.end();
    assert.deepEqual(first.flow.dropped.size, 0);

    const second = life(storage);
    await until(
      () => second.sent.length === 50,
      () => `${second.sent.length}`,
    );
    assert.deepEqual(second.sent, numbers(1, 51));
    await until(() => second.metric("otelcol_exporter_queue_size") === 0, "nothing waits");
    assert.equal(second.metric("otelcol_exporter_sent_spans_total"), 150);
    await second.end();

    const third = life(storage);
    await third.sender.consume(batch("later"), signal);
    await until(() => third.sent.length === 1, "what came later");
    assert.deepEqual(third.sent, ["later"], "nothing comes twice after an orderly end");
    await third.end();
  });
}

test("queue_size bounds what is on disk, in units of the sizer, over restarts", async (t) => {
  const storage = storageIn(await folder(t));
  const queue = 'num_consumers = 1\nqueue_size = 10\nsizer = "items"';
  const first = life(storage, queue);
  first.answer = () => {
    throw down;
  };
  await first.sender.consume(batch("a", 4), signal);
  await first.sender.consume(batch("b", 4), signal);
  assert.equal(first.metric("otelcol_exporter_queue_size"), 8);
  await assert.rejects(async () => first.sender.consume(batch("never", 11), signal), /does not fit a queue of 10/);
  await until(() => first.flow.status.state === "failing", "the backend fails");
  const refused = acknowledged();
  await first.sender.consume(batch("c", 4, refused.acknowledgement), signal);
  assert.deepEqual(Object.fromEntries(first.flow.dropped.get("otlp")!), { queue_full: 4 });
  assert.ok(refused.fired);
  await first.end();

  const second = life(storage, `${queue}\nblock_on_overflow = true`);
  let pass = false;
  second.answer = () => {
    if (!pass) throw down;
  };
  await until(() => second.metric("otelcol_exporter_queue_size") === 8, "what waited before counts");
  const waiting = Promise.resolve(second.sender.consume(batch("d", 4), signal));
  pass = true;
  await waiting;
  await until(() => second.sent.length === 3, "all are sent");
  assert.deepEqual(second.sent, ["a", "b", "d"]);
  await second.end();
});

test("the client's metadata comes back", async (t) => {
  const storage = storageIn(await folder(t));
  const first = life(storage);
  first.answer = () => {
    throw down;
  };
  const clientMetadata = new Map([["x-tenant", ["ä", "b"]]]);
  await first.sender.consume({ ...batch("a"), clientMetadata }, signal);
  await first.end();
  const second = life(storage);
  let seen: OtlpBatch["clientMetadata"];
  second.answer = (request) => {
    seen = request.clientMetadata;
  };
  await until(() => second.sent.length === 1, "it is sent");
  assert.deepEqual([second.sent, seen], [["a"], clientMetadata]);
  await second.end();
});

test("an outage longer than max_elapsed_time loses nothing, and one request that never passes does not stay", async (t) => {
  const one = life(storageIn(await folder(t)), "num_consumers = 2", 'max_elapsed_time = "30ms"');
  let isAway = true;
  let attempts = 0;
  one.answer = (request) => {
    attempts += 1;
    if (isAway || nameOf(request) === "poison") throw down;
  };
  await one.sender.consume(batch("poison"), signal);
  await one.sender.consume(batch("a"), signal);
  await until(() => attempts > 12, "many attempts");
  assert.equal(one.flow.dropped.size, 0);
  isAway = false;
  await until(() => one.sent.length === 1, "the good one is sent");
  for (let i = 0; one.flow.dropped.size === 0; i++) {
    assert.ok(i < 1_000);
    await one.sender.consume(batch(`more${i}`), signal);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(Object.fromEntries(one.flow.dropped.get("otlp")!), { retries_exhausted: 1 });
  await one.end();
});

test("batches are made of what is on disk, and leave it together", async (t) => {
  const storage = storageIn(await folder(t));
  const queue = 'num_consumers = 1\nbatch {\nflush_timeout = "20ms"\nmin_size = 4\nmax_size = 0\n}';
  const first = life(storage, queue);
  for (const name of numbers(0, 6)) await first.sender.consume(batch(name), signal);
  await until(() => first.sent.join("") === numbers(0, 6).join(""), "all are sent");
  assert.ok(first.sent.length < 6);
  await until(() => first.metric("otelcol_exporter_queue_size") === 0, "nothing waits");
  await first.end();
  const second = life(storage, queue);
  await second.sender.consume(batch("x"), signal);
  await until(() => second.sent.length > 0, "the next");
  assert.deepEqual(second.sent, ["x"]);
  await second.end();
});

test("a reload to another storage, to memory and back loses nothing", async (t) => {
  const base = await folder(t);
  const [a, b] = [storageIn(join(base, "a")), storageIn(join(base, "b"))];
  const one = life(undefined);
  let isAway = true;
  one.answer = () => {
    if (isAway) throw down;
  };
  await one.sender.consume(batch("memory"), signal);
  one.configure("num_consumers = 1", a);
  await one.sender.consume(batch("a"), signal);
  one.configure("num_consumers = 1", b);
  await one.sender.consume(batch("b"), signal);
  await until(
    () => one.logged.some(({ message }) => message.startsWith("data stays in the storage before")),
    "the log tells what stays",
  );
  isAway = false;
  await until(
    () => one.sent.length === 2,
    () => one.sent.join(),
  );
  assert.deepEqual(one.sent.sort(), ["b", "memory"]);
  one.configure("num_consumers = 1", a);
  await until(
    () => one.sent.length === 3,
    () => one.sent.join(),
  );
  assert.equal(one.sent[2], "a");
  await one.end();
});

test("a folder that another process uses, and a directory that is not there, are said and waited for", async (t) => {
  const base = await folder(t);
  const storage = storageIn(base);
  const held = await storage.open("otelcol.exporter.test.x", "traces", systemClock, {});
  const one = life(storage);
  await until(() => one.flow.status.rule === "disk", "the rule");
  assert.equal(one.flow.status.state, "failing");
  assert.match(one.flow.status.cause, /is in use by/);
  const accepted = Promise.resolve(one.sender.consume(batch("a"), signal));
  await held.close();
  await accepted;
  await until(() => one.sent.length === 1, "it is sent");
  await until(() => one.flow.status.state === "ok", "the flow is well");
  await one.end();
});

test("damaged files cost what is in them, counted, and no more", async (t) => {
  const base = await folder(t);
  const storage = storageIn(base);
  const first = life(storage);
  first.answer = () => {
    throw down;
  };
  for (const name of numbers(0, 10)) await first.sender.consume(batch(`${name};${"x".repeat(200)}`, 2), signal);
  await first.end();
  const files = join(base, "otelcol.exporter.test.x", "traces");
  const segment = (await readdir(files)).find((name) => !/ack|lock/.test(name))!;
  const bytes = await readFile(join(files, segment));
  bytes[bytes.indexOf("n4;") + 20]! ^= 0xff;
  await writeFile(join(files, segment), bytes);
  const second = life(storage);
  await until(
    () => second.sent.length === 9,
    () => `${second.sent.length}`,
  );
  assert.deepEqual(
    second.sent.map((each) => each.split(";", 1)[0]),
    numbers(0, 10).filter((each) => each !== "n4"),
  );
  await until(
    () => second.metric("otelcol_exporter_queue_size") === 0,
    () => `${second.metric("otelcol_exporter_queue_size")}`,
  );
  await second.end();
});

test("while the disk is full, data passes through memory as long as the backend takes it", async (t) => {
  const disk = await mountSmallDisk();
  if (disk === undefined) return t.skip("needs the right to mount");
  cleanUp(t, () => disk[Symbol.asyncDispose]());
  const one = life(storageIn(disk.path));
  await one.sender.consume(batch("before"), signal);
  await until(() => one.sent.length === 1, "the disk is used");
  await disk.fill();
  await one.sender.consume(batch("during".padEnd(8192)), signal);
  await until(
    () => one.flow.status.rule === "disk",
    () => JSON.stringify(one.flow.status),
  );
  assert.match(one.flow.status.cause, /no space left for/);
  await until(() => one.sent.length === 2, "it is sent");
  await disk.empty();
  for (let i = 0; one.flow.status.state !== "ok"; i++) {
    assert.ok(i < 300, "the disk is used again");
    await one.sender.consume(batch("after"), signal);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await until(() => one.metric("otelcol_exporter_queue_size") === 0, "nothing waits");
  await one.end();
});

test("wait_for_result and storage exclude each other", () => {
  const scope = { handler: new Capsule("otelcol.ExtensionHandler", storageIn("/nowhere")) };
  const decode = () =>
    decodeArguments({ name: "sending_queue", args: queueSchema }, "wait_for_result = true\nstorage = handler", {
      scope,
    });
  assert.throws(decode, /`wait_for_result` is not possible together with `storage`/);
});
