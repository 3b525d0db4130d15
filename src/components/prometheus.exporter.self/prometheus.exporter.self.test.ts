import assert from "node:assert/strict";
import { test } from "node:test";
import { counter } from "#base/metrics";
import { startComponent } from "#pipeline/testing";
import self from "./prometheus.exporter.self.ts";

test("the agent's own metrics are exposed", async () => {
  await using component = await startComponent(self, "");
  const { instruments } = component.services.metrics.register({
    runs: counter("example_runs_total", "Runs.", ["kind"]),
  });
  instruments.runs.labels("test").inc(3);
  const response = await component.instance.http!(
    {
      method: "GET",
      path: "/metrics",
      query: new URLSearchParams(),
      headers: new Map(),
      body: async () => new Uint8Array(),
    },
    new AbortController().signal,
  );
  assert.equal(
    response.body.toString(),
    '# HELP example_runs_total Runs.\n# TYPE example_runs_total counter\nexample_runs_total{kind="test"} 3\n',
  );
  assert.equal(component.exports.targets[0]?.get("job"), "integrations/self");
});
