import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { decodeRequest2 } from "#formats/remote-write/2.testing";
import { WriteRequestEncoder } from "#formats/remote-write/remote-write";
import { compress } from "#formats/snappy";
import type { MetricBatch, NativeHistogram } from "#pipeline/batch";
import { DiskQueue } from "#pipeline/disk-queue";
import { SeriesRegistry } from "#pipeline/series";
import { queueFolder } from "./endpoint.ts";
import { fragmentTag } from "./fragment-tag.ts";
import { batchOf, endpoint2, folder, receiver, type Sample, start, until } from "./testing.ts";

/**
 * What the specification of remote write 2.0 asks of senders (prometheus/docs, docs/specs/prw/remote_write_spec_2_0.md,
 * 2.0-rc.4), one test for each clause that is not the same in 1.0; docs/delivery-metrics.md has the table.
 */

const ONE = [{ labels: { __name__: "up", job: "a" }, value: 1 }];
const HISTOGRAM: NativeHistogram = {
  sample: 1,
  schema: -53,
  zeroThreshold: 0,
  zeroCount: 0,
  count: 4,
  sum: 3,
  positiveSpans: [{ offset: 0, length: 2 }],
  negativeSpans: [],
  positive: [1, 2],
  negative: [],
  isFloat: false,
  customBounds: [0.5],
  resetHint: "unknown",
};

/** A batch with everything that there is. */
function richBatch(registry: MetricBatch["registry"]): MetricBatch {
  const batch = batchOf(registry, [
    { labels: { __name__: "jobs_total", job: "a", code: "200" }, value: 5 },
    { labels: { __name__: "rpc_seconds", job: "a" }, value: 4 },
    { labels: { __name__: "gone", job: "a" } },
  ]);
  batch.exemplars = [
    { sample: 0, labels: Labels.from([["trace_id", "abc"]]), value: 1.5, timestamp: 1_700_000_000_000 },
  ];
  batch.histograms = [HISTOGRAM];
  batch.start = Float64Array.of(1_600_000_000_000, 1_600_000_000_001, 0);
  batch.metadata = [
    { family: "jobs", type: "counter", help: "Jobs done.", unit: "" },
    { family: "rpc_seconds", type: "histogram", help: "How long.", unit: "seconds" },
  ];
  return batch;
}

async function sendRich(t: Parameters<typeof receiver>[0], more = "send_native_histograms = true") {
  const { url, all } = await receiver(t);
  const { component } = await start(t, endpoint2(url, more));
  await component.exports.receiver.consume(richBatch(component.services.series), new AbortController().signal);
  await until("it came", () => all.length > 0);
  return { request: all[0]!, message: decodeRequest2(all[0]!.body), component };
}

test("2.0 MUST: a POST of a Request in Snappy's block format, with its reserved headers", async (t) => {
  const { request } = await sendRich(t);
  assert.equal(request.method, "POST");
  assert.notEqual(request.raw.subarray(4, 10).toString("latin1"), "sNaPpY");
  const { headers } = request;
  assert.equal(headers["content-encoding"], "snappy");
  assert.equal(headers["content-type"], "application/x-protobuf;proto=io.prometheus.write.v2.Request");
  assert.equal(headers["x-prometheus-remote-write-version"], "2.0.0");
  assert.match(headers["user-agent"]!, /^Invar\/\S+$/);
});

test("2.0 MUST: symbols are there, each once, the empty one first, and every reference points to one", async (t) => {
  const { message } = await sendRich(t);
  const { symbols, timeseries } = message;
  assert.equal(symbols[0], "");
  assert.equal(new Set(symbols).size, symbols.length);
  for (const series of timeseries) {
    const refs = [
      ...series.labelsRefs,
      ...series.exemplars.flatMap((each: { labelsRefs: number[] }) => each.labelsRefs),
      series.metadata?.helpRef ?? 0,
      series.metadata?.unitRef ?? 0,
    ];
    for (const ref of refs) assert.ok(ref < symbols.length, `${ref} of ${symbols.length}`);
  }
});

