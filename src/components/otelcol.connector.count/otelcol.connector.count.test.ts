import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { requestFromJson } from "#formats/otlp/json";
import type { OtlpKind } from "#formats/otlp/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { PermanentError } from "#pipeline/errors";
import { acknowledged, recordOtlp, refusals, startComponent } from "#pipeline/testing";
import component from "./otelcol.connector.count.ts";

const signal = new AbortController().signal;
const text = (key: string, value: string) => ({ key, value: { stringValue: value } });

const REQUESTS: Readonly<Record<OtlpKind, object>> = {
  traces: {
    resourceSpans: [
      {
        resource: { attributes: [text("service.name", "shop"), text("env", "resource")] },
        scopeSpans: [
          {
            scope: { attributes: [text("env", "scope")] },
            spans: [
              {
                name: "a",
                startTimeUnixNano: "1000",
                endTimeUnixNano: "5000",
                attributes: [text("env", "span")],
                events: [
                  { name: "retry", timeUnixNano: "2000" },
                  { name: "retry", timeUnixNano: "3000" },
                ],
              },
              { name: "b", startTimeUnixNano: "500", endTimeUnixNano: "700", status: { code: 2 } },
            ],
          },
        ],
      },
      { resource: {}, scopeSpans: [] },
    ],
  },
  metrics: {
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: [
              {
                name: "cpu",
                gauge: { dataPoints: [{ asInt: "1", timeUnixNano: "9", attributes: [text("host", "a")] }] },
              },
              {
                name: "latency",
                histogram: {
                  dataPoints: [{ timeUnixNano: "8" }, { timeUnixNano: "10", attributes: [text("host", "a")] }],
                },
              },
              { name: "without data" },
            ],
          },
        ],
      },
    ],
  },
  logs: {
    resourceLogs: [
      {
        resource: { attributes: [text("service.name", "shop")] },
        scopeLogs: [
          {
            logRecords: [
              { severityNumber: 17, body: { stringValue: "x" }, timeUnixNano: "7" },
              { severityNumber: 9, timeUnixNano: "4" },
            ],
          },
        ],
      },
    ],
  },
};

function batchOf(kind: OtlpKind, more: Partial<OtlpBatch> = {}): { batch: OtlpBatch; safe: { fired: boolean } } {
  const part = requestFromJson(kind, JSON.stringify(REQUESTS[kind]));
  const safe = acknowledged();
  const { acknowledgement } = safe;
  const base = { signal: "otlp", parts: [part], items: 2, bytes: part.length, clientMetadata: undefined } as const;
  return { batch: { ...base, kind, acknowledgement, ...more }, safe };
}

async function start(config: string) {
  const sink = recordOtlp();
  const clock = { now: () => 1_700_000_000_123, monotonic: () => 0, sleep: async () => {} };
  const started = await startComponent(component, `${config}\noutput {\nmetrics = [out]\n}`, {
    scope: { out: sink.value },
    clock,
  });
  return { component: started, sink };
}

/** The metrics of each resource with their data points, as `name{attributes} value start-end`. */
async function counts(kind: OtlpKind, config = ""): Promise<string[]> {
  const { component: started, sink } = await start(config);
  await using _ = started;
  const { batch, safe } = batchOf(kind);
  await started.exports.input.consume(batch, signal);
  assert.ok(safe.fired);
  const lines: string[] = [];
  for (const { parts, items, kind: made } of sink.items) {
    assert.equal(made, "metrics");
    const { resourceMetrics } = decodeRequest("metrics", parts) as { resourceMetrics: OtlpObject[] };
    for (const group of resourceMetrics) {
      for (const scope of group.scopeMetrics as OtlpObject[]) {
        for (const metric of scope.metrics as OtlpObject[]) {
          const { dataPoints, aggregationTemporality, isMonotonic } = metric.sum as OtlpObject;
          assert.deepEqual([aggregationTemporality, isMonotonic], [1, true]);
          for (const point of dataPoints as OtlpObject[]) {
            const attributes = ((point.attributes ?? []) as OtlpObject[]).map(
              ({ key, value }) => `${key}=${Object.values(value as OtlpObject)[0]}`,
            );
            lines.push(
              `${metric.name}{${attributes.join()}} ${point.asInt} ${point.startTimeUnixNano}-${point.timeUnixNano}`,
            );
          }
        }
      }
    }
    assert.equal(items, lines.length);
  }
  return lines;
}

test("without blocks everything is counted under the names of the Collector", async () => {
  assert.deepEqual(await counts("traces"), ["trace.span.count{} 2 500-5000", "trace.span.event.count{} 2 2000-3000"]);
  assert.deepEqual(await counts("metrics"), [
    "metric.count{} 3 1700000000123000000-1700000000123000000",
    "metric.datapoint.count{} 3 8-10",
  ]);
  assert.deepEqual(await counts("logs"), ["log.record.count{} 2 4-7"]);
});

test("the counts keep the resource and name their scope", async () => {
  const { component: started, sink } = await start("");
  await using _ = started;
  await started.exports.input.consume(batchOf("logs").batch, signal);
  const { resourceMetrics } = decodeRequest("metrics", sink.items[0]!.parts) as { resourceMetrics: OtlpObject[] };
  assert.deepEqual(resourceMetrics[0]!.resource, { attributes: [text("service.name", "shop")] });
  const [scope] = resourceMetrics[0]!.scopeMetrics as OtlpObject[];
  assert.match(String((scope!.scope as OtlpObject).name), /connector\/countconnector$/);
});

