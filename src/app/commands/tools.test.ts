import assert from "node:assert/strict";
import { mkdir, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Labels } from "#base/labels";
import { FragmentEncoder, noCounts } from "#components/prometheus.remote_write/fragments";
import { SeriesSymbols } from "#formats/remote-write/2-series";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch, NativeHistogram } from "#pipeline/batch";
import { DiskQueue } from "#pipeline/disk-queue";
import { SeriesRegistry } from "#pipeline/series";
import { EXIT, runCommand } from "../cli.ts";

const START = Date.UTC(2026, 0, 2, 3, 4, 5);
const READER = "endpoint";

async function invar(...args: readonly string[]) {
  let out = "";
  let error = "";
  const code = await runCommand(args, { out: (text) => void (out += text), error: (text) => void (error += text) });
  return { code, out, error };
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "tools-"));
  cleanUp(t, () => rm(path, { recursive: true, force: true }));
  return path;
}

const HISTOGRAM: NativeHistogram = {
  sample: 3,
  schema: 0,
  zeroThreshold: 0,
  zeroCount: 0,
  count: 1,
  sum: 1,
  positiveSpans: [{ offset: 0, length: 1 }],
  negativeSpans: [],
  positive: [1],
  negative: [],
  isFloat: false,
  customBounds: undefined,
  resetHint: "unknown",
};

const SERIES = [
  { __name__: "up", job: "a", instance: "one:1" },
  { __name__: "requests_total", job: "a", instance: "one:1", code: "200" },
  { __name__: "requests_total", job: "a", instance: "one:1", code: "500" },
  { __name__: "latency", job: "b", instance: "two:2" },
];

/** A queue with three scrapes of SERIES, the first delivered, the last in version 2. */
async function fill(path: string): Promise<void> {
  const queue = await DiskQueue.open(path, { readers: [READER] });
  const registry = new SeriesRegistry();
  const settings = {
    externalLabels: Labels.empty,
    rules: [],
    sendExemplars: true,
    sendHistograms: true,
    sendMetadata: true,
    maxSamples: 2000,
    sampleAgeLimit: 0,
  };
  for (const [i, version] of ([1, 1, 2] as const).entries()) {
    const symbols = version === 2 ? new SeriesSymbols(registry) : undefined;
    const encoder = new FragmentEncoder(registry, { ...settings, version }, Date.now, symbols);
    const batch: MetricBatch = {
      signal: "metrics",
      count: SERIES.length,
      registry,
      ref: Int32Array.from(SERIES, (labels) => registry.intern(Labels.from(Object.entries(labels)))),
      timestamp: new Float64Array(SERIES.length).fill(START + i * 1_250),
      value: new Float64Array(SERIES.length),
      flags: new Uint8Array(SERIES.length),
      exemplars: undefined,
      histograms: [HISTOGRAM],
      metadata: undefined,
      acknowledgement: Acknowledgement.none,
    };
    await queue.append(encoder.encode(batch, 1, noCounts()));
  }
  const reader = queue.reader(READER);
  const [first] = await reader.next(1, new AbortController().signal);
  reader.ack(first!);
  await queue.flush();
  await queue.close();
}

test("wal-stats: samples, series, what waits, and the targets; nothing is changed", async (t) => {
  const path = join(await folder(t), "queue-0123456789abcdef");
  await fill(path);
  const before = (await readdir(path)).sort();
  const { code, out, error } = await invar("tools", "prometheus.remote_write", "wal-stats", path);
  assert.deepEqual([code, error], [EXIT.ok, ""]);
  assert.equal(
    out,
    `Oldest Sample:      2026-01-02 03:04:05 +0000 UTC
Newest Sample:      2026-01-02 03:04:07.5 +0000 UTC
Total Series:       4
Total Samples:      12
Waiting Samples:    8
Damaged Bytes:      0
First Segment:      1
Latest Segment:     1

Per-target stats:
JOB  INSTANCE  SERIES  SAMPLES
a    one:1          3        9
b    two:2          1        3
`,
  );
  assert.deepEqual((await readdir(path)).sort(), before);
});

