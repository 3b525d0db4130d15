import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, type LogRecord } from "#base/log";
import { ManualClock } from "#base/manual-clock.testing";
import { releaseMemory } from "#kits/memory-release";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { RetryableError } from "#pipeline/errors";
import { decodeArguments, recordOtlp, startComponent } from "#pipeline/testing";
import definition from "./otelcol.processor.memory_limiter.ts";
import { UsageCheck } from "./usage-check.ts";

const BATCH: OtlpBatch = {
  signal: "otlp",
  kind: "traces",
  parts: [new Uint8Array(0)],
  items: 3,
  bytes: 0,
  clientMetadata: undefined,
  acknowledgement: Acknowledgement.none,
};
const SIGNAL = new AbortController().signal;

test("takes data below the limit and refuses it for now above, and says so", async () => {
  const sink = recordOtlp();
  const start = (limit: string) =>
    startComponent(
      definition,
      `check_interval = "10ms"
       limit = "${limit}"
       output { traces = [sink] }`,
      { scope: { sink: sink.value } },
    );
  await using ample = await start("1TiB");
  ample.exports.input.consume(BATCH, SIGNAL);
  assert.equal(sink.items[0], BATCH);
  assert.equal(ample.metric("otelcol_processor_memory_limiter_accepted_spans_total"), 3);
  ample.flow.judge();
  assert.equal(ample.flow.status.state, "ok");

  await using scarce = await start("1MiB");
  for (let i = 0; i < 2; i++) {
    assert.throws(
      () => scarce.exports.input.consume(BATCH, SIGNAL),
      (error) => error instanceof RetryableError && error.retryAfterMs === 100 && /memory/.test(error.message),
    );
  }
  const told: unknown[] = [];
  const waiting = { sendAway: (why: RetryableError) => void told.push(why.retryAfterMs) };
  assert.throws(() => scarce.exports.input.consume({ ...BATCH, items: 0, waiting }, SIGNAL), RetryableError);
  assert.deepEqual(told, [100]);
  assert.equal(sink.items.length, 1);
  assert.equal(scarce.metric("otelcol_processor_memory_limiter_refused_spans_total"), 3);
  assert.equal(scarce.flow.status.state, "failing");
  assert.equal(scarce.flow.status.rule, "memory_limit");
  assert.match(scarce.flow.status.cause, /uses \d+ MiB of memory, more than its limit of 1\.0 MiB, and refuses data/);
  assert.deepEqual((scarce.instance.debugInfo!() as { refuses: boolean }).refuses, true);
});

test("percentages are of the machine's or the control group's memory", async () => {
  const sink = recordOtlp();
  await using component = await startComponent(
    definition,
    `check_interval = "1h"
     limit_percentage = 50
     spike_limit_percentage = 10
     output { traces = [sink] }`,
    { scope: { sink: sink.value } },
  );
  const info = component.instance.debugInfo!() as { limit_bytes: number; refuse_from_bytes: number };
  assert.ok(info.limit_bytes > 1 << 20);
  assert.ok(Math.abs(info.refuse_from_bytes / info.limit_bytes - 0.8) < 1e-6);
});

test("refuses settings that make no sense", () => {
  const refused = (text: string, message: RegExp) =>
    assert.throws(() => decodeArguments(definition, `${text}\n output {}`), message);
  refused(`check_interval = "0s"\n limit = "1GiB"`, /check_interval.*greater than zero/);
  refused(`check_interval = "1s"`, /limit.*greater than zero/);
  refused(`check_interval = "1s"\n limit = "1GiB"\n limit_percentage = 5`, /together with `limit_percentage`/);
  refused(`check_interval = "1s"\n limit = "1GiB"\n spike_limit = "1GiB"`, /spike_limit.*less than/);
  refused(`check_interval = "1s"\n limit = "500KiB"`, /at least 1MiB/);
  refused(`check_interval = "1s"\n limit_percentage = 50`, /spike_limit_percentage.*greater than zero/);
  refused(
    `check_interval = "1s"\n limit_percentage = 50\n spike_limit_percentage = 60`,
    /less than `limit_percentage`/,
  );
  refused(`check_interval = "1s"\n limit_percentage = 101\n spike_limit_percentage = 1`, /limit_percentage/);
});

test("gives memory back before it refuses, and less often while that does not help", async () => {
  const clock = new ManualClock();
  const logs: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  let used = 70;
  let inUse = 70;
  let releases = 0;
  const memory = {
    used: () => used,
    release: () => {
      releases += 1;
      used = inUse;
    },
  };
  const check = new UsageCheck({ hard: 100, soft: 80 }, memory, { clock, log });
  check.look();
  assert.deepEqual([check.mustRefuse, releases], [false, 0]);

  used = 95; // garbage, for the most part
  check.look();
  assert.deepEqual([check.mustRefuse, releases, check.used], [false, 1, 70]);

  await clock.advance(10_000);
  used = inUse = 90;
  check.look();
  assert.deepEqual([check.mustRefuse, releases], [true, 2]);
  assert.match(check.problem ?? "", /uses 90 bytes of memory, and refuses data from 80 bytes on/);
  for (let second = 0; second < 19; second++) {
    await clock.advance(1_000);
    check.look();
  }
  assert.equal(releases, 2);
  await clock.advance(1_000);
  check.look();
  assert.equal(releases, 3);
  await clock.advance(39_000);
  check.look();
  assert.equal(releases, 3);

  used = 79;
  check.look();
  assert.deepEqual([check.mustRefuse, check.problem], [false, undefined]);
  assert.deepEqual(
    logs.filter(({ message }) => message.startsWith("memory is")).map(({ level, message }) => [level, message]),
    [
      ["warn", "memory is short: data is refused"],
      ["info", "memory is back within its limits: data is taken again"],
    ],
  );
});

test("memory that nobody uses any more goes back to the system", () => {
  let garbage: Buffer[] = [];
  for (let i = 0; i < 1_000; i++) garbage.push(Buffer.allocUnsafeSlow(100_000).fill(1));
  const before = process.memoryUsage.rss();
  garbage = [];
  releaseMemory();
  assert.ok(before - process.memoryUsage.rss() > 60e6);
});
