import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { type TestContext, test } from "node:test";
import { createAuthority } from "#kits/certificates.testing";
import { SeriesRegistry } from "#pipeline/series";
import { recordMetrics, startComponent } from "#pipeline/testing";
import scrape from "./prometheus.scrape.ts";
import { type Page, start } from "./testing.ts";

const TIMES = 'scrape_interval = "2s"\nscrape_timeout = "2s"\n';

/** Scrapes over the network until the status has a cause that matches. */
async function statusOf(t: TestContext, target: string, cause: RegExp, more = TIMES) {
  const out = recordMetrics();
  const config = `targets = [${target}]\nforward_to = [out]\n${more}`;
  const component = await startComponent(scrape, config, { scope: { out: out.value } });
  t.after(() => component.stop());
  for (let i = 0; !cause.test(component.flow.status.cause); i++) {
    assert.ok(i < 1_000, component.flow.status.cause);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return component.flow.status;
}

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test("a target that cannot be reached: nothing listens, no such host, TLS on one side only", async (t) => {
  const free = createServer();
  const port = await listen(t, free);
  await new Promise((resolve) => free.close(resolve));
  const dead = await statusOf(t, `{ __address__ = "127.0.0.1:${port}" }`, /refuses connections/);
  assert.deepEqual([dead.state, dead.rule], ["failing", "scrape_failed"]);
  assert.equal(
    dead.cause,
    `the scrape of http://127.0.0.1:${port}/metrics fails: Get "http://127.0.0.1:${port}/metrics": 127.0.0.1:${port} refuses connections: nothing listens there`,
  );
  await statusOf(
    t,
    '{ __address__ = "nowhere.invalid:80" }',
    /the host nowhere\.invalid is unknown|looking up nowhere\.invalid failed|did not answer within/,
  );
  const secure = await listen(t, createHttpsServer(createAuthority().issue({})));
  await statusOf(t, `{ __address__ = "127.0.0.1:${secure}" }`, /if it wants TLS, set scheme = "https"/);
  const plain = await listen(t, createServer());
  const notTls = /does not speak TLS on this port: set scheme = "http" or another port/;
  await statusOf(t, `{ __address__ = "127.0.0.1:${plain}" }`, notTls, `${TIMES}scheme = "https"`);
});

const answers: readonly (readonly [what: string, page: Page, more: string, rule: string, cause: RegExp])[] = [
  [
    "nothing there",
    { status: 404, body: "" },
    "",
    "scrape_failed",
    /404 Not Found: it has nothing at \/metrics; set metrics_path/,
  ],
  [
    "credentials",
    { status: 401, body: "" },
    "",
    "scrape_failed",
    /401 Unauthorized: it refuses the credentials; check basic_auth/,
  ],
  [
    "its own fault",
    { status: 503, body: "" },
    "",
    "scrape_failed",
    /503 Service Unavailable: the target itself fails; look at its log/,
  ],
  [
    "an exporter of the agent",
    { status: 500, body: "" },
    'metrics_path = "/api/v0/component/prometheus.exporter.unix.host/metrics"',
    "scrape_failed",
    /500 Internal Server Error: the target itself fails; look at the status of prometheus\.exporter\.unix\.host/,
  ],
  [
    "a web page",
    { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: "<html></html>" },
    'scrape_fallback_protocol = ""',
    "scrape_failed",
    /unsupported Content-Type "text\/html; charset=utf-8" .*: what is at \/metrics is a web page; check the port/,
  ],
  [
    "a web page read as text",
    { status: 200, headers: { "content-type": "text/html" }, body: "<html>\n" },
    "",
    "scrape_failed",
    /what is at \/metrics is a web page; check the port/,
  ],
  ["no metrics", "<html>\n", "", "scrape_failed", /what is at \/metrics is no page of metrics, or a damaged one/],
  [
    "too many samples",
    "a 1\nb 1\nc 1\n",
    "sample_limit = 2",
    "sample_limit",
    /sample limit exceeded: raise sample_limit/,
  ],
  [
    "too many labels",
    'a{x="1",y="2"} 1\n',
    "label_limit = 3",
    "label_limit",
    /label_limit exceeded .*: raise the limit/,
  ],
  [
    "too large",
    `a 1\n${"#".repeat(100)}\n`,
    'body_size_limit = "10B"',
    "body_size_limit",
    /body size limit exceeded: raise/,
  ],
  [
    "the same series twice",
    "a 1\na 2\n",
    "",
    "duplicate_samples",
    /^dropped 1 samples of series that are there before/,
  ],
  [
    "a histogram that contradicts itself",
    '# TYPE a histogram\na_bucket{le="1"} 3\na_bucket{le="+Inf"} 2\na_count 2\nb 1\n',
    "convert_classic_histograms_to_nhcb = true",
    "histograms_not_converted",
    /^dropped 3 samples of classic histograms .* \(count is not cumulative: 2 < 3\): mend what the target exposes/,
  ],
  [
    "more buckets than allowed",
    '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="2"} 2\na_bucket{le="+Inf"} 3\n',
    "convert_classic_histograms_to_nhcb = true\nnative_histogram_bucket_limit = 2",
    "bucket_limit",
    /histogram bucket limit exceeded: raise native_histogram_bucket_limit/,
  ],
  [
    "an exemplar that is too long",
    {
      status: 200,
      headers: { "content-type": "application/openmetrics-text" },
      body: `a 1 # {t="${"x".repeat(130)}"} 1\n# EOF\n`,
    },
    "",
    "invalid_exemplars",
    /^dropped 1 exemplars with a label that is there twice, or with more than 128 characters/,
  ],
  [
    "a damaged content type",
    { status: 200, headers: { "content-type": "text/plain; charset" }, body: "a 1\n" },
    'scrape_fallback_protocol = ""',
    "scrape_failed",
    /cannot parse Content-Type "text\/plain; charset" and no .*: if these are metrics all the same, set scrape_fallback_protocol/,
  ],
  [
    "far in the future",
    "a 1 9999999999999\n",
    "",
    "timestamp_out_of_bounds",
    /^dropped 1 samples whose timestamps lie more/,
  ],
];
for (const [what, page, more, rule, cause] of answers) {
  test(`what a target answers has a rule of its own: ${what}`, async (t) => {
    const { component, clock, state } = await start(t, more);
    state.page = page;
    await clock.advance(60_000);
    assert.equal(component.flow.status.rule, rule);
    assert.match(component.flow.status.cause, cause);
    state.page = { status: 200, headers: { "content-type": "text/plain" }, body: "fine 1\n" };
    await clock.advance(60_000);
    assert.equal(component.flow.status.state, "ok");
  });
}

test("samples behind a limit count as dropped", async (t) => {
  const { component, clock, state } = await start(t, "sample_limit = 2");
  state.page = "a 1\nb 1\nc 1\n";
  await clock.advance(60_000);
  assert.equal(component.flow.dropped.get("metrics")?.get("sample_limit"), 3);
});

test("a target that is slow, and more targets than allowed", async (t) => {
  const server = createServer(() => {}); // never answers
  const address = `{ __address__ = "127.0.0.1:${await listen(t, server)}" }`;
  const slow = /context deadline exceeded: it did not answer within 100ms; raise scrape_timeout/;
  await statusOf(t, address, slow, 'scrape_interval = "100ms"\nscrape_timeout = "100ms"');
  server.closeAllConnections();
  const two = '[{ __address__ = "memory:1" }, { __address__ = "memory:1", x = "y" }]';
  const { component, clock } = await start(t, "target_limit = 1", two);
  await clock.advance(60_000);
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["failing", "target_limit"]);
  assert.match(cause, /^every scrape of 2 targets fails, .*number of targets: 2, limit: 1\): raise target_limit/);
});

