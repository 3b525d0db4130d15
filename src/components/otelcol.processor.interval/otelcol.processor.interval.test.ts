import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import { countItems } from "#formats/otlp/otlp";
import { assertSameWays } from "#kits/otlp/metric-ways.testing";
import {
  at,
  attribute,
  batchOf,
  CUMULATIVE,
  DELTA,
  exponential,
  histogram,
  metricsBatch,
  type Plain,
  pointsOf,
  sum,
} from "#kits/otlp/metrics.testing";
import { RetryableError } from "#pipeline/errors";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.interval.ts";

const signal = new AbortController().signal;

async function start(config = "") {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const text = `${config}\noutput {\nmetrics = [out]\ntraces = [out]\n}`;
  const component = await startComponent(processor, text, { scope: { out: sink.value }, clock });
  const send = (...metrics: Plain[]) => component.exports.input.consume(metricsBatch(metrics), signal);
  return { component, sink, clock, send };
}

test("sends the newest point of each series once an interval", async () => {
  const { component, sink, clock, send } = await start('interval = "30s"');
  const number = (name: string, time: number, value: string) => ({ ...attribute(name), ...at(time), asInt: value });
  await send(sum([number("a", 5, "1"), number("b", 5, "2")]), histogram([{ ...at(5), count: "1", sum: 1 }]));
  await send(
    sum([number("a", 7, "3"), number("b", 4, "1"), number("c", 1, "9")]),
    exponential([{ ...at(6), count: "4" }]),
  );
  await clock.advance(29_000);
  assert.equal(sink.items.length, 0);
  assert.equal(component.flow.queue!.bytes > 0, true);
  assert.equal(component.flow.status.state, "ok", "points that wait have come");
  await clock.advance(1_000);
  assert.equal(sink.items.length, 1);
  assert.deepEqual(pointsOf(sink.items), [
    { ...at(7), asInt: "3" },
    { ...at(5), asInt: "2" },
    { ...at(1), asInt: "9" },
    { ...at(5), count: "1", sum: 1 },
    { ...at(6), count: "4" },
  ]);
  assert.equal(sink.items[0]!.items, 5);
  assert.equal(countItems("metrics", sink.items[0]!.parts[0]!), 5);
  await clock.advance(60_000);
  assert.equal(sink.items.length, 1, "nothing comes of nothing");
  await component.stop();
});

test("keeps resources, scopes and metrics apart, with all that they say", async () => {
  const { component, sink, clock } = await start();
  const request = (value: string) => ({
    resourceMetrics: ["x", "y"].map((service) => ({
      resource: { attributes: [{ key: "service", value: { stringValue: service } }], droppedAttributesCount: 1 },
      schemaUrl: "https://example.com/schema",
      scopeMetrics: ["1", "2"].map((version) => ({
        scope: { name: "scope", version },
        schemaUrl: "scope schema",
        metrics: ["By", "s"].map((unit) => ({
          ...sum([{ ...at(1), asInt: value }]),
          unit,
          description: "about it",
          metadata: [{ key: "m", value: { stringValue: "v" } }],
        })),
      })),
    })),
  });
  await component.exports.input.consume(batchOf(request("1")), signal);
  await component.exports.input.consume(batchOf(request("2")), signal); // not newer
  await clock.advance(60_000);
  assert.deepEqual(
    oracleDecode("metrics", sink.items[0]!.parts[0]!),
    oracleDecode("metrics", batchOf(request("1")).parts[0]!),
  );
  await component.stop();
});

test("passes on what cannot wait, and waits for the rest", async () => {
  for (const passes of [false, true]) {
    const { component, sink, send } = await start(`passthrough {\ngauge = ${passes}\nsummary = ${passes}\n}`);
    const point = [{ ...at(1), asInt: "1" }];
    await send(
      sum(point, { aggregationTemporality: DELTA }),
      sum(point, { isMonotonic: false }),
      sum(point),
      { name: "g", gauge: { dataPoints: point } },
      { name: "s", summary: { dataPoints: [{ ...at(1), count: "1" }] } },
    );
    assert.equal(pointsOf(sink.items).length, passes ? 4 : 2);
    assert.equal(sink.items[0]!.items, passes ? 4 : 2);
    await component.stop();
    assert.equal(pointsOf(sink.items).length, 5, "the stop sends what waited");
  }
});

test("a batch is acknowledged once all of it was handed on", async () => {
  const { component, sink, clock, send } = await start();
  const state = acknowledged();
  const point = [{ ...at(1), asInt: "1" }];
  const metrics = [sum(point), sum(point, { isMonotonic: false })];
  await component.exports.input.consume(metricsBatch(metrics, { acknowledgement: state.acknowledgement }), signal);
  const older = acknowledged();
  await component.exports.input.consume(metricsBatch([sum(point)], { acknowledgement: older.acknowledgement }), signal);
  assert.equal(pointsOf(sink.items).length, 1);
  assert.deepEqual([state.fired, older.fired], [false, false]);
  await clock.advance(60_000);
  assert.deepEqual([state.fired, older.fired], [true, true]);
  const untouched = metricsBatch([sum(point, { isMonotonic: false })]);
  await component.exports.input.consume(untouched, signal);
  assert.equal(sink.items.at(-1)!.parts[0], untouched.parts[0]);
  await send();
  await component.stop();
});

test("points go on coming while an export waits, and what the stop cannot send is counted", async () => {
  const { component, sink, clock, send } = await start();
  await send(sum([{ ...at(1), asInt: "1" }]));
  sink.gate = () => Promise.reject(new RetryableError("away"));
  await clock.advance(60_000);
  await send(sum([{ ...at(2), asInt: "2" }]));
  assert.equal(sink.items.length, 0);
  await component.stop(20);
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp") ?? []), { shutdown: 2 });
});

test("says what is wrong with arguments", async () => {
  await assert.rejects(start('interval = "0s"'), /must be greater than 0/);
});

test("numbers of known series become the same the short way and the long way", async () => {
  await assertSameWays(processor, 'interval = "30s"', CUMULATIVE);
});
