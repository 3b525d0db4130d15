import assert from "node:assert/strict";
import { Labels } from "#base/labels";
import type { LogBatch } from "#pipeline/batch";
import type { Consumer } from "#pipeline/consumer";
import { logBatch, logEntries } from "#pipeline/log-batch";
import { consumerValue, startComponent } from "#pipeline/testing";
import process_ from "./loki.process.ts";

/**
 * Lines per CPU-second through loki.process: `node pipeline.bench.ts [seconds]`. Batches are what a source would hand on;
 * the sink counts. Checks first that the survivors are right.
 */

const SECONDS = Number(process.argv[2] ?? 1);
const BATCH = 4_096;
const LEVELS = ["debug", "info", "warn", "error"];

function jsonLine(i: number): string {
  return `{"ts":"2026-11-20T00:00:00.${String(i % 1000).padStart(3, "0")}Z","level":"${LEVELS[i % 4]}","service":"svc-${i % 23}","msg":"handled request path=/api/v1/users/${i} status=${200 + (i % 5) * 75}","dur_ms":${(i % 997) / 10},"trace_id":"${(i * 7919).toString(16).padStart(32, "0")}","ip":"10.0.${i % 250}.1"}`;
}
function criLine(i: number): string {
  return `2026-11-20T00:00:00.${String(i % 1_000_000_000).padStart(9, "0")}Z stdout F {"seq":${i},"level":"${LEVELS[i % 4]}","msg":"request handled by worker in some milliseconds","user":"u${i % 100}"}`;
}

const CASES = [
  {
    name: "json + 2 labels + regex + drop",
    config: `
      stage.json { expressions = { level = "", service = "" } }
      stage.drop {
        source = "level"
        value = "debug"
      }
      stage.regex { expression = "status=(?P<status>\\\\d{3}).*\\"dur_ms\\":(?P<dur>[\\\\d.]+)" }
      stage.labels { values = { level = "", service = "" } }`,
    line: jsonLine,
    survivors: (BATCH * 3) / 4,
    streams: 92,
  },
  {
    name: "json + 2 labels + drop",
    config: `
      stage.json { expressions = { level = "", service = "" } }
      stage.drop {
        source = "level"
        value = "debug"
      }
      stage.labels { values = { level = "", service = "" } }`,
    line: jsonLine,
    survivors: (BATCH * 3) / 4,
    streams: 92,
  },
  {
    name: "cri + json + a label of its own for each line",
    config: `
      stage.cri {}
      stage.json { expressions = { seq = "" } }
      stage.labels { values = { seq = "" } }`,
    line: criLine,
    survivors: BATCH,
    streams: BATCH,
  },
  {
    name: "static_labels",
    config: `stage.static_labels { values = { a = "b" } }`,
    line: jsonLine,
    survivors: BATCH,
    streams: 1,
  },
];

const source = Labels.from([
  ["job", "bench"],
  ["filename", "/var/log/app.log"],
]);

for (const { name, config, line, survivors, streams } of CASES) {
  let kept = 0;
  let last: LogBatch | undefined;
  const sink: Consumer<"logs"> = {
    signal: "logs",
    componentId: "bench",
    mutates: false,
    consume(batch) {
      kept += batch.count;
      last = batch;
    },
  };
  await using component = await startComponent(process_, `forward_to = [sink]\n${config}`, {
    scope: { sink: consumerValue(sink) },
  });
  const { receiver } = component.exports;
  const batches = Array.from({ length: 16 }, (_, k) =>
    logBatch(Array.from({ length: BATCH }, (_, i) => ({ labels: source, line: line(k * BATCH + i) }))),
  );
  const fresh = (batch: LogBatch): LogBatch => ({
    ...batch,
    start: batch.start.slice(),
    end: batch.end.slice(),
    ms: batch.ms.slice(),
    ns: batch.ns.slice(),
    stream: batch.stream.slice(),
  });
  const { signal } = new AbortController();
  await receiver.consume(fresh(batches[0]!), signal);
  const entries = [...logEntries(last!)];
  assert.ok(Math.abs(entries.length - survivors) <= 4, `${name}: ${entries.length} survivors`);
  assert.ok(new Set(entries.map((entry) => entry.labels.toString())).size <= streams);

  let lines = 0;
  const from = process.cpuUsage();
  const until = performance.now() + SECONDS * 1000;
  for (let k = 0; performance.now() < until; k++) {
    const batch = fresh(batches[k % batches.length]!);
    await receiver.consume(batch, signal);
    lines += BATCH;
    if (k % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const { user, system } = process.cpuUsage(from);
  const rate = lines / ((user + system) / 1e6);
  console.log(
    `${name}: ${(rate / 1000).toFixed(0)} k lines/CPU-s, ${kept} kept, RSS ${process.memoryUsage.rss() >> 20} MiB`,
  );
}
