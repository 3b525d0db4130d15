import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createLogger, type LogRecord } from "#base/log";
import { MetricRegistry } from "#base/metrics";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { Flow } from "#pipeline/flow";
import { decodeArguments } from "#pipeline/testing";
import type { SendRequest } from "./delivery.ts";
import { exporterInstruments, exporterMetrics } from "./metrics.ts";
import { Backoff, SendError } from "./retry.ts";
import { queueSchema, retrySchema } from "./schema.ts";
import { OtlpSender, type SenderOptions } from "./sender.ts";

const signal = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const down = new SendError("http_503", "503", { retryable: true });
const bad = new SendError("http_400", "400", { retryable: false });

function logs(count: number, acknowledgement = Acknowledgement.none): OtlpBatch {
  const logRecords = Array.from({ length: count }, (_, i) => ({ severityText: `r${i}` }));
  const bytes = oracleEncode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  const base = { signal: "otlp", kind: "logs", clientMetadata: undefined } as const;
  return { ...base, parts: [bytes], items: count, bytes: bytes.length, acknowledgement };
}

/** A sender with a backend that the test plays: each attempt waits in `attempts` unless `answer` is given. */
function setUp(queue = "", retry = "", answer?: SendRequest) {
  const sleeps: { ms: number; wake: () => void }[] = [];
  let now = 0;
  const clock = {
    now: () => now,
    monotonic: () => now,
    sleep: (ms: number, abort?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        sleeps.push({
          ms,
          wake: () => {
            now += ms;
            resolve();
          },
        });
        abort?.addEventListener("abort", () => reject(abort.reason), { once: true });
      }),
  };
  const registry = new MetricRegistry();
  const { instruments } = registry.register(exporterMetrics);
  const stop = new AbortController();
  const flow = new Flow(() => now);
  const logged: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logged.push(record) });
  const attempts: { batch: OtlpBatch; succeed: (rejected?: number) => void; fail: (error: unknown) => void }[] = [];
  const wait: SendRequest = (batch, abort) =>
    new Promise((resolve, reject) => {
      attempts.push({ batch, succeed: (rejected = 0) => resolve({ rejected, message: "" }), fail: reject });
      abort.addEventListener("abort", () => reject(abort.reason), { once: true });
    });
  const settings = (queueText: string): SenderOptions => ({
    queue: decodeArguments({ name: "sending_queue", args: queueSchema }, queueText),
    retry: decodeArguments({ name: "retry_on_failure", args: retrySchema }, `randomization_factor = 0\n${retry}`),
    send: answer ?? wait,
    destination: "backend",
  });
  const sender = new OtlpSender(
    {
      clock,
      log,
      flow,
      id: "otelcol.exporter.test.x",
      run: (task) => void task(stop.signal),
      queue: (read) => void flow.addQueue(read),
      rule: (name, judge) => void flow.rule({ name, judge }),
      signal: stop.signal,
    },
    exporterInstruments(instruments, "x"),
    settings(queue),
  );
  const metric = (name: string) =>
    registry
      .collect()
      .filter((family) => family.name === name)
      .flatMap((family) => family.samples)
      .reduce((sum, sample) => sum + sample.value, 0);
  const dropped = () => Object.fromEntries(flow.dropped.get("otlp") ?? []);
  return { sender, attempts, sleeps, flow, metric, dropped, stop, settings, logged };
}

function acknowledgements() {
  let safe = 0;
  return { make: () => new Acknowledgement(() => safe++), safe: () => safe };
}

test("acknowledges what was delivered, and counts it", async () => {
  const { sender, attempts, metric, flow } = setUp();
  const acks = acknowledgements();
  sender.consume(logs(3, acks.make()), signal);
  assert.deepEqual([attempts.length, acks.safe(), metric("otelcol_exporter_queue_size")], [1, 0, 1]);
  assert.ok(flow.queue!.bytes > 0);
  attempts[0]!.succeed();
  await turn();
  assert.deepEqual([acks.safe(), metric("otelcol_exporter_sent_log_records_total")], [1, 3]);
  assert.deepEqual([metric("otelcol_exporter_queue_size"), metric("otelcol_exporter_queue_capacity")], [0, 3 * 1000]);
  assert.equal(flow.status.state, "ok");
  assert.deepEqual(flow.queue!, { bytes: 0, oldest: undefined });
});

