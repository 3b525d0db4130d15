import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ProtoWriter } from "#formats/protobuf";
import { type RecordedSample, recordMetrics, startComponent } from "#pipeline/testing";
import scrape from "./prometheus.scrape.ts";
import { START, start } from "./testing.ts";

test("scrapes at its turns and reports each scrape", async (t) => {
  const { clock, recorder, take, component } = await start(t, 'scrape_interval = "10s"');
  await clock.advance(10_000);
  assert.deepEqual(take(true), {
    up: 1,
    scrape_duration_seconds: 0,
    scrape_samples_scraped: 1,
    scrape_samples_post_metric_relabeling: 1,
    scrape_series_added: 1,
  });
  const [first] = recorder.items;
  assert.equal(first!.labels.toString(), '{__name__="up_to_you", instance="i", job="prometheus.scrape.test"}');
  const turn = first!.timestamp;
  await clock.advance(20_000);
  assert.deepEqual([...new Set(recorder.items.map((each) => each.timestamp - turn))], [0, 10_000, 20_000]);
  assert.equal(take(true).scrape_series_added, 0);
  assert.equal(component.metric("prometheus_scrape_targets_gauge"), 1);
  assert.ok(component.metric("prometheus_forwarded_samples_total")! >= 18);
  assert.equal(component.flow.status.state, "ok");
});

test("asks for the formats in order, with the time that is left", async (t) => {
  const { clock, state } = await start(
    t,
    'params = { "module" = ["a b", "c"] }\nmetrics_path = "/probe"',
    '[{ __address__ = "memory:1", __param_module = "x", __param_target = "y" }]',
  );
  await clock.advance(60_000);
  const [{ path, headers } = assert.fail()] = state.asked;
  assert.equal(path, "/probe?module=x&module=c&target=y");
  assert.equal(
    headers.get("accept"),
    "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
      "text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
  );
  assert.equal(headers.get("x-prometheus-scrape-timeout-seconds"), "10");
});

test("marks series stale that vanish, and all of them when a scrape fails", async (t) => {
  const { clock, state, take, component } = await start(t);
  state.page = "a 1\nb 2\n";
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="a"}': 1, '{__name__="b"}': 2 });
  state.page = "b 3\n";
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="a"}': "stale", '{__name__="b"}': 3 });
  state.page = { status: 503, body: "busy" };
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="b"}': "stale" });
  assert.equal(component.flow.status.state, "failing");
  assert.match(
    component.flow.status.cause,
    /the scrape of http:\/\/memory:1\/metrics fails: server returned HTTP status 503/,
  );
  await clock.advance(60_000);
  assert.deepEqual(take(true).up, 0);
  state.page = "b 4\nc{ 1\n";
  await clock.advance(60_000);
  assert.deepEqual(take(), {});
  assert.match(component.flow.status.cause, /expected label name/);
  state.page = "b 5\n";
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="b"}': 5 });
  assert.equal(component.flow.status.state, "ok");
});

test("a target that is gone becomes stale two turns later, one that comes back does not", async (t) => {
  const { clock, take, component } = await start(t);
  await clock.advance(60_000);
  take();
  await component.update("targets = []\nforward_to = [out]");
  await clock.advance(60_000);
  assert.equal(component.flow.status.state, "idle");
  assert.deepEqual(take(), {});
  await component.update('targets = [{ __address__ = "memory:1", instance = "i" }]\nforward_to = [out]');
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="up_to_you"}': 1 });
  await component.update("targets = []\nforward_to = [out]");
  await clock.advance(200_000);
  assert.deepEqual(take(), { '{__name__="up_to_you"}': "stale" });
  assert.equal(component.services.series.stored, 0);
});

test("an update keeps the series of targets that stay", async (t) => {
  const { clock, take, component } = await start(t);
  await clock.advance(60_000);
  take();
  await component.update(
    'targets = [{ __address__ = "memory:1", instance = "i" }]\nforward_to = [out]\nsample_limit = 10\nhonor_labels = false',
  );
  await clock.advance(60_000);
  assert.deepEqual(take(), { '{__name__="up_to_you"}': 1 });
  assert.equal(component.services.series.size, 6);
});

