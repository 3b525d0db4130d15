import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Labels } from "#base/labels";
import { freePort } from "#kits/free-port.testing";
import type { NativeHistogram } from "#pipeline/batch";
import { batchOf, endpoint2, folder, start, until } from "./testing.ts";

/**
 * Remote write 2.0 to real servers: Debian's Prometheus 2, which does not know it and does not say so, and, where
 * `PROMETHEUS_3` is the path of one, a Prometheus 3.
 */

const DEBIAN = "/usr/bin/prometheus";
const NEW = process.env.PROMETHEUS_3 ?? "";

interface Server {
  readonly url: string;
  /** Where its write-ahead log is. */
  readonly wal: string;
  query(path: string, parameters: Record<string, string>): Promise<never>;
}

async function startServer(t: TestContext, program: string, features: string): Promise<Server> {
  const path = join(await folder(t), "server");
  await mkdir(path);
  await writeFile(join(path, "prometheus.yml"), "global:\n  scrape_interval: 1h\n");
  const address = `127.0.0.1:${await freePort()}`;
  const server = spawn(
    program,
    [
      `--config.file=${join(path, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(path, "data")}`,
      `--web.listen-address=${address}`,
      "--web.enable-remote-write-receiver",
      `--enable-feature=${features}`,
      "--log.level=error",
    ],
    { stdio: "ignore" },
  );
  const exited = once(server, "exit");
  cleanUp(t, async () => {
    server.kill("SIGKILL");
    await exited;
  });
  const url = `http://${address}`;
  for (let attempt = 0; ; attempt++) {
    const isReady = await fetch(`${url}/-/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) break;
    if (attempt > 300) assert.fail(`${program} does not get ready`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url: `${url}/api/v1/write`,
    wal: join(path, "data", "wal"),
    async query(api, parameters) {
      const response = await fetch(`${url}/api/v1/${api}?${new URLSearchParams(parameters)}`);
      return ((await response.json()) as { data: never }).data;
    },
  };
}

const HISTOGRAM: NativeHistogram = {
  sample: 1,
  schema: 0,
  zeroThreshold: 0.001,
  zeroCount: 1,
  count: 6,
  sum: 12.5,
  positiveSpans: [{ offset: 0, length: 2 }],
  negativeSpans: [{ offset: 1, length: 1 }],
  positive: [2, 0],
  negative: [1],
  isFloat: false,
  customBounds: undefined,
  resetHint: "unknown",
};

/** Samples of every kind, each of a series of its own. */
async function sendAll(t: TestContext, url: string) {
  const { component } = await start(t, endpoint2(url, "send_native_histograms = true"));
  const now = Date.now();
  const names = ["jobs_total", "rpc_seconds", "rpc_float", "rpc_custom", "plain"];
  const batch = batchOf(
    component.services.series,
    names.map((name, i) => ({ labels: { __name__: name, job: "j", text: "ünï ☃ 𐍈" }, value: i })),
  );
  batch.timestamp.fill(now - 1_000);
  batch.start = Float64Array.of(now - 5_000, now - 6_000, 0, 0, 0);
  batch.exemplars = [{ sample: 0, labels: Labels.from([["trace_id", "abc"]]), value: 7, timestamp: now - 1_010 }];
  batch.histograms = [
    HISTOGRAM,
    { ...HISTOGRAM, sample: 2, isFloat: true, positive: [2, 2], negative: [1] },
    {
      ...HISTOGRAM,
      sample: 3,
      schema: -53,
      zeroThreshold: 0,
      zeroCount: 0,
      count: 3,
      positiveSpans: [{ offset: 0, length: 3 }],
      negativeSpans: [],
      positive: [1, 0, 0],
      negative: [],
      customBounds: [0.5, 2.5],
    },
  ];
  batch.metadata = [
    { family: "jobs", type: "counter", help: "Jobs that were done.", unit: "" },
    { family: "rpc_seconds", type: "histogram", help: "How long calls took.", unit: "seconds" },
  ];
  await component.exports.receiver.consume(batch, new AbortController().signal);
  return { component, now };
}

interface Stored {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly histogram?: readonly [
    number,
    { count: string; sum: string; buckets: readonly (readonly [number, string, string, string])[] },
  ];
}

test("a Prometheus 2 that takes version 2 for an empty request gets the same samples in version 1", {
  skip: !existsSync(DEBIAN) && "prometheus is not installed",
}, async (t) => {
  const server = await startServer(t, DEBIAN, "exemplar-storage,native-histograms");
  const { component, now } = await sendAll(t, server.url);
  await until("all are delivered", () => component.metric("prometheus_remote_storage_samples_total") === 5);
  const query = { query: '{job="j"}', time: String(now / 1000) };
  const { result }: { result: readonly Stored[] } = await server.query("query", query);
  // This version knows histograms in storage, but takes none with custom buckets.
  const names = result.map(({ metric }) => metric.__name__).sort();
  assert.ok(names.includes("jobs_total") && names.includes("plain"), `${names}`);
  assert.ok(component.logs.some(({ message }) => /does not take remote write 2\.0/.test(message)));
});

const STORES = "a Prometheus 3 stores samples, histograms of every kind, exemplars, metadata and start times";
// Debian has none: the test is there for those who name one.
if (NEW !== "") test(STORES, storesEverything);

async function storesEverything(t: TestContext): Promise<void> {
  const features = "exemplar-storage,native-histograms,metadata-wal-records,created-timestamp-zero-ingestion";
  const server = await startServer(t, NEW, features);
  const { component, now } = await sendAll(t, server.url);
  await until("all are delivered", () => component.metric("prometheus_remote_storage_samples_total") === 5);
  assert.deepEqual(
    component.logs.filter(({ level }) => level === "warn" || level === "error"),
    [],
  );
  const query = { query: '{job="j"}', time: String(now / 1000) };
  const { result }: { result: readonly Stored[] } = await server.query("query", query);
  const found = new Map(result.map((each) => [each.metric.__name__!, each]));
  assert.deepEqual([...found.keys()].sort(), ["jobs_total", "plain", "rpc_custom", "rpc_float", "rpc_seconds"]);
  assert.ok(result.every(({ metric }) => metric.text === "ünï ☃ 𐍈"));
  assert.deepEqual([found.get("jobs_total")!.value![1], found.get("plain")!.value![1]], ["0", "4"]);
  for (const name of ["rpc_seconds", "rpc_float"]) {
    const [, { count, sum, buckets }] = found.get(name)!.histogram!;
    assert.deepEqual([count, sum], ["6", "12.5"], name);
    assert.deepEqual(
      buckets.map((each) => each.slice(1)),
      [
        ["-2", "-1", "1"],
        ["-0.001", "0.001", "1"],
        ["0.5", "1", "2"],
        ["1", "2", "2"],
      ],
      name,
    );
  }
  const [, custom] = found.get("rpc_custom")!.histogram!;
  assert.deepEqual(
    [custom.count, custom.buckets.map((each) => each.slice(1))],
    [
      "3",
      [
        ["-Inf", "0.5", "1"],
        ["0.5", "2.5", "1"],
        ["2.5", "+Inf", "1"],
      ],
    ],
  );
  const matrix: { result: readonly { values: readonly (readonly [number, string])[] }[] } = await server.query(
    "query",
    {
      query: "jobs_total[1m]",
      time: String(now / 1000),
    },
  );
  // With that feature it stores a zero at the start.
  assert.deepEqual(
    matrix.result[0]!.values.map(([at]) => Math.round(at * 1000) - now),
    [-5_000, -1_000],
  );
  const exemplars: readonly { exemplars: readonly { labels: object; value: string; timestamp: number }[] }[] =
    await server.query("query_exemplars", {
      query: "jobs_total",
      start: String(now / 1000 - 60),
      end: String(now / 1000),
    });
  assert.deepEqual(exemplars[0]!.exemplars, [
    { labels: { trace_id: "abc" }, value: "7", timestamp: (now - 1_010) / 1000 },
  ]);
  // Its API shows the metadata of targets only: what came by remote write is in its log.
  const files = (await readdir(server.wal)).filter((name) => /^\d+$/.test(name));
  const log = Buffer.concat(await Promise.all(files.map((name) => readFile(join(server.wal, name))))).toString(
    "latin1",
  );
  assert.match(log, /Jobs that were done\./);
  assert.match(log, /How long calls took\./);
}
