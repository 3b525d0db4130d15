import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** Client → receiver → detection → delta to cumulative → start times → interval → backend, in the real agent. */

test("deltas come out as sums with the host's attributes, once an interval", async (t) => {
  const port = await freePort();
  const resources: OtlpObject[] = [];
  const sink = await Sink.start((_path, body) => {
    resources.push(...(decodeRequest("metrics", [body]) as { resourceMetrics: OtlpObject[] }).resourceMetrics);
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    metrics = [otelcol.processor.resourcedetection.host.input]
  }
}
otelcol.processor.resourcedetection "host" {
  detectors = ["system"]
  system {
    hostname_sources = ["os"]
  }
  output {
    metrics = [otelcol.processor.deltatocumulative.sums.input]
  }
}
otelcol.processor.deltatocumulative "sums" {
  output {
    metrics = [otelcol.processor.metric_start_time.starts.input]
  }
}
otelcol.processor.metric_start_time "starts" {
  output {
    metrics = [otelcol.processor.interval.slow.input]
  }
}
otelcol.processor.interval "slow" {
  interval = "1s"
  output {
    metrics = [otelcol.exporter.otlphttp.backend.input]
  }
}
otelcol.exporter.otlphttp "backend" {
  client {
    endpoint = "${sink.url}"
  }
}
`,
  );
  for (const second of [1, 2, 3]) {
    const point = { timeUnixNano: `170000000${second}000000000`, asInt: "5" };
    const sum = { aggregationTemporality: 1, isMonotonic: true, dataPoints: [point] };
    const answer = await fetch(`http://127.0.0.1:${port}/v1/metrics`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "requests", sum }] }] }] }),
    });
    assert.equal(answer.status, 200);
  }
  const points = () =>
    (resources as { scopeMetrics: { metrics: { sum: { dataPoints: OtlpObject[] } }[] }[] }[]).flatMap((resource) =>
      resource.scopeMetrics.flatMap(({ metrics }) => metrics.flatMap(({ sum }) => sum.dataPoints)),
    );
  await until(() => points().some((point) => String(point.asInt) === "15"), "the sum of three deltas");
  const names = (resources[0] as { resource: { attributes: { key: string }[] } }).resource.attributes.map(
    ({ key }) => key,
  );
  assert.deepEqual(names.sort(), ["host.name", "os.type"]);
  assert.ok(points().length < 4);
  const page = await (await fetch(`${agent.url}/metrics`)).text();
  assert.match(page, /^otelcol_deltatocumulative_streams_tracked\{.*\} 1$/m);
  assert.match(page, /^otelcol_deltatocumulative_datapoints_total\{.*\} 3$/m);
});
