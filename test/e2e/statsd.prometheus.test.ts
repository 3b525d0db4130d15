import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { encodeWrite2, postWrite } from "#formats/write-request.testing";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Prometheus } from "../kit/prometheus.ts";

test("the gateway of examples: StatsD, remote write and facts reach Prometheus, with labels of the inventory", async (t) => {
  const backend = await Prometheus.start(t);
  const [http, statsd] = [await freePort(), await freePort()];
  const example = readFileSync(new URL("../../examples/metrics-gateway.alloy", import.meta.url), "utf8");
  const config = example
    .replace("listen_port = 9009", `listen_address = "127.0.0.1"\nlisten_port = ${http}`)
    .replace(
      'statsd "programs" { }',
      `statsd "programs" {\nlisten_udp = "127.0.0.1:${statsd}"\nlisten_tcp = "127.0.0.1:${statsd}"\n}`,
    )
    .replace('scrape "own" {', 'scrape "own" {\nscrape_interval = "1s"\nscrape_timeout = "1s"')
    .replace("http://localhost:9090", backend.url);
  const agent = await startAgent(t, config);

  const client = createSocket("udp4");
  cleanUp(t, () => void client.close());
  const send = (text: string) =>
    new Promise<void>((resolve) => client.send(text, statsd, "127.0.0.1", () => resolve()));
  const url = `http://127.0.0.1:${http}/api/v1/metrics/write`;
  const sample = { value: 7, timestamp: Date.now() };
  const sent = encodeWrite2([
    {
      labels: [
        ["__name__", "up"],
        ["instance", "web-1:9100"],
      ],
      samples: [sample],
    },
    {
      labels: [
        ["__name__", "up"],
        ["instance", "other:9100"],
      ],
      samples: [sample],
    },
    {
      labels: [
        ["__name__", "go_threads"],
        ["instance", "web-1:9100"],
      ],
      samples: [sample],
    },
  ]);
  const response = await postWrite(url, sent, 2);
  assert.equal(response.status, 204);
  assert.equal(response.headers.get("x-prometheus-remote-write-samples-written"), "3");

  await send("shop.orders:1|c|#country:de\nshop.orders:2|c|#country:de\nshop.took:250|ms");
  const labels = async (query: string) => (await backend.query(query)).map(({ metric, value }) => [metric, value![1]]);
  await agent.until(async () => (await labels("shop_orders")).length === 1, "StatsD's counter has come");
  assert.deepEqual(await labels("shop_orders"), [
    [
      {
        __name__: "shop_orders",
        country: "de",
        instance: "prometheus.exporter.statsd.programs",
        job: "integrations/statsd",
      },
      "3",
    ],
  ]);
  await agent.until(async () => (await labels("gateway_info")).length === 1, "facts have come");
  await agent.until(async () => (await labels('up{host!=""}')).length === 2, "what was pushed has come");
  assert.deepEqual(
    (await labels('shop_took{quantile="0.5"}')).map(([, value]) => value),
    ["0.25"],
  );
  assert.deepEqual(await labels('up{host!=""}'), [
    [{ __name__: "up", host: "other", instance: "other:9100" }, "7"],
    [{ __name__: "up", host: "web-1", instance: "web-1:9100", owner: "shop", rack: "r7" }, "7"],
  ]);
  assert.deepEqual(await labels("go_threads"), []);
  assert.equal(await agent.stop(), 0);
});