test("a queue that is bounded in bytes tells how full its fullest part is, and what happens when it is", () => {
  const { sender, flow } = setUp('queue_size = 1000\nsizer = "bytes"\nblock_on_overflow = true');
  const { none } = Acknowledgement;
  sender.consume(logs(3, none), signal);
  const { bytes, ...bound } = flow.queue!;
  assert.ok(bytes > 0);
  assert.deepEqual(bound, { oldest: flow.queue!.oldest, limitBytes: 1000, whenFull: "block" });
  sender.consume({ ...logs(3, none), kind: "traces" }, signal);
  assert.equal(flow.queue!.bytes, bytes, "each signal has a queue of its own");
});

test("repeats what may pass with growing pauses, as long as Retry-After says at least, and gives up in the end", async () => {
  const { sender, attempts, sleeps, dropped, flow, metric } = setUp("", 'max_elapsed_time = "30s"');
  const acks = acknowledgements();
  sender.consume(logs(2, acks.make()), signal);
  attempts[0]!.fail(down);
  await turn();
  assert.equal(flow.status.state, "failing");
  assert.match(flow.status.cause, /cannot send to backend: 503/);
  sleeps[0]!.wake();
  await turn();
  attempts[1]!.fail(new SendError("http_429", "429", { retryable: true, retryAfterMs: 9_000 }));
  await turn();
  sleeps[1]!.wake();
  await turn();
  attempts[2]!.fail(down);
  await turn();
  assert.deepEqual(
    sleeps.map((each) => each.ms),
    [5_000, 9_000, 11_250],
  );
  sleeps[2]!.wake();
  await turn();
  attempts[3]!.fail(down);
  await turn();
  assert.deepEqual([dropped(), acks.safe(), sleeps.length], [{ retries_exhausted: 2 }, 1, 3]);
  assert.equal(metric("otelcol_exporter_send_failed_log_records_total"), 2);
});

test("does not repeat what is refused for good; partial success counts what was rejected", async () => {
  const { sender, attempts, dropped, metric, flow } = setUp();
  const acks = acknowledgements();
  sender.consume(logs(2, acks.make()), signal);
  sender.consume(logs(5, acks.make()), signal);
  attempts[0]!.fail(bad);
  attempts[1]!.succeed(2);
  await turn();
  assert.deepEqual(dropped(), { http_400: 2, rejected_by_backend: 2 });
  assert.deepEqual([acks.safe(), metric("otelcol_exporter_sent_log_records_total")], [2, 3]);
  assert.equal(flow.status.state, "degraded");
});

test("a full queue makes senders wait while the backend works, and drops once it fails", async () => {
  const { sender, attempts, dropped, metric } = setUp("queue_size = 2\nnum_consumers = 1");
  assert.equal(sender.consume(logs(1), signal), undefined);
  assert.equal(sender.consume(logs(1), signal), undefined);
  const third = sender.consume(logs(3), signal);
  const fourth = sender.consume(logs(4), signal);
  assert.ok(third instanceof Promise && fourth instanceof Promise);
  attempts[0]!.succeed();
  await third;
  assert.deepEqual(dropped(), {});
  attempts[1]!.fail(down);
  await fourth;
  assert.deepEqual(dropped(), { queue_full: 4 });
  await sender.consume(logs(5), signal);
  assert.deepEqual(dropped(), { queue_full: 9 });
  assert.equal(metric("otelcol_exporter_enqueue_failed_log_records_total"), 9);
});

test("block_on_overflow waits whatever happens, until the sender gives up", async () => {
  const { sender, attempts, dropped } = setUp("queue_size = 1\nblock_on_overflow = true");
  await sender.consume(logs(1), signal);
  const controller = new AbortController();
  const second = sender.consume(logs(1), controller.signal) as Promise<void>;
  const third = sender.consume(logs(1), signal) as Promise<void>;
  attempts[0]!.fail(bad);
  await second;
  controller.abort();
  attempts[1]!.succeed();
  await third;
  const fourth = sender.consume(logs(1), AbortSignal.abort(new Error("gone"))) as Promise<void>;
  await assert.rejects(fourth, { message: "gone" });
  assert.deepEqual(dropped(), { http_400: 1 });
});

test("sizers count requests, items or bytes; what can never fit is refused", async () => {
  const { sender, attempts } = setUp('queue_size = 10\nsizer = "items"');
  assert.throws(() => sender.consume(logs(11), signal), PermanentError);
  assert.equal(sender.consume(logs(6), signal), undefined);
  const waits = sender.consume(logs(5), signal) as Promise<void>;
  assert.ok(waits instanceof Promise);
  attempts[0]!.succeed();
  await waits;
  const inBytes = setUp('queue_size = 40\nsizer = "bytes"').sender;
  assert.throws(() => inBytes.consume(logs(100), signal), /bytes does not fit a queue of 40/);
});

