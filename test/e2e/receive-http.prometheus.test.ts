import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import protobuf from "protobufjs";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Prometheus } from "../kit/prometheus.ts";

/** Prometheus itself sends to the agent, which sends on to another Prometheus: both must have the same. */

const { root } = protobuf.parse(`syntax = "proto3"; package io.prometheus.client;
  message LabelPair { string name = 1; string value = 2; }
  message Exemplar { repeated LabelPair label = 1; double value = 2; }
  message Gauge { double value = 1; }
  message Counter { double value = 1; Exemplar exemplar = 2; }
  message BucketSpan { sint32 offset = 1; uint32 length = 2; }
  message Histogram { uint64 sample_count = 1; double sample_sum = 2; sint32 schema = 5; double zero_threshold = 6;
    uint64 zero_count = 7; repeated BucketSpan positive_span = 12; repeated sint64 positive_delta = 13; }
  message Metric { repeated LabelPair label = 1; Gauge gauge = 2; Counter counter = 3; Histogram histogram = 7; }
  message MetricFamily { string name = 1; string help = 2; int32 type = 3; repeated Metric metric = 4; }`);
const familyType = root.lookupType("io.prometheus.client.MetricFamily");

function pageOf(scrape: number): Buffer {
  const label = [{ name: "path", value: 'ž"\\\n' }];
  const gauges = Array.from({ length: 1_200 }, (_, i) => ({
    label: [{ name: "n", value: String(i) }],
    gauge: { value: i % 7 === 0 ? Number.NaN : i / 3 },
  }));
  const families = [
    {
      name: "requests_total",
      help: "Requests.",
      type: 0,
      metric: [
        {
          label,
          counter: { value: scrape, exemplar: { label: [{ name: "trace_id", value: `t${scrape}` }], value: 2 } },
        },
      ],
    },
    { name: "many", help: "Many.", type: 1, metric: gauges },
    {
      name: "latency",
      help: "Native.",
      type: 4,
      metric: [
        {
          histogram: {
            sampleCount: 6 + scrape,
            sampleSum: 12.5,
            schema: 2,
            zeroThreshold: 0.001,
            zeroCount: 1,
            positiveSpan: [
              { offset: -1, length: 2 },
              { offset: 3, length: 1 },
            ],
            positiveDelta: [1, 2, scrape - 2],
          },
        },
      ],
    },
  ];
  return Buffer.concat(
    families.map((each) => Buffer.from(familyType.encodeDelimited(familyType.fromObject(each)).finish())),
  );
}

async function serve(t: TestContext): Promise<{ readonly address: string; stop(): void }> {
  let scrape = 0;
  const server = createServer((_, response) => {
    scrape += 1;
    const type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    response.writeHead(200, { "content-type": type }).end(pageOf(scrape));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  function stop() {
    server.closeAllConnections();
    server.close();
  }
  cleanUp(t, stop);
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, stop };
}

const FEATURES = ["--enable-feature=native-histograms,exemplar-storage"];

interface Exemplars {
  readonly exemplars: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: string }[];
}

async function exemplarsOf(prometheus: Prometheus): Promise<ReadonlyMap<string, string>> {
  const end = Date.now() / 1000 + 60;
  const response = await fetch(`${prometheus.url}/api/v1/query_exemplars?query=requests_total&start=0&end=${end}`);
  const { data } = (await response.json()) as { data: Exemplars[] };
  return new Map(data.flatMap(({ exemplars }) => exemplars.map((each) => [each.labels.trace_id!, each.value])));
}

test("series, exemplars, native histograms and staleness come through from a real sender", async (t) => {
  const page = await serve(t);
  const port = await freePort();
  const backend = await Prometheus.start(t, "[]", "", FEATURES);
  const agent = await startAgent(
    t,
    `prometheus.receive_http "in" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = ${port}
  }
  forward_to = [prometheus.remote_write.out.receiver]
}

prometheus.remote_write "out" {
  endpoint {
    url                    = "${backend.url}/api/v1/write"
    send_native_histograms = true

    queue_config {
      batch_send_deadline = "100ms"
    }
  }
}
`,
  );
  const sender = await Prometheus.start(
    t,
    `[{ job_name: page, static_configs: [{ targets: ["${page.address}"] }] }]`,
    `remote_write: [{ url: "http://127.0.0.1:${port}/api/v1/metrics/write", send_exemplars: true,
      send_native_histograms: true, queue_config: { batch_send_deadline: 200ms, max_samples_per_send: 500 } }]\n`,
    FEATURES,
  );

  const values = async (prometheus: Prometheus) => {
    const result = await prometheus.query('{job="page", __name__!~"scrape_.*|latency|requests_total"}');
    return new Map(result.map(({ metric, value }) => [JSON.stringify(Object.entries(metric).sort()), value![1]]));
  };
  const native = async (prometheus: Prometheus, expression: string) =>
    new Map((await prometheus.query(expression)).flatMap(({ values: all }) => all!.map(([at, value]) => [at, value])));

  await agent.until(async () => (await exemplarsOf(backend)).size >= 3, "exemplars have come");
  const [ours, theirs] = await Promise.all([values(backend), values(sender)]);
  assert.equal(ours.size, 1_201);
  assert.deepEqual(Object.fromEntries(ours), Object.fromEntries(theirs));

  const came = await exemplarsOf(backend);
  const sent = await exemplarsOf(sender);
  for (const [id, value] of came) assert.equal(sent.get(id), value, id);

  // Each scrape's histogram, by its time, at some quantile: that depends on all buckets.
  for (const expression of ["histogram_count(latency)", "histogram_sum(latency)", "histogram_quantile(0.6, latency)"]) {
    const query = `(${expression})[1m:1s]`;
    let both: [number, string][] = [];
    let original: Awaited<ReturnType<typeof native>> = new Map();
    await agent.until(async () => {
      const newest = Number((await backend.query("max(timestamp(latency))"))[0]!.value![1]);
      const received = await native(backend, query);
      original = await native(sender, query);
      // What is behind the newest sample is repeated until the next one comes, and the sender may have that already.
      both = [...received].filter(([at]) => original.has(at) && at <= newest);
      return both.length >= 2;
    }, `${expression}: times in common`);
    for (const [at, value] of both) assert.equal(value, original.get(at), `${expression} at ${at}`);
  }

  page.stop();
  await agent.until(
    async () => (await backend.query('{__name__=~"requests_total|latency|many"}')).length === 0,
    "series of a target that is gone end at once",
  );
  await agent.until(async () => (await backend.query("up == 0")).length === 1, "it is down");

  assert.equal(await agent.metric("alloy_component_dropped_total"), undefined, "nothing is dropped");
  await agent.untilRule("prometheus.receive_http.in", "", "ok");
  assert.equal((await agent.component("prometheus.receive_http.in")).health.state, "healthy");

  await sender.stop();
  assert.equal(await agent.stop(), 0);
});
