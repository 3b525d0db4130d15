import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { startComponent } from "#pipeline/testing";
import echo from "./prometheus.echo.ts";

test("logs what it gets as a page, and acknowledges it", async () => {
  for (const [format, end] of [
    ["text", ""],
    ["openmetrics", "# EOF\n"],
  ]) {
    await using component = await startComponent(echo, `format = "${format}"`);
    const { series } = component.services;
    const ref = (name: string) =>
      series.intern(
        Labels.from([
          ["__name__", name],
          ["path", 'a"b'],
        ]),
      );
    let safe = 0;
    await component.exports.receiver.consume(
      {
        signal: "metrics",
        count: 2,
        registry: series,
        ref: Int32Array.of(ref("requests_total"), ref("odd.name")),
        timestamp: Float64Array.of(1_000, 2_500),
        value: Float64Array.of(3, 0.5),
        flags: Uint8Array.of(0, 0),
        exemplars: undefined,
        histograms: undefined,
        metadata: [{ family: "requests_total", type: "counter", help: "All\nof them.", unit: "" }],
        acknowledgement: new Acknowledgement(() => safe++),
      },
      new AbortController().signal,
    );
    const [{ message, fields } = assert.fail()] = component.logs;
    assert.equal(message, "received metrics");
    const times = format === "text" ? ["1000", "2500"] : ["1", "2.5"];
    assert.equal(
      fields.find(([key]) => key === "metrics")![1],
      `# HELP requests_total All\\nof them.\n# TYPE requests_total counter\nrequests_total{path="a\\"b"} 3 ${times[0]}\n` +
        `# TYPE "odd.name" ${format === "text" ? "untyped" : "unknown"}\n{"odd.name",path="a\\"b"} 0.5 ${times[1]}\n${end}`,
    );
    assert.equal(safe, 1);
  }
});
