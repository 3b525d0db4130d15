import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import { compress } from "#formats/snappy";
import { encodeWrite1, encodeWrite2, postWrite, type TestSeries } from "#formats/write-request.testing";
import type { MetricBatch } from "#pipeline/batch";
import { RetryableError } from "#pipeline/errors";
import { recordMetrics, type StartOptions, startComponent } from "#pipeline/testing";
import receiveHttp from "./prometheus.receive_http.ts";

const BOTH = 'accepted_remote_write_protobuf_messages = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"]';

async function start(t: TestContext, config = BOTH, options: StartOptions = {}, http = "") {
  const recorder = recordMetrics();
  const batches: MetricBatch[] = [];
  const { gate } = recorder;
  recorder.gate = (batch, signal) => {
    batches.push({ ...batch });
    return gate(batch, signal);
  };
  const component = await startComponent(
    receiveHttp,
    `http {\nlisten_address = "127.0.0.1"\nlisten_port = 0\n${http}\n}\nforward_to = [out]\n${config}`,
    { ...options, scope: { out: recorder.value } },
  );
  cleanUp(t, () => component.stop());
  const info = () => component.instance.debugInfo!() as { listen_address: string; series: number };
  await until(() => info().listen_address !== "", "the server listens");
  const url = `http://${info().listen_address}/api/v1/metrics/write`;
  const post = (series: readonly TestSeries[], version: 1 | 2 = 1) =>
    postWrite(url, version === 1 ? encodeWrite1(series) : encodeWrite2(series), version);
  return { component, recorder, batches, url, post, info };
}

const now = Date.now();
const sample = { value: 1, timestamp: now };
const named = (name: string, ...more: [string, string][]): TestSeries => ({
  labels: [["__name__", name], ...more],
  samples: [sample],
});
const written = (response: Response) =>
  ["samples", "histograms", "exemplars"].map((what) =>
    response.headers.get(`x-prometheus-remote-write-${what}-written`),
  );

for (const version of [1, 2] as const) {
  test(`version ${version}: what was sent arrives, and is answered with 204`, async (t) => {
    const { recorder, batches, post, component } = await start(t);
    const response = await post(
      [
        {
          ...named("a", ["b", "c"]),
          samples: [
            { value: 1.5, timestamp: now - 1 },
            { value: NaN, timestamp: now },
          ],
          exemplars: [{ labels: [["trace_id", "x"]], value: 3, timestamp: now }],
        },
        { labels: [["__name__", "h"]], histograms: [{ countInt: 0, sum: 0, timestamp: now }] },
      ],
      version,
    );
    assert.equal(response.status, 204, await response.text());
    assert.deepEqual(written(response), version === 1 ? [null, null, null] : ["2", "1", "1"]);
    assert.deepEqual(
      recorder.items.map(({ labels, value, timestamp }) => [labels.toString(), value, timestamp]),
      [
        ['{__name__="a", b="c"}', 1.5, now - 1],
        ['{__name__="a", b="c"}', NaN, now],
        ['{__name__="h"}', 0, now],
      ],
    );
    assert.deepEqual(
      batches[0]!.exemplars!.map((each) => [each.sample, each.value]),
      [[1, 3]],
    );
    assert.equal(batches[0]!.histograms![0]!.sample, 2);
    assert.equal(component.metric("prometheus_forwarded_samples_total"), 3);
    assert.equal(component.flow.status.state, "ok");
  });

  test(`version ${version}: labels in any order are sorted, empty ones are none`, async (t) => {
    const { recorder, post, info } = await start(t);
    const given: TestSeries[] = [
      {
        ...named("a"),
        labels: [
          ["z", "1"],
          ["b", ""],
          ["__name__", "a"],
        ],
      },
      named("a", ["z", "1"]),
    ];
    assert.equal((await post(given, version)).status, 204);
    assert.deepEqual(
      recorder.items.map(({ labels }) => labels.toString()),
      ['{__name__="a", z="1"}', '{__name__="a", z="1"}'],
    );
    assert.equal(info().series, 1);
  });

  test(`version ${version}: bad samples are left out, the client is told, and good ones are handed on`, async (t) => {
    const { component, recorder, post } = await start(t);
    const response = await post(
      [
        named("good"),
        { labels: [["a", "b"]], samples: [sample, sample] },
        {
          ...named("twice"),
          labels: [
            ["__name__", "twice"],
            ["a", "1"],
            ["a", "2"],
          ],
        },
        {
          ...named("nameless"),
          labels: [
            ["__name__", "nameless"],
            ["", "x"],
          ],
        },
        { ...named("future"), samples: [{ value: 1, timestamp: now + 3_600_000 }] },
        { labels: [["__name__", "h"]], histograms: [{ countInt: 4, timestamp: now }] },
        { ...named("long"), exemplars: [{ labels: [["t", "x".repeat(200)]], value: 1, timestamp: now }] },
      ],
      version,
    );
    assert.equal(response.status, 400);
    assert.deepEqual(written(response), version === 1 ? [null, null, null] : ["2", "0", "0"]);
    const text = await response.text();
    assert.match(text, /^invalid metric name or labels: no metric name in \{a="b"\}\n/);
    assert.match(
      text,
      /the label "a" is there twice\n.*a label has no name\n.*too far in the future\n.*Count field is 4/s,
    );
    assert.doesNotMatch(text, /exemplar/);
    assert.deepEqual(
      recorder.items.map(({ labels }) => labels.get("__name__")),
      ["good", "long"],
    );
    assert.deepEqual(
      [...component.flow.dropped.get("metrics")!],
      [
        ["invalid_labels", 4],
        ["too_far_in_future", 1],
        ["invalid_histogram", 1],
        ["invalid_exemplar", 1],
      ],
    );
    assert.equal(component.metric("prometheus_api_remote_write_invalid_labels_samples_total"), 4);
    component.flow.judge();
    assert.equal(component.flow.status.state, "degraded");
    assert.ok(component.flow.findings.some(({ rule }) => rule === "samples_rejected"));
  });

  test(`version ${version}: a client is told to come again when what is behind takes nothing in time`, async (t) => {
    const { recorder, post } = await start(t, BOTH, {}, 'server_write_timeout = "300ms"');
    recorder.gate = () => Promise.reject(new RetryableError("the queue is full"));
    const response = await post([named("a")], version);
    assert.deepEqual([response.status, await response.text()], [503, "the pipeline is full, try again\n"]);
    assert.equal(response.headers.get("retry-after"), "5");
    assert.deepEqual(written(response), version === 1 ? [null, null, null] : ["0", "0", "0"]);
  });
}