test("2.0 MUST: labels come in pairs, complete, sorted, no name twice, none empty", async (t) => {
  const { message } = await sendRich(t);
  for (const { labelsRefs } of message.timeseries) {
    assert.ok(labelsRefs.length > 0 && labelsRefs.length % 2 === 0);
    const texts: string[] = labelsRefs.map((ref: number) => message.symbols[ref]);
    const names = texts.filter((_, i) => i % 2 === 0);
    assert.deepEqual(names, [...new Set(names)].sort());
    assert.ok(names.includes("__name__"));
    assert.ok(texts.every((text) => text !== ""));
  }
});

test("2.0 MUST: each TimeSeries has samples or histograms, and never both", async (t) => {
  const { message } = await sendRich(t);
  assert.equal(message.timeseries.length, 3);
  for (const { samples, histograms } of message.timeseries) assert.equal(samples.length + histograms.length, 1);
  assert.equal(message.timeseries[1].histograms.length, 1);
});

test("2.0 SHOULD: metadata goes with each series; not with metadata_config.send = false", async (t) => {
  const { message } = await sendRich(t);
  const metadata = message.timeseries.map(({ metadata: own }: { metadata?: Record<string, number> }) =>
    own == null ? undefined : [own.type, message.symbols[own.helpRef!], message.symbols[own.unitRef!]],
  );
  assert.deepEqual(metadata, [[1, "Jobs done.", ""], [3, "How long.", "seconds"], undefined]);
  const without = await sendRich(t, "metadata_config {\nsend = false\n}");
  assert.ok(without.message.timeseries.every((each: { metadata?: object }) => each.metadata == null));
});

test("2.0 SHOULD, MUST: exemplars go along, with value, labels and timestamp; not with send_exemplars = false", async (t) => {
  const { message } = await sendRich(t);
  const [exemplar] = message.timeseries[0].exemplars;
  assert.deepEqual(
    exemplar.labelsRefs.map((ref: number) => message.symbols[ref]),
    ["trace_id", "abc"],
  );
  assert.deepEqual([exemplar.value, exemplar.timestamp], [1.5, "1700000000000"]);
  const without = await sendRich(t, "send_exemplars = false");
  assert.equal(without.message.timeseries[0].exemplars.length, 0);
});

test("2.0 SHOULD: start timestamps go along where they are known, and 0 stands for not known", async (t) => {
  const { message } = await sendRich(t);
  assert.equal(message.timeseries[0].samples[0].startTimestamp, "1600000000000");
  assert.equal(message.timeseries[1].histograms[0].startTimestamp, "1600000000001");
  assert.equal(message.timeseries[2].samples[0].startTimestamp, "0");
});

test("2.0 MUST: a stale marker is the NaN 0x7ff0000000000002", async (t) => {
  const { message } = await sendRich(t);
  assert.equal(BigInt(message.timeseries[2].samples[0].value), 0x7ff0000000000002n);
});

test("2.0: histograms with custom buckets go along; in 1.0 there is no form for them, and they are dropped and counted", async (t) => {
  const { message } = await sendRich(t);
  const [histogram] = message.timeseries[1].histograms;
  assert.deepEqual([histogram.schema, histogram.customValues, histogram.positiveDeltas], [-53, [0.5], ["1", "2"]]);
  const { component } = await sendRich(t, 'send_native_histograms = true\nname = "x"');
  assert.equal(component.flow.droppedItems, 0);
  const { url, samples } = await receiver(t);
  const older = await start(t, endpoint2(url, "send_native_histograms = true").replace(/protobuf_message.*\n/, ""));
  const { signal } = new AbortController();
  await older.component.exports.receiver.consume(richBatch(older.component.services.series), signal);
  await until("the others came", () => samples().length === 2);
  assert.equal(older.component.flow.dropped.get("metrics")!.get("custom_buckets_need_version_2"), 1);
});

test("2.0 SHOULD: samples of many series go in one request, small batches joined", async (t) => {
  const { url, all, samples } = await receiver(t);
  const queue = 'queue_config {\nbatch_send_deadline = "600ms"\n}';
  const { send } = await start(t, endpoint2(url, "", queue));
  for (let i = 0; i < 5; i++) await send([{ labels: { __name__: "m", i: `${i}`, job: "j" }, value: i }]);
  await until("they came", () => samples().length === 5);
  assert.equal(all.length, 1);
  const { symbols } = decodeRequest2(all[0]!.body);
  assert.equal(new Set(symbols).size, symbols.length);
});

const TWO_FIRST = [2, 1, 1];

