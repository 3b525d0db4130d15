import assert from "node:assert/strict";
import { test } from "node:test";
import { startComponent } from "#pipeline/testing";
import exporter from "./prometheus.exporter.static.ts";

const PAGE = `
# HELP requests_total Requests so far.
# TYPE requests_total counter
requests_total{method="post",code="200"} 1027
requests_total{method="post",code="400"}    3 1395066363000

# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.05"} 24054
latency_seconds_bucket{le="+Inf"} 144320
latency_seconds_sum 53423
latency_seconds_count 144320
undeclared NaN
`;

test("the page says what the text says, and changes with it", async () => {
  await using component = await startComponent(exporter, `text = ${JSON.stringify(PAGE)}`);
  const page = async () => {
    const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
    const answer = await component.instance.http!(
      { ...request, body: async () => new Uint8Array() },
      new AbortController().signal,
    );
    return answer.body.toString();
  };
  assert.equal(
    await page(),
    `# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.05"} 24054
latency_seconds_bucket{le="+Inf"} 144320
latency_seconds_sum 53423
latency_seconds_count 144320
# HELP requests_total Requests so far.
# TYPE requests_total counter
requests_total{method="post",code="200"} 1027
requests_total{method="post",code="400"} 3 1395066363000
# TYPE undeclared untyped
undeclared NaN
`,
  );
  const [target] = component.exports.targets;
  assert.equal(target!.get("job"), "integrations/static");
  assert.equal(target!.get("instance"), "prometheus.exporter.static.test");
  await component.update('text = "a 1"');
  assert.equal(await page(), "# TYPE a untyped\na 1\n");
});

test("a text that is no page is refused with its line", async () => {
  await assert.rejects(
    startComponent(exporter, 'text = "good 1\\nbad one\\n"'),
    /`text` is no page in Prometheus's text format: line 2: expected a number as the value: bad one/,
  );
});