test("no marker is written when the component stops", async (t) => {
  const { clock, take, component } = await start(t);
  await clock.advance(60_000);
  take();
  await component.stop();
  assert.deepEqual(take(), {});
  assert.equal(component.services.series.stored, 0);
});

test("labels of the target win, or those of the page", async (t) => {
  const page = 'a{instance="x",job="y",exported_job="z"} 1\n';
  const one = await start(t);
  one.state.page = page;
  await one.clock.advance(60_000);
  const labels = (recorder: { items: readonly RecordedSample[] }) => recorder.items[0]!.labels.toString();
  assert.equal(
    labels(one.recorder),
    '{__name__="a", exported_exported_job="y", exported_instance="x", exported_job="z", instance="i", job="prometheus.scrape.test"}',
  );
  const other = await start(t, "honor_labels = true");
  other.state.page = page;
  await other.clock.advance(60_000);
  assert.equal(labels(other.recorder), '{__name__="a", exported_job="z", instance="x", job="y"}');
});

test("timestamps of the page count, unless they should not", async (t) => {
  const now = START + 60_000;
  const page = `a 1 ${now - 5_000}\nb 2\na 3 ${now - 4_000}\nc 4 ${now + 3_600_000}\n`;
  const one = await start(t);
  one.state.page = page;
  await one.clock.advance(60_000);
  const times = one.recorder.items.slice(0, 3).map(({ labels, timestamp }) => [labels.get("__name__"), timestamp]);
  assert.deepEqual(
    [times[0], times[2]],
    [
      ["a", now - 5_000],
      ["a", now - 4_000],
    ],
  );
  assert.equal(one.component.flow.dropped.get("metrics")!.get("timestamp_out_of_bounds"), 1);
  one.state.page = "b 2\n";
  one.take();
  await one.clock.advance(60_000);
  assert.deepEqual(one.take(), { '{__name__="b"}': 2 }, "series with timestamps do not become stale");

  const other = await start(t, "honor_timestamps = false");
  other.state.page = page;
  await other.clock.advance(60_000);
  assert.equal(new Set(other.recorder.items.map((each) => each.timestamp)).size, 1);
  assert.equal(other.component.flow.dropped.get("metrics")!.get("duplicate_sample"), 1);
});

test("limits fail the page", async (t) => {
  const cases: [string, string, RegExp][] = [
    ["sample_limit = 1", "a 1\nb 2\n", /sample limit exceeded/],
    ['body_size_limit = "5B"', "a 1\nb 2\n", /body size limit exceeded/],
    ["label_limit = 3", 'a{b="c"} 1\n', /label_limit exceeded \(metric: a, number of labels: 4, limit: 3\)/],
    [
      "label_name_length_limit = 8",
      'a{longer_name="c"} 1\n',
      /label_name_length_limit exceeded \(metric: a, label name: longer_name, length: 11, limit: 8\)/,
    ],
    ["label_value_length_limit = 30", `a{b="${"x".repeat(31)}"} 1\n`, /label_value_length_limit exceeded/],
    ["target_limit = 1", "a 1\n", /target_limit exceeded \(number of targets: 2, limit: 1\)/],
    ["", '{"a.b"} 1\n', /invalid metric name or label names/],
    ["", 'a{b="1",b="2"} 1\n', /label name "b" is not unique/],
  ];
  for (const [limit, page, message] of cases) {
    const targets = limit.startsWith("target")
      ? '[{ __address__ = "memory:1" }, { __address__ = "memory:1", x = "y" }]'
      : undefined;
    const { clock, state, take, component } = await start(t, `${limit}\nextra_metrics = true`, targets);
    state.page = page;
    await clock.advance(60_000);
    assert.match(component.flow.status.cause, message);
    const report = take(true);
    assert.equal(report.up, 0);
    if (limit.startsWith("sample")) assert.equal(report.scrape_samples_scraped, 2);
    if (limit.startsWith("body")) assert.equal(report.scrape_body_size_bytes, -1);
    await component.stop();
    assert.equal(component.services.series.stored, 0, limit);
  }
  const utf8 = await start(t, 'metric_name_validation_scheme = "utf8"');
  utf8.state.page = '{"a.b"} 1\n';
  await utf8.clock.advance(60_000);
  assert.deepEqual(utf8.take(), { '{__name__="a.b"}': 1 });
});