test("2.0 MAY: 415 to version 2 is no end: the same samples are sent in version 1, and those that come", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (_, { version }) => (version === 2 ? 415 : 204);
  const { send, component } = await start(t, endpoint2(url));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  await send([{ ...ONE[0]!, at: 1 }]);
  await until("the next came", () => samples().length === 2);
  assert.deepEqual(
    all.map(({ version }) => version),
    TWO_FIRST,
  );
  assert.deepEqual(
    all.map(({ headers }) => [headers["content-type"], headers["x-prometheus-remote-write-version"]]).slice(1),
    [
      ["application/x-protobuf", "0.1.0"],
      ["application/x-protobuf", "0.1.0"],
    ],
  );
  assert.equal(component.flow.droppedItems, 0);
  const warned = component.logs.filter(({ message }) => /does not take remote write 2\.0/.test(message));
  assert.equal(warned.length, 1);
});

test("2.0 SHOULD: 2xx to version 2 without saying what was written is taken for 415", async (t) => {
  const { url, all, state } = await receiver(t);
  state.countsWritten = false;
  const { send, component } = await start(t, endpoint2(url));
  await send(ONE);
  await until("it is delivered", () => component.metric("prometheus_remote_storage_samples_total") === 1);
  assert.deepEqual(
    all.map(({ version }) => version),
    [2, 1],
  );
});

test("2.0 SHOULD: 400 of a 1.0 receiver may mean that it does not know version 2", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (_, { version }) => (version === 2 ? { status: 400, body: "proto: cannot parse" } : 204);
  const { send, component } = await start(t, endpoint2(url));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  await send([{ ...ONE[0]!, at: 1 }]);
  await until("the next came", () => samples().length === 2);
  assert.deepEqual(
    all.map(({ version }) => version),
    TWO_FIRST,
  );
  assert.equal(component.flow.droppedItems, 0);
});

test("2.0: 400 to both versions is about the samples, and version 2 goes on", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = () => (state.asked <= 2 ? { status: 400, body: `no ${state.asked}` } : 204);
  const { send, component } = await start(t, endpoint2(url));
  await send(ONE);
  await until("it is dropped", () => component.flow.droppedItems === 1);
  assert.match(component.flow.status.cause, /400 Bad Request: no 1;/);
  await send([{ ...ONE[0]!, at: 1 }]);
  await until("the next came", () => samples().length === 1);
  assert.deepEqual(
    all.map(({ version }) => version),
    [2, 1, 2],
  );
});

test("2.0 MUST NOT: without the headers nothing is concluded about a request of version 1", async (t) => {
  const { url, state } = await receiver(t);
  state.countsWritten = false;
  const { send, component } = await start(t, endpoint2(url).replace(/protobuf_message.*\n/, ""));
  await send(ONE);
  await until("it is delivered", () => component.metric("prometheus_remote_storage_samples_total") === 1);
  assert.deepEqual([state.asked, component.flow.droppedItems], [1, 0]);
});

test("2.0 MUST NOT: what version the answer names changes nothing", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (response) => {
    response.setHeader("x-prometheus-remote-write-version", "0.1.0");
    return 204;
  };
  const { send } = await start(t, endpoint2(url));
  for (let at = 0; at < 3; at++) {
    await send([{ ...ONE[0]!, at }]);
    await until("it came", () => samples().length === at + 1);
  }
  assert.ok(all.every(({ version }) => version === 2));
});

test("2.0: a partial write counts what was written as delivered and the rest as dropped, and nothing is sent again", async (t) => {
  const { url, state } = await receiver(t);
  state.answer = (response) => {
    response.setHeader("x-prometheus-remote-write-samples-written", "7");
    response.setHeader("x-prometheus-remote-write-histograms-written", "1");
    return { status: 400, body: "out of order sample: 2 of 10" };
  };
  const { send, component } = await start(t, endpoint2(url));
  await send(Array.from({ length: 10 }, (_, i): Sample => ({ labels: { __name__: "m", i: `${i}` }, value: i })));
  await until("it is counted", () => component.flow.droppedItems === 2);
  assert.deepEqual([...component.flow.dropped.get("metrics")!], [["out_of_order", 2]]);
  assert.equal(component.metric("prometheus_remote_storage_samples_total"), 8);
  assert.equal(component.metric("prometheus_remote_storage_samples_failed_total"), 2);
  await until("nothing waits", () => component.metric("prometheus_remote_storage_samples_pending") === 0);
  assert.equal(state.asked, 1);
  assert.match(component.flow.status.cause, /out of order sample: 2 of 10/);
});

