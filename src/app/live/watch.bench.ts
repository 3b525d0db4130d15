import assert from "node:assert/strict";
import { parseFilter } from "#base/filter";
import { Labels } from "#base/labels";
import loki from "#components/loki.process/loki.process";
import { cloneBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { logBatch } from "#pipeline/log-batch";
import { consumerValue, startComponent } from "#pipeline/testing";
import { LiveBudget } from "./budget.ts";
import { Outbox } from "./outbox.ts";
import { LiveWatch, type WatchOptions } from "./watch.ts";

/**
 * What watching costs a pipeline that does nothing else and never waits: `node watch.bench.ts [seconds]`. Slices with and
 * without somebody who watches take turns, and CPU time of this thread is compared between neighbours.
 */

const SECONDS = Number(process.argv[2] ?? 10);
const SLICE_MS = 400;
/** What a stream may do at its start is more than what it may do for long, which is what is measured. */
const START_MS = 300;
const BATCH = 4_096;
const LEVELS = ["debug", "info", "warn", "error"];

function line(i: number): string {
  return `{"ts":"2026-11-20T00:00:00.${String(i % 1000).padStart(3, "0")}Z","level":"${LEVELS[i % 4]}","service":"svc-${i % 23}","msg":"handled request path=/api/v1/users/${i} status=${200 + (i % 5) * 75}","dur_ms":${(i % 997) / 10},"trace_id":"${(i * 7919).toString(16).padStart(32, "0")}","ip":"10.0.${i % 250}.1"}`;
}

const WAYS: readonly (readonly [name: string, options: Partial<WatchOptions>])[] = [
  ["live", { direction: "both" }],
  ["10,000 a second", { direction: "both", rate: 10_000 }],
  ["a word", { filter: parseFilter("nowhere-to-be-found"), direction: "both" }],
  ["a field", { filter: parseFilter("level=none"), direction: "both" }],
  ["a regular expression", { filter: parseFilter('line=~"users/999.*ip.*250"'), direction: "both" }],
  ["traces", { trace: true }],
  ["traces with a filter", { trace: true, filter: parseFilter("absent") }],
];

let delivered = 0;
const sink: Consumer<"logs"> = {
  signal: "logs",
  componentId: "loki.write.x",
  mutates: false,
  consume(batch) {
    delivered += batch.count;
    batch.acknowledgement.release();
  },
};
const component = await startComponent(
  loki,
  `forward_to = [sink]
  stage.json { expressions = { level = "", service = "" } }
  stage.drop {
    source = "level"
    value = "debug"
  }
  stage.labels { values = { level = "", service = "" } }`,
  { scope: { sink: consumerValue(sink) } },
);
const labels = Labels.from([["job", "bench"]]);
const input = logBatch(Array.from({ length: BATCH }, (_, i) => ({ labels, line: line(i) })));
const bytes = input.end[BATCH - 1]!;
const signal = new AbortController().signal;
const node = { id: "loki.process.test", tap: component.tap, exports: undefined };

/** Keeps the pipeline busy for so long; the number of lines. */
async function run(ms: number): Promise<number> {
  const start = performance.now();
  const before = delivered;
  let lines = 0;
  while (performance.now() - start < ms) {
    for (let i = 0; i < 4; i++) {
      await component.exports.receiver.consume(cloneBatch<"logs">(input), signal);
      lines += BATCH;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(delivered - before, (lines * 3) / 4);
  return lines;
}

/** Runs for a slice; microseconds of this thread's CPU for a line. */
async function slice(options: Partial<WatchOptions> | undefined): Promise<{ cost: number; looked: number }> {
  const client = new AbortController();
  const outbox = new Outbox(client.signal);
  let [looked, passed] = [0, 0];
  const watch =
    options === undefined
      ? undefined
      : new LiveWatch({
          selection: {
            current: () => [{ node, consumers: ["loki.write.x"], edge: () => true, isWhole: true }],
          },
          direction: undefined,
          filter: undefined,
          sample: 1,
          rate: 100,
          limit: Number.POSITIVE_INFINITY,
          trace: false,
          budget,
          monotonic: () => performance.now(),
          allowed: () => true,
          outbox,
          write(event) {
            if (event.event === "passed") [looked, passed] = [looked + event.looked, passed + event.items];
            return `${JSON.stringify(event)}\n`;
          },
          failed: (error) => assert.fail(error as Error),
          ...options,
        });
  const reading = (async () => {
    for await (const _ of outbox.read());
  })();
  await run(START_MS);
  const began = process.threadCpuUsage();
  const lines = await run(SLICE_MS);
  const { user, system } = process.threadCpuUsage(began);
  watch?.close();
  client.abort();
  await reading;
  return { cost: (user + system) / lines, looked: passed === 0 ? 0 : looked / passed };
}

const budget = new LiveBudget(performance.now());
const ratios = new Map<string, number[]>(WAYS.map(([name]) => [name, []]));
const looks = new Map<string, number>();
const noise: number[] = [];
const quiet: number[] = [];
const until = performance.now() + SECONDS * 1000;
for (let i = 0; i < 6; i++) quiet.push((await slice(undefined)).cost);
while (performance.now() < until) {
  for (const [name, options] of WAYS) {
    const { cost, looked } = await slice(options);
    quiet.push((await slice(undefined)).cost);
    const [first, before, after] = quiet.slice(-3) as [number, number, number];
    ratios.get(name)!.push((2 * cost) / (before + after));
    noise.push((2 * before) / (first + after));
    looks.set(name, looked);
  }
}
await component.stop();

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const percent = (values: readonly number[]) => `${(100 * (median(values) - 1)).toFixed(1).padStart(6)} %`;
process.stdout.write(`${(bytes / BATCH / median(quiet)).toFixed(0)} MB per CPU-second with nobody looking\n`);
for (const [name, values] of ratios) {
  process.stdout.write(`${name.padEnd(24)}${percent(values)}   looked at ${(100 * looks.get(name)!).toFixed(1)} %\n`);
}
process.stdout.write(`${"noise".padEnd(24)}${percent(noise)}\n`);
