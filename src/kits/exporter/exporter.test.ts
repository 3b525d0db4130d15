import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricFamily } from "#base/metrics";
import { s } from "#lang/schema";
import { defineComponent, type HttpRequest } from "#pipeline/component";
import { startComponent } from "#pipeline/testing";
import { exporterExports, exporterTarget, runExporter, ScrapeRefused } from "./exporter.ts";

const up: MetricFamily = { name: "up", help: "Up.", type: "gauge", samples: [{ name: "up", labels: [], value: 1 }] };

function exporter(collect: () => Promise<readonly MetricFamily[]>) {
  return defineComponent({
    name: "prometheus.exporter.example",
    stability: "experimental",
    summary: "An exporter.",
    example: 'prometheus.exporter.example "default" { }',
    args: s.object({}),
    exports: exporterExports,
    start: (ctx) =>
      runExporter(ctx, {
        instance: "db:5432",
        collect,
        targets: (base) => [base.with("module", "a"), base.with("module", "b")],
      }),
  });
}

const request = (path: string): HttpRequest => ({
  method: "GET",
  path,
  query: new URLSearchParams(),
  headers: new Map(),
  body: async () => new Uint8Array(),
});

test("an exporter exports targets that lead to itself, and answers there", async () => {
  await using component = await startComponent(
    exporter(async () => [up]),
    "",
    { label: "main" },
  );
  const { targets } = component.exports;
  assert.deepEqual(
    targets.map((target) => target.get("module")),
    ["a", "b"],
  );
  const path = "/api/v0/component/prometheus.exporter.example.main/metrics";
  assert.equal(targets[0]!.get("__metrics_path__"), path);
  const { signal } = new AbortController();
  const response = await component.instance.http!(request("/metrics"), signal);
  assert.equal(response.status, 200);
  assert.equal(response.headers?.["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(response.body.toString(), "# HELP up Up.\n# TYPE up gauge\nup 1\n");
  assert.equal((await component.instance.http!(request("/other"), signal)).status, 404);
});

test("a failed collection is a 500 that says why, and is logged", async () => {
  const failing = exporter(() => Promise.reject(new Error("connection refused")));
  await using component = await startComponent(failing, "");
  const response = await component.instance.http!(request("/metrics"), new AbortController().signal);
  assert.equal(response.status, 500);
  assert.match(response.body.toString(), /connection refused/);
  assert.deepEqual(
    component.logs.map(({ level, message }) => [level, message]),
    [["error", "could not collect metrics"]],
  );
});

test("a scrape that asks for what is not there is answered with 400, and is nobody's failure", async () => {
  const refusing = exporter(() => Promise.reject(new ScrapeRefused("there is no module b")));
  await using component = await startComponent(refusing, "");
  const response = await component.instance.http!(request("/metrics"), new AbortController().signal);
  assert.deepEqual([response.status, response.body], [400, "there is no module b\n"]);
  assert.deepEqual([component.logs.length, component.flow.status.state], [0, "idle"]);
});

test("targets carry Alloy's labels", () => {
  assert.equal(
    exporterTarget("m.one/prometheus.exporter.unix.host", "alloy.internal:12345", "web-1").toString(),
    '{__address__="alloy.internal:12345", __meta_component_id="m.one/prometheus.exporter.unix.host", ' +
      '__meta_component_name="m.one/prometheus.exporter.unix", ' +
      '__metrics_path__="/api/v0/component/m.one/prometheus.exporter.unix.host/metrics", ' +
      '__scheme__="http", instance="web-1", job="integrations/unix"}',
  );
  const unlabelled = exporterTarget("prometheus.exporter.unix", "alloy.internal:12345", "");
  assert.equal(unlabelled.get("__meta_component_name"), "prometheus.exporter.unix");
  assert.equal(unlabelled.get("instance"), "unknown");
  assert.equal(unlabelled.get("job"), "integrations/unix");
});