test("wait_for_result and a queue that is off tell the sender", async () => {
  for (const config of ["wait_for_result = true", "enabled = false"]) {
    const { sender, attempts, dropped, metric } = setUp(config, "enabled = false");
    const acks = acknowledgements();
    const good = sender.consume(logs(1, acks.make()), signal) as Promise<void>;
    attempts[0]!.succeed();
    await good;
    assert.equal(acks.safe(), 1);
    const refused = sender.consume(logs(1, acks.make()), signal) as Promise<void>;
    attempts[1]!.fail(bad);
    await assert.rejects(refused, (error) => error instanceof PermanentError && error.reason === "http_400");
    const failed = sender.consume(logs(1, acks.make()), signal) as Promise<void>;
    attempts[2]!.fail(down);
    await assert.rejects(failed, RetryableError);
    assert.deepEqual([acks.safe(), dropped(), metric("otelcol_exporter_send_failed_log_records_total")], [1, {}, 2]);
  }
});

test("a sender that no longer waits for the result takes its data along, and does not fill the queue with copies", async () => {
  const { sender, attempts, sleeps, dropped, metric } = setUp("wait_for_result = true\nnum_consumers = 1");
  const acks = acknowledgements();
  const controller = new AbortController();
  const first = sender.consume(logs(1, acks.make()), controller.signal) as Promise<void>;
  const behind = sender.consume(logs(2, acks.make()), controller.signal) as Promise<void>;
  const patient = sender.consume(logs(3, acks.make()), signal) as Promise<void>;
  attempts[0]!.fail(down);
  await turn();
  controller.abort(new Error("gone"));
  await assert.rejects(first, { message: "gone" });
  await assert.rejects(behind, { message: "gone" });
  sleeps[0]!.wake();
  await turn();
  assert.equal(attempts[1]!.batch.items, 3, "only what is still wanted is sent");
  attempts[1]!.succeed();
  await patient;
  assert.deepEqual([acks.safe(), dropped(), metric("otelcol_exporter_queue_size")], [1, {}, 0]);
});

test("batches keep every item, the limits and the acknowledgements", async () => {
  const input = fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 12, size: "max" }),
    min: fc.integer({ min: 0, max: 20 }),
    room: fc.integer({ min: 0, max: 10 }),
    results: fc.array(fc.constantFrom("ok", "bad"), { minLength: 1, maxLength: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ sizes, min, room, results }) => {
      const max = Math.max(1, min + room);
      const sent: OtlpBatch[] = [];
      const { sender, dropped } = setUp(
        `batch {\nmin_size = ${Math.min(min, max)}\nmax_size = ${max}\nflush_timeout = "1h"\n}`,
        "",
        async (batch) => {
          sent.push(batch);
          await turn();
          if (results[sent.length % results.length] === "bad") throw bad;
          return { rejected: 0, message: "" };
        },
      );
      const acks = acknowledgements();
      for (const size of sizes) sender.consume(logs(size, acks.make()), signal);
      await sender.drain(new AbortController().signal);
      sender.close();
      const items = sent.flatMap((batch) => batch.parts.flatMap((part) => itemsOf("logs", part)));
      const expected = sizes.flatMap((size) => itemsOf("logs", logs(size).parts[0]!));
      assert.deepEqual(items.sort(), expected.sort());
      for (const batch of sent) assert.ok(batch.items <= max, `${batch.items} > ${max}`);
      assert.equal(acks.safe(), sizes.length);
      assert.equal(dropped().shutdown, undefined);
    }),
    { numRuns: 100 },
  );
});

test("batches go when their time is up", async () => {
  const { sender, attempts } = setUp('batch {\nflush_timeout = "5ms"\n}');
  sender.consume(logs(1), signal);
  sender.consume(logs(2), signal);
  assert.equal(attempts.length, 0);
  while (attempts.length === 0) await turn();
  assert.equal(attempts[0]!.batch.items, 3);
});

test("what the stop cuts off is counted and not acknowledged", async () => {
  const { sender, attempts, stop, dropped } = setUp("num_consumers = 1");
  const acks = acknowledgements();
  sender.consume(logs(1, acks.make()), signal);
  sender.consume(logs(2, acks.make()), signal);
  attempts[0]!.fail(down);
  await turn();
  await sender.drain(AbortSignal.abort());
  stop.abort(new Error("stopped"));
  await turn();
  sender.close();
  assert.deepEqual([dropped(), acks.safe(), attempts.length], [{ shutdown: 3 }, 0, 1]);
});

