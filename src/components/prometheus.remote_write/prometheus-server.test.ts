import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Labels } from "#base/labels";
import { ExpositionParser } from "#formats/exposition/exposition";
import { freePort } from "#kits/free-port.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import { startComponent } from "#pipeline/testing";
import remoteWrite from "./prometheus.remote_write.ts";

const PROMETHEUS = "/usr/bin/prometheus";

/** A Prometheus server that takes remote write; resolves once it is ready. */
async function startPrometheus(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "prometheus-"));
  await writeFile(join(folder, "prometheus.yml"), "global:\n  scrape_interval: 1h\n");
  const address = `127.0.0.1:${await freePort()}`;
  const server = spawn(
    PROMETHEUS,
    [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${address}`,
      "--web.enable-remote-write-receiver",
      "--enable-feature=exemplar-storage",
      "--log.level=error",
    ],
    { stdio: "ignore" },
  );
  const exited = once(server, "exit");
  t.after(async () => {
    server.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  });
  for (let attempt = 0; attempt < 200; attempt++) {
    const ready = await fetch(`http://${address}/-/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return `http://${address}`;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("Prometheus does not get ready");
}

async function query(server: string, path: string, parameters: Record<string, string>): Promise<never> {
  const response = await fetch(`${server}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  return ((await response.json()) as { data: never }).data;
}

test("a Prometheus server stores what was exposed", {
  skip: !existsSync(PROMETHEUS) && "prometheus is not installed",
}, async (t) => {
  const server = await startPrometheus(t);
  const folder = await mkdtemp(join(tmpdir(), "remote-write-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const component = await startComponent(
    remoteWrite,
    `external_labels = { cluster = "one" }
     endpoint {
       url = "${server}/api/v1/write"
       queue_config {
         batch_send_deadline = "10ms"
         max_samples_per_send = 100
         min_shards = 3
       }
     }`,
    { dataPath: folder },
  );
  t.after(() => component.stop());
  const { series } = component.services;
  const lines = [
    "test_plain 1.5",
    'test_text{a="ünï ☃ 𐍈",b="\\"quoted\\" \\\\ \\n"} -0.000001',
    "test_inf +Inf",
    "test_negative -Inf",
    "test_nan NaN",
    "test_long 0.12345678901234567",
    "test_large 9007199254740993",
    ...Array.from({ length: 500 }, (_, i) => `test_many{i="${i}"} ${i / 3}`),
  ];
  const parser = new ExpositionParser();
  const page = Buffer.from(`${lines.join("\n")}\n`);
  parser.parse(page, page.length, "text", (labels) => {
    labels.sort();
    const pairs = Array.from({ length: labels.count }, (_, i): [string, string] => [labels.name(i), labels.value(i)]);
    return series.intern(Labels.from(pairs));
  });
  const now = Date.now();
  const { count } = parser;
  const batch = (timestamp: number, stale: boolean): MetricBatch => ({
    signal: "metrics",
    count,
    registry: series,
    ref: Int32Array.from({ length: count }, (_, i) => parser.refOf(i)),
    timestamp: new Float64Array(count).fill(timestamp),
    value: parser.columns.value.slice(0, count),
    flags: new Uint8Array(count).fill(stale ? SAMPLE_STALE : 0),
    exemplars: stale
      ? undefined
      : [{ sample: 0, labels: Labels.from([["trace_id", "abc"]]), value: 7, timestamp: timestamp - 10 }],
    histograms: undefined,
    metadata: undefined,
    acknowledgement: Acknowledgement.none,
  });
  const { signal } = new AbortController();
  const { receiver } = component.exports;
  await receiver.consume(batch(now - 2_000, false), signal);
  await receiver.consume(batch(now - 1_000, false), signal);
  while (component.metric("prometheus_remote_storage_samples_total") !== 2 * count) {
    assert.equal(component.flow.dropped.size, 0, component.flow.status.cause);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }

  const at = (ms: number) => ({ time: String(ms / 1000) });
  interface Series {
    metric: Record<string, string>;
    values: [number, string][];
    value: [number, string];
  }
  const matrix: { result: Series[] } = await query(server, "query", { query: '{__name__=~"test_.*"}[1m]', ...at(now) });
  assert.equal(matrix.result.length, count);
  const stored = new Map(
    matrix.result.map(({ metric, values }) => [Labels.from(Object.entries(metric)).toString(), values]),
  );
  for (let i = 0; i < count; i++) {
    const labels = series.labels(parser.refOf(i)).with("cluster", "one");
    const values = stored.get(labels.toString());
    assert.ok(values !== undefined, labels.toString());
    assert.deepEqual(
      values.map(([time]) => Math.round(time * 1000)),
      [now - 2_000, now - 1_000],
    );
    const number = Number(values[0]![1].replace("Inf", "Infinity"));
    assert.ok(Object.is(number, parser.columns.value[i]), `${labels}: ${values[0]![1]}`);
  }
  const exemplars: { exemplars: { labels: Record<string, string>; value: string }[] }[] = await query(
    server,
    "query_exemplars",
    {
      query: "test_plain",
      start: String(now / 1000 - 60),
      end: String(now / 1000),
    },
  );
  assert.deepEqual(exemplars[0]!.exemplars[0]!.labels, { trace_id: "abc" });

  await receiver.consume(batch(now, true), signal);
  while (component.metric("prometheus_remote_storage_samples_total") !== 3 * count) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const instant: { result: Series[] } = await query(server, "query", {
    query: '{__name__=~"test_.*"}',
    ...at(now + 1),
  });
  assert.deepEqual(instant.result, [], "stale markers end the series at once");
});