test("targets that are none are counted, the others are scraped", async (t) => {
  const { clock, component, take } = await start(
    t,
    "",
    '[{ instance = "x" }, { __address__ = "a/b" }, { __address__ = "memory:1", __scrape_interval__ = "nonsense" }, { __address__ = "memory:1", __scrape_timeout__ = "2m" }, { __address__ = "memory:1" }, { __address__ = "memory:1" }]',
  );
  await clock.advance(60_000);
  assert.equal(Object.keys(take()).length, 1);
  assert.equal(component.metric("prometheus_target_sync_failed_total"), 4);
  assert.equal(component.flow.status.state, "degraded");
  assert.match(component.flow.status.cause, /4 of 6 targets cannot be scraped: no address in/);
  assert.deepEqual((component.instance.debugInfo!() as { target: unknown[] }).target.length, 1);
});

test("a slow consumer delays the next scrape and loses nothing", async (t) => {
  const { clock, recorder, state } = await start(t, 'scrape_interval = "10s"');
  let open = () => {};
  recorder.gate = () => new Promise<void>((resolve) => (open = resolve));
  await clock.advance(60_000);
  assert.equal(state.asked.length, 1);
  recorder.gate = () => {};
  open();
  await clock.advance(10_000);
  assert.equal(state.asked.length, 2);
});

test("a stop waits for what is being handed on", async (t) => {
  const { clock, recorder, component, take } = await start(t);
  let open = () => {};
  recorder.gate = () => new Promise<void>((resolve) => (open = resolve));
  await clock.advance(60_000);
  let stopped = false;
  const stopping = component.stop().then(() => {
    stopped = true;
  });
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stopped, false);
  open();
  await stopping;
  assert.deepEqual(take(), { '{__name__="up_to_you"}': 1 });
});

test("a password in an address is not shown", async (t) => {
  const targets = '[{ __address__ = "me:hunter2@memory:1", instance = "i" }]';
  const { clock, component, state } = await start(t, "", targets);
  state.page = new Error("nobody there");
  await clock.advance(60_000);
  const shown = JSON.stringify([component.instance.debugInfo!(), component.flow.status, component.flow.lastError]);
  assert.match(shown, /nobody there/);
  assert.match(shown, /me:xxxxx@memory:1/);
  assert.doesNotMatch(shown, /http:\/\/me:hunter2/);
});

test("wrong arguments are refused", async (t) => {
  const cases: [string, RegExp][] = [
    ['scrape_timeout = "2m"', /`scrape_timeout` is greater than `scrape_interval`/],
    ['scrape_protocols = ["PrometheusText0.0.4", "PrometheusText0.0.4"]', /protocol twice/],
    ['scrape_native_histograms = true\nscrape_protocols = ["PrometheusText0.0.4"]', /needs "PrometheusProto"/],
    ["native_histogram_min_bucket_factor = -1", /must not be negative/],
    ['metric_name_escaping_scheme = "allow-utf-8"', /cannot be "allow-utf-8"/],
  ];
  for (const [extra, message] of cases) await assert.rejects(start(t, extra), message, extra);
  const fine = await start(t, "clustering {\nenabled = true\n}\nscrape_native_histograms = false");
  await fine.component.stop();
});