test("a stop does not wait for a backend that takes nothing", async () => {
  const { sender, attempts, sleeps, stop, dropped } = setUp("num_consumers = 1");
  const acks = acknowledgements();
  for (let i = 0; i < 3; i++) sender.consume(logs(1, acks.make()), signal);
  let drained = false;
  const drain = sender.drain(new AbortController().signal).then(() => {
    drained = true;
  });
  const patience = () => sleeps.filter((each) => each.ms === 10_000);
  attempts[0]!.succeed();
  await turn();
  patience().at(-1)!.wake();
  await turn();
  assert.equal(drained, false, "it goes on as long as something is delivered");
  attempts[1]!.fail(down);
  await turn();
  patience().at(-1)!.wake();
  await drain;
  stop.abort(new Error("stopped"));
  await turn();
  sender.close();
  assert.deepEqual([dropped(), acks.safe()], [{ shutdown: 2 }, 1]);
});

test("refused credentials hold what waits; changed settings are tried at once and lose nothing", async () => {
  const { sender, attempts, sleeps, dropped, flow, metric, settings } = setUp("num_consumers = 1");
  const acks = acknowledgements();
  for (let i = 0; i < 3; i++) sender.consume(logs(1, acks.make()), signal);
  attempts[0]!.fail(new SendError("unauthorized", "401", { retryable: true, isRefusal: true }));
  await turn();
  assert.deepEqual([flow.status.state, flow.status.rule], ["failing", "unauthorized"]);
  for (let i = 1; i <= 20; i++) {
    sleeps[i - 1]!.wake();
    await turn();
    attempts[i]!.fail(new SendError("unauthorized", "401", { retryable: true, isRefusal: true }));
    await turn();
  }
  assert.deepEqual(
    sleeps.slice(0, 5).map(({ ms }) => ms),
    [5_000, 10_000, 20_000, 30_000, 30_000],
  );
  assert.deepEqual([dropped(), acks.safe()], [{}, 0], "ten minutes later it still waits");
  sender.configure(settings('sizer = "items"\nnum_consumers = 5\nqueue_size = 7'));
  await turn();
  assert.equal(attempts.length, 21 + 3, "what waited and what was behind it");
  assert.deepEqual([metric("otelcol_exporter_queue_size"), metric("otelcol_exporter_queue_capacity")], [3, 7 * 3]);
  for (const each of attempts.slice(21)) each.succeed();
  await turn();
  assert.deepEqual([dropped(), acks.safe(), flow.status.state], [{}, 3, "ok"]);
});

test("credentials that nobody mends are given up after an hour", async () => {
  const { sender, attempts, sleeps, dropped } = setUp();
  sender.consume(logs(2), signal);
  for (let i = 0; attempts.length > i; i++) {
    attempts[i]!.fail(new SendError("unauthorized", "401", { retryable: true, isRefusal: true }));
    await turn();
    sleeps[i]?.wake();
    await turn();
  }
  assert.deepEqual(dropped(), { unauthorized: 2 });
  const waited = sleeps.reduce((sum, { ms }) => sum + ms, 0);
  assert.ok(waited >= 3_600_000 && waited < 3_660_000, String(waited));
});

test("a queue that is nearly full, and drops, are told with how many and why", async () => {
  const { sender, attempts, flow, logged } = setUp("queue_size = 10\nnum_consumers = 1");
  for (let i = 0; i < 8; i++) sender.consume(logs(1), signal);
  flow.judge();
  assert.deepEqual([flow.status.state, flow.status.rule], ["degraded", "queue_full"]);
  assert.match(
    flow.status.cause,
    /^the queue of logs holds 8 of 10 requests: once it is full, senders wait, and data is dropped/,
  );
  attempts[0]!.fail(down);
  await turn();
  for (let i = 0; i < 50; i++) void sender.consume(logs(1), signal);
  await turn();
  assert.equal(flow.status.rule, "endpoint_down");
  assert.match(flow.status.cause, /^cannot send to backend: 503; dropped 48 items as queue_full in the last 5 min$/);
  assert.equal(logged.filter(({ level }) => level === "error").length, 1, "the log is not flooded");
});

test("pauses stay within their limits", () => {
  const numbers = fc.record({
    random: fc.double({ min: 0, max: 0.999, noNaN: true }),
    retryAfter: fc.option(fc.nat({ max: 20_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(numbers, { maxLength: 30, size: "max" }), (steps) => {
      let random = 0;
      const args = decodeArguments({ name: "retry_on_failure", args: retrySchema }, "");
      const backoff = new Backoff(args, 0, () => random);
      let now = 0;
      for (const step of steps) {
        random = step.random;
        const pause = backoff.next(now, step.retryAfter);
        if (pause === undefined) return;
        assert.ok(pause >= 2_500 && pause <= Math.max(45_000, step.retryAfter ?? 0));
        now += pause;
        assert.ok(now <= 300_000);
      }
    }),
  );
});