test("2.0: a success that wrote less than was sent is told of", async (t) => {
  const { url, state } = await receiver(t);
  state.answer = (response) => {
    response.writeHead(204, { "x-prometheus-remote-write-samples-written": "1" }).end();
    return undefined;
  };
  const { send, component } = await start(t, endpoint2(url));
  await send(Array.from({ length: 3 }, (_, i): Sample => ({ labels: { __name__: "m", i: `${i}` }, value: i })));
  await until("it is counted", () => component.flow.dropped.get("metrics")?.get("not_written") === 2);
  assert.match(component.flow.status.cause, /answered 204 and wrote 1 of 3 samples/);
});

test("2.0 MUST: 5xx is tried again in the same version, with a partial write as well", async (t) => {
  const { url, all, samples, state } = await receiver(t);
  state.answer = (response) => {
    if (state.asked > 2) return 204;
    response.setHeader("x-prometheus-remote-write-samples-written", "0");
    return 503;
  };
  const { send } = await start(t, endpoint2(url));
  await send(ONE);
  await until("it came", () => samples().length === 1);
  assert.deepEqual(
    all.map(({ version }) => version),
    [2, 2, 2],
  );
});

test("2.0: requests that are too large are cut into whole requests of their own", async (t) => {
  const { url, samples, state } = await receiver(t);
  state.answer = (_, request) => {
    const { symbols } = decodeRequest2(request.body);
    assert.deepEqual([symbols[0], symbols.length], ["", new Set(symbols).size]);
    return request.samples.length > 2 ? 413 : 204;
  };
  const { send, component } = await start(t, endpoint2(url));
  await send(Array.from({ length: 9 }, (_, i): Sample => ({ labels: { __name__: "m", i: `${i}` }, value: i })));
  await until("all came", () => samples().length === 9);
  assert.equal(component.flow.droppedItems, 0);
});

test("what waits in one version is delivered in the other after a change of protobuf_message and a restart", async (t) => {
  const { url, samples, state, requests } = await receiver(t);
  const dataPath = await folder(t);
  state.answer = () => 503;
  const first = await start(t, endpoint2(url), dataPath);
  await first.send([{ labels: { __name__: "m", i: "1" }, value: 1 }]);
  await first.component.update(endpoint2(url).replace(/protobuf_message.*\n/, ""));
  await first.send([{ labels: { __name__: "m", i: "2" }, value: 2 }]);
  await until("it is failing", () => first.component.flow.status.state === "failing");
  await first.component.stop();
  state.answer = () => 204;
  const second = await start(t, endpoint2(url), dataPath);
  await until("all came", () => samples().length === 2);
  assert.deepEqual(samples(), ['{__name__="m", i="1"} 1@0', '{__name__="m", i="2"} 2@0']);
  assert.ok(requests.every(({ version }) => version === 2));
  assert.equal(second.component.flow.droppedItems, 0);
});

test("what cannot be read in the queue is dropped and counted, and nothing else", async (t) => {
  const { url, samples } = await receiver(t);
  const dataPath = await folder(t);
  const queue = await DiskQueue.open(queueFolder(dataPath, url), { readers: ["endpoint"] });
  const tag = fragmentTag(1, 1, 0);
  const registry = new SeriesRegistry();
  const encoder = new WriteRequestEncoder();
  encoder.sample(registry, registry.intern(Labels.from([["__name__", "m"]])), 1, 5, false);
  const good = { bytes: compress(encoder.bytes()), items: 1, tag };
  await queue.append([good, { bytes: Buffer.from([4, 12, 0x0a, 0xff, 0xff, 0x01]), items: 3, tag }, good]);
  await queue.close();
  // Version 1 of the queue has to be read to be sent in version 2.
  const { component } = await start(t, endpoint2(url), dataPath);
  await until("the others came", () => samples().length === 2);
  await until("it is dropped", () => component.flow.dropped.get("metrics")?.get("queue_damaged") === 3);
  await until("nothing waits", () => component.metric("prometheus_remote_storage_samples_pending") === 0);
});