test("a request has nothing of the times of the one before", async () => {
  const { component: started, sink } = await start("");
  await using _ = started;
  const part = (nanos: string) =>
    requestFromJson(
      "logs",
      JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: nanos }] }] }] }),
    );
  for (const nanos of ["9", "5"]) {
    await started.exports.input.consume(batchOf("logs", { parts: [part(nanos)], items: 1 }).batch, signal);
  }
  const ends = sink.items.map(
    ({ parts }) => /"timeUnixNano":"(\d+)"/.exec(JSON.stringify(decodeRequest("metrics", parts)))![1],
  );
  assert.deepEqual(ends, ["9", "5"]);
});

test("conditions choose, and several of them are joined by or", async () => {
  const config = `spans {
    name = "errors"
    conditions = ["status.code == STATUS_CODE_ERROR", "name == \\"c\\""]
  }
  spanevents {
    name = "none"
    conditions = ["name == \\"x\\""]
  }`;
  assert.deepEqual(await counts("traces", config), ["errors{} 1 500-5000"]);
  assert.deepEqual(await counts("logs", `logs {\nconditions = ["severity_number >= SEVERITY_NUMBER_ERROR"]\n}`), [
    "log.record.count{} 1 4-7",
  ]);
  assert.deepEqual(await counts("metrics", 'metrics {\nconditions = ["type == METRIC_DATA_TYPE_HISTOGRAM"]\n}'), [
    "metric.count{} 1 1700000000123000000-1700000000123000000",
    "metric.datapoint.count{} 3 8-10",
  ]);
});

test("attributes divide the counts: the item's own before those of its scope and resource", async () => {
  const config = `spans {
    name = "by.env"
    attributes {
      key = "env"
    }
    attributes {
      key = "service.name"
    }
  }
  spanevents {
    name = "by.kind"
    attributes {
      key = "kind"
      default_value = 7
    }
  }`;
  assert.deepEqual(await counts("traces", config), [
    "by.env{env=span,service.name=shop} 1 500-5000",
    "by.env{env=scope,service.name=shop} 1 500-5000",
    "by.kind{kind=7} 2 2000-3000",
  ]);
  // Items without the attribute are counted only with a default.
  assert.deepEqual(await counts("metrics", 'datapoints {\nname = "d"\nattributes {\nkey = "host"\n}\n}'), [
    "metric.count{} 3 1700000000123000000-1700000000123000000",
    "d{host=a} 2 8-10",
  ]);
});

test("a condition that fails refuses the data, and nothing to count is acknowledged", async () => {
  const failing = await start('logs {\nconditions = ["ParseInt(body, 10) == 1"]\n}');
  await using _ = failing.component;
  const { batch, safe } = batchOf("logs");
  await assert.rejects(
    async () => failing.component.exports.input.consume(batch, signal),
    (error) =>
      error instanceof PermanentError && error.reason === "statement_error" && /"x" is no int/.test(error.message),
  );
  assert.equal(safe.fired, false);
  assert.deepEqual(await counts("logs", 'logs {\nname = "n"\nconditions = ["false"]\n}'), []);
});

test("what cannot be counted is refused with its reason", async () => {
  for (const [config, message] of [
    ['spans {\nname = "a"\n}\nspans {\nname = "a"\n}', /`spans\[1\]` has the metric `a` of another block/],
    ['logs {\n}\nlogs {\nname = "log.record.count"\n}', /`logs\[1\]` has the metric `log.record.count` of another/],
    ['spans {\nconditions = ["nam == 1"]\n}', /no path nam; did you mean name\? at character 1/],
    [
      'metrics {\nattributes {\nkey = "a"\n}\n}',
      /`metrics\[0\].attributes\[0\]` is of no use: metrics have no attributes; count `datapoints`/,
    ],
    ['spans {\nattributes {\nkey = ""\n}\n}', /`spans\[0\].attributes\[0\].key` is empty/],
    [
      'spans {\nattributes {\nkey = "a"\n}\nattributes {\nkey = "a"\n}\n}',
      /`spans\[0\].attributes\[1\].key` is there twice: "a"/,
    ],
    [
      'spans {\nattributes {\nkey = "a"\ndefault_value = out\n}\n}',
      /`spans\[0\].attributes\[0\].default_value` is a secret, a capsule/,
    ],
    ['logs {\nconditions = ["severity_number >"]\n}', /found the end/],
  ] as const) {
    await assert.rejects(start(config), message, config);
  }
});

test("what is wrong is told at the block that has it", () => {
  const scope = { out: recordOtlp().value };
  const found = (config: string) => refusals(component, `${config}\noutput {\nmetrics = [out]\n}`, { scope });
  const good = 'spans {\nname = "a"\n}\n';
  const [first, second, ...others] = found(
    `${good}${good}spans {\nname = "b"\nconditions = ["true", "nam"]\nattributes {\nkey = "x"\n}\n}`,
  );
  assert.match(first!, /^4 spans: `spans\[1\]` has the metric/);
  assert.match(second!, /^9 "nam": `spans\[2\]\.conditions\[1\]` has an error/);
  assert.deepEqual(others, []);
  const [twice] = found('logs {\nattributes {\nkey = "x"\n}\nattributes {\nkey = "x"\n}\n}');
  assert.match(twice!, /^6 "x": `logs\[0\]\.attributes\[1\]\.key` is there twice/);
});
