import assert from "node:assert/strict";
import { test } from "node:test";
import { attributesOf, startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import definition from "./otelcol.processor.groupbyattrs.ts";

type Group = { resource?: object; schemaUrl?: string; scopeSpans: { scope?: object; spans: { name: string }[] }[] };

test("moves attributes to the resource and puts equal resources and scopes together", async () => {
  await using processor = await startProcessor(definition, 'keys = ["host", "host", "", "zone"]');
  const span = (name: string, attributes: Readonly<Record<string, unknown>>) => ({
    name,
    attributes: attributesOf(attributes),
  });
  const [lib1, lib2] = [
    { name: "lib", version: "1" },
    { name: "lib", version: "2" },
  ];
  const out = await processor.run("traces", {
    resourceSpans: [
      {
        ...tracesOf(
          [span("a", { host: "h1", x: "1" }), span("b", {}), span("c", { host: "h2" })],
          { env: "p", host: "h0" },
          lib1,
        ).resourceSpans[0],
        schemaUrl: "https://a",
      },
      ...tracesOf([span("d", { host: "h1" }), span("e", { zone: 3n })], { host: "h0", env: "p" }, lib2).resourceSpans,
      ...tracesOf([span("f", { host: "h1" })], { env: "p" }, lib1).resourceSpans,
      ...tracesOf([], { env: "none" }).resourceSpans,
    ],
  });
  const groups = out?.resourceSpans as Group[];
  assert.deepEqual(
    groups.map(({ resource, schemaUrl, scopeSpans }) => [
      valuesOf(resource),
      schemaUrl,
      scopeSpans.map(({ scope, spans }) => [(scope as typeof lib1).version, spans.map(({ name }) => name).join("")]),
    ]),
    [
      [
        { env: "p", host: "h1" },
        "https://a",
        [
          ["1", "af"],
          ["2", "d"],
        ],
      ],
      [{ env: "p", host: "h0" }, "https://a", [["1", "b"]]],
      [{ env: "p", host: "h2" }, "https://a", [["1", "c"]]],
      [{ env: "p", host: "h0", zone: "3n" }, undefined, [["2", "e"]]],
    ],
  );
  assert.deepEqual(valuesOf(groups[0]!.scopeSpans[0]!.spans[0]), { x: "1" });
  const { component } = processor;
  assert.equal(component.metric("otelcol_processor_groupbyattrs_num_grouped_spans_total"), 5);
  assert.equal(component.metric("otelcol_processor_groupbyattrs_num_non_grouped_spans_total"), 1);
});

test("data points go to the metric of their group, with all that a metric says", async () => {
  await using processor = await startProcessor(definition, 'keys = ["host"]');
  const point = (host: string | undefined, asInt: string) => ({
    asInt,
    attributes: attributesOf(host === undefined ? {} : { host }),
  });
  const sum = (name: string, ...dataPoints: object[]) => ({
    name,
    unit: "s",
    description: "d",
    metadata: attributesOf({ k: "v" }),
    sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints },
  });
  const out = await processor.run("metrics", {
    resourceMetrics: [
      {
        scopeMetrics: [
          {
            metrics: [
              sum("m", point("a", "1"), point("b", "2"), point(undefined, "3")),
              sum("m", point("a", "4")),
              { name: "m", gauge: { dataPoints: [point("a", "5")] } },
              { name: "empty", gauge: {} },
              { name: "none" },
            ],
          },
        ],
      },
    ],
  });
  const plain = (asInt: string) => ({ asInt });
  const metrics = (out!.resourceMetrics as { scopeMetrics: { metrics: object[] }[] }[]).map(
    (group) => group.scopeMetrics[0]!.metrics,
  );
  assert.deepEqual(metrics, [
    [sum("m", plain("1"), plain("4")), { name: "m", gauge: { dataPoints: [plain("5")] } }],
    [sum("m", plain("2"))],
    [sum("m", plain("3"))],
  ]);
});

test("without keys, log records of equal resources come together", async () => {
  await using processor = await startProcessor(definition, "");
  const group = (body: string, resource: Readonly<Record<string, unknown>>) => ({
    resource: { attributes: attributesOf(resource) },
    scopeLogs: [{ logRecords: [{ body: { stringValue: body } }] }],
  });
  const out = await processor.run("logs", {
    resourceLogs: [group("1", { a: "x", b: 1n }), group("2", { a: "x", b: 1 }), group("3", { b: 1n, a: "x" })],
  });
  const bodies = (out!.resourceLogs as { scopeLogs: { logRecords: { body: { stringValue: string } }[] }[] }[]).map(
    (each) => each.scopeLogs[0]!.logRecords.map(({ body }) => body.stringValue),
  );
  assert.deepEqual(bodies, [["1", "3"], ["2"]]);
  assert.equal(await processor.run("logs", { resourceLogs: [{}] }), undefined);
});
