import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent } from "../kit/agent.ts";
import { Prometheus } from "../kit/prometheus.ts";

/**
 * What Prometheus has of a page that the agent scraped and sent on is what it has of the same page scraped by itself.
 * Bounds of buckets are no whole numbers, since Prometheus writes those as `1.0` from its version 3 on, as the agent does.
 */

const PAGE = `# HELP temperature_celsius How warm it is.
# TYPE temperature_celsius gauge
temperature_celsius{room="kitchen"} 21.5
temperature_celsius{room="cellar"} -3
temperature_celsius{room="sun"} +Inf
temperature_celsius{room="antisun"} -Inf
temperature_celsius{room="nowhere"} NaN
temperature_celsius{room=""} 1
temperature_celsius 0
# HELP escapes_total Label values with\\nall that needs care.
# TYPE escapes_total counter
escapes_total{path="C:\\\\dir\\\\",quote="\\"",line="a\\nb",text="žluťoučký 🐎",comma="a,b}",space=" x "} 1
# TYPE numbers gauge
numbers{n="largest"} 1.7976931348623157e+308
numbers{n="smallest"} 5e-324
numbers{n="integer"} 9007199254740993
numbers{n="third"} 0.3333333333333333
numbers{n="minus zero"} -0
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 3
latency_seconds_bucket{le="2.5"} 5
latency_seconds_bucket{le="+Inf"} 6
latency_seconds_sum 4.25
latency_seconds_count 6
# TYPE size_bytes summary
size_bytes{quantile="0.5"} 100
size_bytes{quantile="0.99"} NaN
size_bytes_sum 1234
size_bytes_count 12
untyped_thing 7
colon:name 8
`;
const VANISHING = "vanishing 1\n";

interface PageServer {
  readonly address: string;
  text: string;
  stop(): void;
}

async function servePage(t: TestContext): Promise<PageServer> {
  const page = { address: "", text: PAGE + VANISHING, stop };
  const server = createServer((_, response) => {
    response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" }).end(page.text);
  });
  function stop() {
    server.closeAllConnections();
    server.close();
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  page.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  cleanUp(t, stop);
  return page;
}

function config(page: PageServer, prometheus: Prometheus): string {
  return `prometheus.scrape "page" {
  targets         = [{ __address__ = "${page.address}" }]
  job_name        = "agent"
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "1s"
  scrape_timeout  = "1s"
}

prometheus.remote_write "out" {
  endpoint {
    url = "${prometheus.url}/api/v1/write"

    queue_config {
      batch_send_deadline = "100ms"
    }

    metadata_config {
      send_interval = "1s"
    }
  }
}
`;
}

/** Series with their values, without the label by which the two scrapers differ and without how long scrapes took. */
async function seriesOf(prometheus: Prometheus, job: string): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const { metric, value } of await prometheus.query(`{job="${job}"}`)) {
    const { job: _, ...labels } = metric;
    const isDuration = labels.__name__ === "scrape_duration_seconds";
    all.set(JSON.stringify(Object.entries(labels).sort()), isDuration ? "" : value![1]);
  }
  return all;
}

test("series, labels, values and staleness are those of Prometheus's own scrape", async (t) => {
  const page = await servePage(t);
  const prometheus = await Prometheus.start(
    t,
    `[{ job_name: direct, static_configs: [{ targets: ["${page.address}"] }] }]`,
  );
  const agent = await startAgent(t, config(page, prometheus));
  const both = () => Promise.all([seriesOf(prometheus, "direct"), seriesOf(prometheus, "agent")]);
  const has = (series: ReadonlyMap<string, string>, name: string) =>
    [...series.keys()].some((key) => key.includes(`["__name__","${name}"]`));

  await agent.until(
    async () => (await both()).every((each) => has(each, "vanishing") && has(each, "up")),
    "both scrape",
  );
  // `scrape_series_added` is of the first scrape at first, and 0 from the second on.
  const added = "sum by (job) (scrape_series_added)";
  await agent.until(
    async () => (await prometheus.query(added)).filter((each) => each.value![1] === "0").length === 2,
    "both have scraped twice",
  );
  const [direct, ours] = await both();
  assert.ok(direct.size > 25, `${direct.size} series`);
  assert.deepEqual(Object.fromEntries(ours), Object.fromEntries(direct));

  const metadata = await agent
    .until(async () => "latency_seconds" in (await prometheus.metadata()), "metadata has come")
    .then(() => prometheus.metadata());
  assert.deepEqual(metadata.temperature_celsius, [{ type: "gauge", help: "How warm it is.", unit: "" }]);
  assert.equal(metadata.latency_seconds![0]!.type, "histogram");

  page.text = PAGE;
  await agent.until(async () => (await both()).every((each) => !has(each, "vanishing")), "the series ended for both");
  page.text = 'broken{a="b" 1\n';
  await agent.until(async () => (await both()).every((each) => !has(each, "numbers")), "a bad page ends all series");
  const isDown = async () => (await prometheus.query("up == 0")).length === 2;
  await agent.until(isDown, "both say that it is down");
  page.text = PAGE;
  await agent.until(
    async () => (await both()).every((each) => has(each, "numbers")),
    "and a good one brings them back",
  );
  page.stop();
  await agent.until(
    async () => (await both()).every((each) => !has(each, "numbers") && has(each, "up")),
    "the target is down",
  );
  await agent.until(isDown, "both say that it is down");
  const [directDown, oursDown] = await both();
  assert.deepEqual([...oursDown.keys()].sort(), [...directDown.keys()].sort());
  assert.equal(await agent.stop(), 0);
});

test("no sample is missing in Prometheus after it and the agent were away in turn", async (t) => {
  const page = await servePage(t);
  let scrapes = 0;
  const counting = createServer((_, response) => {
    scrapes += 1;
    response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4" }).end(`scrape_number ${scrapes}\n`);
  });
  await new Promise<void>((resolve) => counting.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    counting.closeAllConnections();
    counting.close();
  });
  const prometheus = await Prometheus.start(t);
  const target = { ...page, address: `127.0.0.1:${(counting.address() as AddressInfo).port}` };
  const agent = await startAgent(
    t,
    config(target, prometheus)
      .replace('scrape_interval = "1s"', 'scrape_interval = "250ms"')
      .replace('scrape_timeout  = "1s"', 'scrape_timeout  = "250ms"'),
  );
  await agent.until(() => scrapes > 4, "it is scraped");
  assert.equal(await agent.stop(), 0);
  const atStop = scrapes;
  await agent.start();
  await agent.until(() => scrapes > atStop + 4, "it is scraped again");
  assert.equal(await agent.stop(), 0);
  const [series] = await prometheus.query("scrape_number[10m]");
  const numbers = series!.values!.map((each) => Number(each[1]));
  assert.deepEqual(
    [...numbers].sort((a, b) => a - b),
    numbers,
    "in order",
  );
  // The very last scrape of a life may have been cut short by the stop, and others by a machine that is too busy.
  const missing = Array.from({ length: scrapes }, (_, i) => i + 1).filter((each) => !numbers.includes(each));
  const [up] = await prometheus.query("up[10m]");
  const failed = up!.values!.filter(([, value]) => value === "0").length;
  const lost = missing.filter((each) => each !== atStop && each !== scrapes);
  assert.ok(lost.length <= failed, `${lost} are missing, ${failed} failed`);
});