test("the answer waits until what is behind has accepted", async (t) => {
  const { recorder, post } = await start(t);
  const { promise, resolve } = Promise.withResolvers<void>();
  let answered = false;
  recorder.gate = () => promise;
  const response = post([named("a")]).then((it) => {
    answered = true;
    return it;
  });
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(answered, false);
  resolve();
  assert.equal((await response).status, 204);
});

test("requests that are none", async (t) => {
  const { url, component, recorder } = await start(t, "");
  const good = Buffer.from(compress(encodeWrite1([named("a")])));
  const send = async (body: Uint8Array, headers: Record<string, string> = {}) => {
    const base = { "content-type": "application/x-protobuf", "content-encoding": "snappy" };
    const response = await fetch(url, { method: "POST", body: Buffer.from(body), headers: { ...base, ...headers } });
    return `${response.status} ${await response.text()}`.trim();
  };
  assert.match(await send(good, { "content-type": "text/plain" }), /^415 the content type "text\/plain"/);
  assert.match(
    await send(good, { "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request" }),
    /^415 .*io\.prometheus\.write\.v2\.Request is not accepted: this server accepts prometheus\.WriteRequest$/,
  );
  assert.match(await send(good, { "content-encoding": "gzip" }), /^415 .*compress the request with snappy/);
  assert.match(await send(good.subarray(0, 5)), /^400 damaged snappy/);
  assert.match(await send(Buffer.from("hello")), /^400 damaged snappy/);
  assert.match(await send(compress(Buffer.from([0x0a, 0xff]))), /^400 the body is no prometheus\.WriteRequest: trunc/);
  // A gigabyte of zeros is a few megabytes of snappy, and a length alone is five bytes.
  assert.match(
    await send(compress(new Uint8Array(33 * 1024 * 1024))),
    /^413 snappy content of 34603008 bytes is larger/,
  );
  assert.match(await send(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f)), /^413 /);
  assert.equal((await fetch(url)).status, 405);
  assert.equal(await send(good, { "content-type": "application/x-protobuf;proto=prometheus.WriteRequest" }), "204");
  assert.equal(recorder.items.length, 1);
  component.flow.judge();
  assert.ok(
    component.flow.findings.some(
      ({ rule, cause }) => rule === "requests_refused" && /clients were refused/.test(cause),
    ),
  );
});