test("without targets the status says since when and who should have given some", async (t) => {
  const { component, clock } = await start(t, "", "[]", { references: { targets: ["discovery.dns.web"] } });
  await clock.advance(120_000);
  component.flow.judge();
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["idle", "no_targets"]);
  assert.equal(
    cause,
    "`targets` is empty, and has been for 2 min since the start: discovery.dns.web gives none; look at its status",
  );
  assert.ok(component.flow.patienceMs < 90_000, "it is worth a warning soon after the first turn");
});

test("what two components scrape is told to both until one lets go of it", async (t) => {
  const services = { series: new SeriesRegistry() };
  const targets = '[{ __address__ = "memory:1", job = "x" }]';
  const one = await start(t, "", targets, { services, label: "one" });
  const two = await start(t, "", targets, { services, label: "two" });
  for (const { component } of [one, two]) {
    component.flow.judge();
    assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["degraded", "duplicate_targets"]);
    assert.match(
      component.flow.status.cause,
      /^http:\/\/memory:1\/metrics is scraped by prometheus\.scrape\.one and prometheus\.scrape\.two with the same labels: its samples are sent twice/,
    );
  }
  await two.component.update("targets = []\nforward_to = [out]");
  one.component.flow.judge();
  assert.notEqual(one.component.flow.status.rule, "duplicate_targets");
  await two.component.update(`targets = ${targets}\nforward_to = [out]`);
  one.component.flow.judge();
  assert.equal(one.component.flow.status.rule, "duplicate_targets");
  await two.component.stop();
  one.component.flow.judge();
  assert.notEqual(one.component.flow.status.rule, "duplicate_targets");
});

test("labels that grow are named from the second page on", async (t) => {
  const { component, clock, state } = await start(t, 'scrape_interval = "1s"\nscrape_timeout = "1s"');
  const page = (from: number) =>
    Array.from({ length: 6_000 }, (_, i) => `hits{code="200",path="/user/${from + i}"} 1`).join("\n");
  state.page = `${page(0)}\n`;
  await clock.advance(1_000);
  for (let from = 6_000; from <= 12_000; from += 6_000) {
    assert.notEqual(component.flow.status.rule, "high_cardinality");
    state.page = `${page(from)}\n`;
    await clock.advance(1_000);
  }
  component.flow.judge();
  assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["degraded", "high_cardinality"]);
  assert.match(
    component.flow.status.cause,
    /^the label "path" has about 1[123] k values in 12 k new series within \d s .*most from http:\/\/memory:1\/metrics/,
  );
  await clock.advance(15_000);
  const shown = component.metric("alloy_component_new_label_values", { label: "path" })!;
  assert.ok(Math.abs(shown - 12_000) < 1_000, String(shown));
  assert.equal(component.metric("alloy_component_new_label_values", { label: "code" }), undefined);
});