test("reads protobuf pages with native histograms", async (t) => {
  const { clock, state, recorder } = await start(t, "scrape_native_histograms = true");
  const out = new ProtoWriter();
  const message = (fill: (writer: ProtoWriter) => void) => {
    const writer = new ProtoWriter();
    fill(writer);
    return writer.finish();
  };
  const families = [
    message((f) => {
      f.string(1, "requests_total");
      f.int32(3, 0);
      f.bytes(
        4,
        message((m) => {
          m.bytes(
            1,
            message((l) => (l.string(1, "code"), l.string(2, "200"))),
          );
          m.bytes(
            3,
            message((c) => c.double(1, 5)),
          );
        }),
      );
    }),
    message((f) => {
      f.string(1, "latency");
      f.int32(3, 4);
      f.bytes(
        4,
        message((m) => {
          m.bytes(
            7,
            message((h) => {
              h.int64(1, 7);
              h.double(2, 1.5);
              h.sint32(5, 3);
              h.double(6, 0.001);
              h.bytes(
                12,
                message((span) => (span.sint32(1, -2), span.uint32(2, 2))),
              );
              h.sint64(13, 4n);
              h.sint64(13, -1n);
              h.bytes(
                3,
                message((b) => (b.int64(1, 7), b.double(2, 1))),
              );
            }),
          );
        }),
      );
    }),
  ];
  for (const each of families) {
    out.rawVarint(each.length);
    out.raw(each);
  }
  const headers = {
    "content-type": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
  };
  state.page = { status: 200, headers, body: out.finish() };
  const histograms: unknown[] = [];
  recorder.gate = (batch) => void histograms.push(...(batch.histograms ?? []));
  await clock.advance(60_000);
  assert.match(state.asked[0]!.headers.get("accept")!, /^application\/vnd.google.protobuf/);
  assert.deepEqual(
    recorder.items.slice(0, 3).map(({ labels, value }) => [labels.get("__name__"), labels.get("code"), value]),
    [
      ["requests_total", "200", 5],
      ["latency", undefined, 7],
      ["up", undefined, 1],
    ],
  );
  const [histogram] = histograms as [Record<string, unknown>];
  assert.equal(histogram.sample, 1);
  assert.deepEqual([histogram.schema, histogram.count, histogram.sum, histogram.positive], [3, 7, 1.5, [4, -1]]);
  assert.deepEqual(histogram.positiveSpans, [{ offset: -2, length: 2 }]);

  const classic = await start(t, 'scrape_protocols = ["PrometheusProto"]');
  classic.state.page = state.page;
  await classic.clock.advance(60_000);
  assert.deepEqual(classic.take(), {
    '{__name__="requests_total", code="200"}': 5,
    '{__name__="latency_count"}': 7,
    '{__name__="latency_sum"}': 1.5,
    '{__name__="latency_bucket", le="1.0"}': 7,
    '{__name__="latency_bucket", le="+Inf"}': 7,
  });
  classic.state.page = { status: 200, headers, body: Buffer.from([5, 0xff, 0xff]) };
  await classic.clock.advance(60_000);
  assert.match(classic.component.flow.status.cause, /protobuf page is damaged/);
});

test("scrapes over HTTP, gzip and OpenMetrics included, and says what is wrong with a dead target", async (t) => {
  const answer: RequestListener = (request, response) => {
    assert.equal(request.headers["accept-encoding"], "gzip");
    if (request.url === "/slow") return;
    response.setHeader("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.setHeader("content-encoding", "gzip");
    response.end(gzipSync('# TYPE x counter\nx_total 7 # {trace="t"} 1\n# EOF\n'));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const folder = await mkdtemp(join(tmpdir(), "scrape-"));
  t.after(() => rm(folder, { recursive: true }));
  const recorder = recordMetrics();
  const component = await startComponent(
    scrape,
    `targets = [{ __address__ = "127.0.0.1:${port}" }, { __address__ = "127.0.0.1:${port}", __metrics_path__ = "/slow" }, { __address__ = "127.0.0.1:1" }]
     forward_to = [out]
     scrape_interval = "400ms"
     scrape_timeout = "300ms"
     scrape_failure_log_file = "${join(folder, "failures.json")}"`,
    { scope: { out: recorder.value } },
  );
  for (let i = 0; !/2 of 3 targets fail/.test(component.flow.status.cause); i++) {
    assert.ok(i < 1_000, component.flow.status.cause);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await component.stop();
  assert.ok(recorder.items.some(({ labels, value }) => labels.get("__name__") === "x_total" && value === 7));
  const lines = (await readFile(join(folder, "failures.json"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.ok(
    lines.some(({ msg }) => /slow": context deadline exceeded/.test(msg)),
    lines[0].msg,
  );
  assert.ok(lines.some(({ msg }) => /127.0.0.1:1 refuses connections/.test(msg)));
});