test("any bytes are answered, and leave nothing behind", async (t) => {
  const { url, component, info } = await start(t);
  const { series } = component.services;
  const base = Buffer.from(encodeWrite2([named("a", ["b", "c"]), named("b")]));
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.tuple(fc.nat(base.length - 1), fc.nat(255)), { maxLength: 5 }).map((changes) => {
      const bytes = Buffer.from(base);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    }),
  );
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(1 as const, 2 as const), async (bytes, version) => {
      const response = await postWrite(url, bytes, version);
      await response.text();
      assert.ok([204, 400].includes(response.status), String(response.status));
    }),
    { numRuns: 200 },
  );
  assert.equal(series.stored, info().series);
});

test("a series stays known while clients send it, and goes when they do not", async (t) => {
  const clock = new ManualClock(now);
  const { component, post, info } = await start(t, BOTH, { clock });
  const { series } = component.services;
  await post([named("a"), named("b")]);
  assert.equal(series.stored, 2);
  await clock.advance(5 * 60_000);
  await post([named("a")]);
  await clock.advance(5 * 60_000);
  assert.equal(info().series, 1);
  await clock.advance(5 * 60_000);
  assert.deepEqual([info().series, series.stored], [0, 0]);
});

test("an exemplar without a sample waits for the next one of its series", async (t) => {
  const clock = new ManualClock(now);
  const { component, batches, post } = await start(t, BOTH, { clock });
  const exemplar = (value: number) => ({ labels: [["t", String(value)]] as const, value, timestamp: now });
  await post([{ labels: [["__name__", "a"]], exemplars: [exemplar(1), exemplar(2)] }, named("b")]);
  assert.equal(batches[0]!.exemplars, undefined);
  await post([named("b"), named("a")]);
  assert.deepEqual(
    batches[1]!.exemplars!.map(({ sample: of, value }) => [of, value]),
    [
      [1, 1],
      [1, 2],
    ],
  );
  await post([{ labels: [["__name__", "c"]], exemplars: [exemplar(1)] }]);
  await clock.advance(10 * 60_000);
  assert.deepEqual([...component.flow.dropped.get("metrics")!], [["invalid_exemplar", 1]]);
});

test("metadata of series goes along when it is news", async (t) => {
  const { component, batches, post, url } = await start(t, `${BOTH}\nappend_metadata = true`);
  const typed = (help: string): TestSeries => ({ ...named("a_total"), metadata: { type: 1, help, unit: "" } });
  await post([typed("One.")], 2);
  await post([typed("One.")], 2);
  await post([typed("Two.")], 2);
  const family = { family: "a_total", type: "counter", unit: "" };
  const expected = [[{ ...family, help: "One." }], undefined, [{ ...family, help: "Two." }]];
  assert.deepEqual(
    batches.map(({ metadata }) => metadata),
    expected,
  );
  await postWrite(url, encodeWrite1([], [{ type: 1, metricFamilyName: "x", help: "X." }]), 1);
  assert.deepEqual(batches[3]!.metadata, [{ family: "x", type: "counter", help: "X.", unit: "" }]);
  await component.update(`http {\nlisten_address = "127.0.0.1"\nlisten_port = 0\n}\nforward_to = [out]\n${BOTH}`);
  await post([typed("Three.")], 2);
  assert.equal(batches[4]!.metadata, undefined);
});

test("experimental settings need the agent's consent, and messages must be known", async (t) => {
  const services = { minimumStability: "generally-available" as const };
  for (const [config, message] of [
    [
      BOTH,
      /"io\.prometheus\.write\.v2\.Request" is experimental: start the agent with --stability\.level=experimental/,
    ],
    ["append_metadata = true", /`append_metadata` is experimental/],
    ["enable_type_and_unit_labels = true", /`enable_type_and_unit_labels` is experimental/],
    ['accepted_remote_write_protobuf_messages = ["x"]', /unknown message "x"; use "prometheus\.WriteRequest" or/],
    ["accepted_remote_write_protobuf_messages = []", /accepted_remote_write_protobuf_messages/],
  ] as const) {
    await assert.rejects(start(t, config, { services }), message);
  }
});