test("sample-stats: each series, or those that a selector matches", async (t) => {
  const path = await folder(t);
  await fill(join(path, "queue-0123456789abcdef"));
  const run = (...flags: readonly string[]) =>
    invar("tools", "prometheus.remote_write", "sample-stats", ...flags, path);
  const all = (await run()).out;
  assert.equal(all.match(/Total Samples: {6}3\n/g)!.length, 4);
  assert.ok(
    all.startsWith(`{__name__="latency", instance="two:2", job="b"}
  Oldest Sample:      2026-01-02 03:04:05 +0000 UTC
  Newest Sample:      2026-01-02 03:04:07.5 +0000 UTC
  Total Samples:      3
`),
    all,
  );
  const names = async (selector: string) => (await run("-s", selector)).out.match(/__name__="\w+"/g)?.length ?? 0;
  assert.deepEqual(
    await Promise.all(
      ["up", "{}", 'requests_total{code!="200"}', '{job=~"a|x",}', '{nothing=""}', '{job="none"}'].map(names),
    ),
    [1, 4, 1, 3, 4, 0],
  );
  for (const wrong of ["{", "up{job=a}", ""]) {
    const { code, error } = await run(`--selector=${wrong}`);
    assert.equal(code, EXIT.usage);
    assert.match(error, /is no selector/);
  }
});

test("target-stats: the series of each metric of one target", async (t) => {
  const path = await folder(t);
  await fill(join(path, "queue-0123456789abcdef"));
  const tool = ["tools", "prometheus.remote_write", "target-stats"];
  const { out } = await invar(...tool, "--job", "a", "-i", "one:1", path);
  assert.equal(out, "Metric cardinality:\n\nrequests_total: 2\nup: 1\n");
  const { code, error } = await invar(...tool, path);
  assert.equal(code, EXIT.usage);
  assert.match(error, /required flag\(s\) "instance", "job" not set/);
});

test("several endpoints have a queue each; damage is counted", async (t) => {
  const path = await folder(t);
  const names = ["queue-0123456789abcdef", "queue-fedcba9876543210"];
  for (const name of names) await fill(join(path, name));
  // In the first record.
  const file = await open(join(path, names[1]!, "000000000001.segment"), "r+");
  await file.write("garbage", 50);
  await file.close();
  const { out } = await invar("tools", "prometheus.remote_write", "wal-stats", path);
  assert.deepEqual(
    out.match(/^queue-\w+:$/gm),
    names.map((name) => `${name}:`),
  );
  const [whole, damaged] = [...out.matchAll(/Damaged Bytes: +(\d+)/g)].map((each) => Number(each[1]));
  assert.equal(whole, 0);
  assert.ok(damaged! > 50, out);
  assert.deepEqual(out.match(/Total Samples: +\d+/g), ["Total Samples:      12", "Total Samples:      8"]);
});

test("a folder that is not there, is another one, or is not given: what to do", async (t) => {
  const path = await folder(t);
  await mkdir(join(path, "prometheus.remote_write.default"));
  const cases: [string[], number, RegExp][] = [
    [["wal-stats", join(path, "nothing")], EXIT.failed, /nothing does not exist/],
    [["wal-stats", path], EXIT.failed, /it is a storage folder: give .*prometheus\.remote_write\.default/],
    [["wal-stats", join(path, "prometheus.remote_write.default")], EXIT.failed, /there is no queue .*--storage\.path/],
    [["wal-stats"], EXIT.usage, /accepts 1 arg\(s\), received 0: the folder of the component/],
    [["wall-stats", path], EXIT.usage, /there is no tool .*did you mean wal-stats\?/],
  ];
  for (const [args, code, message] of cases) {
    const result = await invar("tools", "prometheus.remote_write", ...args);
    assert.equal(result.code, code, String(args));
    assert.match(result.error, message);
  }
  assert.match((await invar("tools")).out, /prometheus\.remote_write: sample-stats, target-stats, wal-stats/);
  assert.match((await invar("tools", "prometheus.remote_wrote", "x")).error, /did you mean prometheus\.remote_write\?/);
});
