import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricBatch } from "#pipeline/batch";
import type { RecordedSample, Recorder } from "#pipeline/testing";
import { START, start } from "./testing.ts";

const OPEN_METRICS = { "content-type": "application/openmetrics-text; version=1.0.0" };
const openMetrics = (body: string) => ({ status: 200, headers: OPEN_METRICS, body: `${body}# EOF\n` });

/** Batches are lent: what is asked of them is copied as they come. */
function watch<T>(recorder: Recorder<"metrics", RecordedSample>, copy: (batch: MetricBatch) => T): T[] {
  const copies: T[] = [];
  recorder.gate = (batch) => void copies.push(copy(batch));
  return copies;
}

const PAGE =
  '# TYPE lat histogram\nlat_bucket{le="1"} 2\nlat_bucket{le="+Inf"} 3\nlat_sum 4.5\nlat_count 3\n# TYPE b gauge\nb 1\n';

test("classic histograms are converted, and stale once they are gone", async (t) => {
  const { clock, state, take, recorder } = await start(
    t,
    "convert_classic_histograms_to_nhcb = true\nsample_limit = 2",
  );
  const histograms = watch(recorder, (batch) => structuredClone(batch.histograms ?? []));
  state.page = PAGE;
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="lat"}': 3, '{__name__="b"}': 1 });
  const [histogram] = histograms[0]!;
  assert.deepEqual(
    [histogram!.sample, histogram!.schema, histogram!.customBounds, histogram!.positive, histogram!.sum],
    [0, -53, [1], [2, -1], 4.5],
  );
  state.page = "b 1\n";
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="lat"}': "stale", '{__name__="b"}': 1 });
});

test("labels of a target decide for it", async (t) => {
  const targets =
    '[{ __address__ = "memory:1", x = "1", __convert_classic_histograms_to_nhcb__ = "true", __always_scrape_classic_histograms__ = "1" },' +
    ' { __address__ = "memory:1", x = "2" }, { __address__ = "memory:1", x = "3", __scrape_native_histograms__ = "perhaps" }]';
  const { clock, state, take, component } = await start(t, "", targets);
  state.page = PAGE;
  await clock.advance(60_000);
  const series = Object.keys(take());
  const of = (x: string) => series.filter((each) => each.includes(`x="${x}"`)).length;
  assert.deepEqual([of("1"), of("2"), of("3")], [6, 5, 0]);
  assert.match(
    component.flow.status.cause,
    /1 of 3 targets cannot be scraped: error parsing scrape native histograms: strconv.ParseBool: parsing "perhaps"/,
  );
});

test("an exemplar goes on once, and a later one after it", async (t) => {
  const { clock, state, recorder } = await start(t);
  const seen = watch(recorder, (batch) =>
    (batch.exemplars ?? []).map((each) => `${each.labels} ${each.value} ${each.timestamp - START}`),
  );
  const at = (ms: number) => ((START + ms) / 1000).toFixed(3);
  const page = (exemplar: string) => openMetrics(`# TYPE c counter\nc_total 7 # ${exemplar}\nd 1 # {t="x"} 1\n`);
  state.page = page(`{t="a"} 1 ${at(1)}`);
  await clock.advance(60_000);
  await clock.advance(60_000);
  state.page = page(`{t="b"} 2 ${at(5)}`);
  await clock.advance(60_000);
  state.page = page(`{t="old"} 2 ${at(2)}`);
  await clock.advance(60_000);
  const first = recorder.items[0]!.timestamp - START;
  assert.deepEqual(seen, [['{t="a"} 1 1', `{t="x"} 1 ${first}`], [], ['{t="b"} 2 5'], []]);
});

test("a zero stands where a series began, once, and not for what the agent may have seen before", async (t) => {
  const { clock, state, recorder } = await start(
    t,
    'start_timestamp_zero_ingestion = true\nscrape_interval = "10s"\nscrape_timeout = "10s"',
  );
  const page = (began: number, old: number) =>
    openMetrics(
      `# TYPE c counter\nc_total 7\nc_created ${(START + began) / 1000}\n# TYPE o counter\no_total 8\no_created ${(START + old) / 1000}\n`,
    );
  const take = () =>
    recorder.items
      .splice(0)
      .filter(({ labels }) => /_total$/.test(labels.get("__name__")!))
      .map(({ labels, value, timestamp }) => [labels.get("__name__"), value, timestamp - START]);
  state.page = page(-5_000, -11_000);
  await clock.advance(10_000);
  const [, , turn] = take().at(-1)!;
  recorder.items.length = 0;
  state.page = page(11_000, -11_000);
  await clock.advance(10_000);
  assert.deepEqual(take(), [
    ["c_total", 0, 11_000],
    ["c_total", 7, Number(turn) + 10_000],
    ["o_total", 8, Number(turn) + 10_000],
  ]);
  await clock.advance(10_000);
  assert.equal(take().length, 2);
});

test("the first page tells of what began since the agent did", async (t) => {
  const { clock, state, recorder } = await start(
    t,
    'start_timestamp_zero_ingestion = true\nscrape_interval = "10s"\nscrape_timeout = "10s"',
  );
  state.page = openMetrics(`# TYPE c counter\nc_total 7\nc_created ${(START - 5_000) / 1000}\n`);
  await clock.advance(10_000);
  const samples = recorder.items.filter(({ labels }) => labels.get("__name__") === "c_total");
  assert.deepEqual(samples[0]!.value, 0);
  assert.equal(samples[0]!.timestamp, START - 5_000);
});

test("type and unit become labels", async (t) => {
  const { clock, state, take } = await start(t, "enable_type_and_unit_labels = true");
  state.page = openMetrics("# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n");
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="a_seconds_total", __type__="counter", __unit__="seconds"}': 1 });
});

test("honor_labels: a label without a value takes that of the target away", async (t) => {
  const { clock, state, recorder } = await start(t, "honor_labels = true");
  state.page = 'a{instance=""} 1\n';
  await clock.advance(60_000);
  assert.equal(recorder.items[0]!.labels.toString(), '{__name__="a", job="prometheus.scrape.test"}');
});

test("sample_limit changes without a loop's series being forgotten, other rules of pages begin anew", async (t) => {
  const { clock, state, take, component } = await start(t);
  const targets = 'targets = [{ __address__ = "memory:1", instance = "i" }]\nforward_to = [out]\n';
  state.page = "a 1\nb 2\n";
  await clock.advance(60_000);
  take(true);
  await component.update(`${targets}sample_limit = 5`);
  await clock.advance(60_000);
  assert.equal(take(true).scrape_series_added, 0);
  await component.update(`${targets}sample_limit = 1`);
  await clock.advance(60_000);
  assert.equal(component.flow.status.rule, "sample_limit");
  take();
  await component.update(`${targets}honor_timestamps = false`);
  await clock.advance(60_000);
  assert.equal(take(true).scrape_series_added, 2);
});
