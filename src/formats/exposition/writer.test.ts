import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MetricFamily } from "#base/metrics";
import { expositionContentType, negotiateExposition, writeExposition } from "./writer.ts";

const requests: MetricFamily = {
  name: "requests_total",
  help: 'All "requests"\nwith C:\\paths',
  type: "counter",
  samples: [
    { name: "requests_total", labels: ["path", 'C:\\a\n"b"', "code", "200"], value: 12 },
    { name: "requests_total", labels: [], value: 0.25 },
  ],
};
const latency: MetricFamily = {
  name: "latency_seconds",
  help: "",
  type: "histogram",
  samples: [
    { name: "latency_seconds_bucket", labels: ["le", "1"], value: 3 },
    { name: "latency_seconds_bucket", labels: ["le", "+Inf"], value: 4 },
    { name: "latency_seconds_sum", labels: [], value: 5.5 },
    { name: "latency_seconds_count", labels: [], value: 4 },
  ],
};

test("text 0.0.4 escapes help and label values", () => {
  assert.equal(
    writeExposition([requests, latency]).toString(),
    [
      '# HELP requests_total All "requests"\\nwith C:\\\\paths',
      "# TYPE requests_total counter",
      'requests_total{path="C:\\\\a\\n\\"b\\"",code="200"} 12',
      "requests_total 0.25",
      "# TYPE latency_seconds histogram",
      'latency_seconds_bucket{le="1"} 3',
      'latency_seconds_bucket{le="+Inf"} 4',
      "latency_seconds_sum 5.5",
      "latency_seconds_count 4",
      "",
    ].join("\n"),
  );
});

test("OpenMetrics drops _total from the name of the family, writes bounds as floats and ends with EOF", () => {
  assert.equal(
    writeExposition([requests, latency], "openmetrics-1.0.0").toString(),
    [
      '# HELP requests All \\"requests\\"\\nwith C:\\\\paths',
      "# TYPE requests counter",
      'requests_total{path="C:\\\\a\\n\\"b\\"",code="200"} 12',
      "requests_total 0.25",
      "# TYPE latency_seconds histogram",
      'latency_seconds_bucket{le="1.0"} 3',
      'latency_seconds_bucket{le="+Inf"} 4',
      "latency_seconds_sum 5.5",
      "latency_seconds_count 4",
      "# EOF",
      "",
    ].join("\n"),
  );
});

test("OpenMetrics keeps the names of counters without _total and calls them unknown", () => {
  const family: MetricFamily = {
    name: "node_forks",
    help: "",
    type: "counter",
    samples: [{ name: "node_forks", labels: [], value: 1 }],
  };
  assert.equal(
    writeExposition([family], "openmetrics-0.0.1").toString(),
    "# TYPE node_forks unknown\nnode_forks 1\n# EOF\n",
  );
  const untyped: MetricFamily = { ...family, type: "untyped" };
  assert.match(writeExposition([untyped], "openmetrics-1.0.0").toString(), /^# TYPE node_forks unknown\n/);
  assert.match(writeExposition([untyped]).toString(), /^# TYPE node_forks untyped\n/);
});

test("special values have Prometheus's spelling", () => {
  const values = [NaN, Infinity, -Infinity, -0, 0, 1e300, 5e-324, 2 ** 53, -17];
  const samples = values.map((value) => ({ name: "x", labels: [], value }));
  const lines = writeExposition([{ name: "x", help: "", type: "gauge", samples }])
    .toString()
    .split("\n")
    .slice(1, -1);
  assert.deepEqual(lines.slice(0, 5), ["x NaN", "x +Inf", "x -Inf", "x -0", "x 0"]);
  assert.deepEqual(
    lines.slice(5).map((line) => Number(line.slice(2))),
    values.slice(5),
  );
});

test("pages longer than the first buffer are whole, whatever characters they hold", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary", maxLength: 40 }), { minLength: 1, maxLength: 20 }), (values) => {
      const samples = Array.from({ length: 4_000 }, (_, i) => ({
        name: "x",
        labels: ["v", values[i % values.length]!.toWellFormed()],
        value: i,
      }));
      const text = writeExposition([{ name: "x", help: "", type: "gauge", samples }]).toString();
      const lines = text.split("\n");
      assert.equal(lines.length, samples.length + 2);
      for (const i of [0, 1, 1_999, 3_999]) {
        const escaped = samples[i]!.labels[1]!.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
        assert.equal(lines[i + 1], `x{v="${escaped}"} ${i}`);
      }
    }),
    { numRuns: 20 },
  );
});

test("the format follows the Accept header", () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5," +
    "text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  const cases: [string | undefined, string][] = [
    [undefined, "text"],
    ["", "text"],
    ["*/*", "text"],
    ["text/html", "text"],
    [prometheus, "openmetrics-1.0.0"],
    ["application/openmetrics-text; version=0.0.1, text/plain;q=0.5", "openmetrics-0.0.1"],
    ["application/openmetrics-text", "openmetrics-1.0.0"],
    ["application/openmetrics-text; version=2.0.0, text/plain;version=0.0.4;q=0.1", "text"],
    ["application/openmetrics-text;q=0.2, text/plain;version=0.0.4", "text"],
    ['Application/OpenMetrics-Text; version="1.0.0"', "openmetrics-1.0.0"],
    ["application/openmetrics-text;q=0", "text"],
  ];
  for (const [accept, format] of cases) assert.equal(negotiateExposition(accept), format, accept ?? "none");
  assert.equal(expositionContentType("text"), "text/plain; version=0.0.4; charset=utf-8");
});
