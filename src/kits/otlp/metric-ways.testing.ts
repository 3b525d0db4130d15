/** For tests of processors of metrics that have a short way for numbers: it must come to the same as the long one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ManualClock } from "#base/manual-clock.testing";
import type { MetricSpecs } from "#base/metrics";
import { DATA, dataField } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { members, resourceGroups } from "#formats/otlp/walk";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentDefinition } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { recordOtlp, startComponent } from "#pipeline/testing";
import { at, from, metricsBatch, metricsOf, sum } from "./metrics.testing.ts";

const UNKNOWN_FIELD = 20;
/** The same with a field that OTLP does not know in each point, so that processors take the long way. */
function withUnknownFields(batch: OtlpBatch): OtlpBatch {
  const request = new OtlpRecord().reset(batch.parts[0]!);
  const metrics = members(members(resourceGroups(request).at(0)).at(0));
  for (let m = 0; m < metrics.length; m++) {
    const metric = metrics.at(m);
    const points = metric.record(dataField(metric)).list(DATA.points);
    for (let p = 0; p < points.length; p++) points.at(p).setVarint(UNKNOWN_FIELD, 1n);
  }
  const bytes = request.encode();
  return { ...batch, parts: [bytes], bytes: bytes.length };
}

const value = fc.integer({ min: -3, max: 3 });
const anyPoint = fc.record({
  series: fc.integer({ min: 0, max: 2 }),
  time: fc.integer({ min: -1, max: 2 }),
  start: fc.constantFrom<(number | "time" | undefined)[]>(undefined, undefined, 0, 1, "time"),
  isInt: fc.boolean(),
  value,
  flags: fc.constantFrom(0, 0, 0, 1),
});
/** Some requests of a sum whose points mostly go on from those before. */
const manyBatches = fc.array(fc.array(anyPoint, { maxLength: 4 }), { minLength: 2, maxLength: 8 }).map((requests) =>
  requests.map((points, r) => (temporality: number) => {
    const dataPoints = points.map(({ series, time, start, isInt, value: step, flags }) => {
      const seconds = 10 + r * 2 + time;
      const attributes = ["a", "b", "c"].map((key) => ({ key, value: { stringValue: `${key}${series}` } }));
      return {
        attributes: r % 2 === 0 ? attributes : attributes.reverse(),
        ...at(seconds),
        ...(start === undefined ? {} : from(start === "time" ? seconds : start)),
        ...(isInt ? { asInt: String(r * 4 + step) } : { asDouble: r * 4 + step + 0.5 }),
        ...(flags === 0 ? {} : { flags }),
      };
    });
    return metricsBatch([sum(dataPoints, { aggregationTemporality: temporality })]);
  }),
);

interface Input {
  readonly input: Consumer<"otlp">;
}

/** What a processor makes of batches, with all that it dropped. */
async function outcome<A, E extends Input, M extends MetricSpecs>(
  processor: ComponentDefinition<A, E, M>,
  config: string,
  batches: readonly OtlpBatch[],
) {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const text = `${config}\noutput {\nmetrics = [out]\n}`;
  const component = await startComponent(processor, text, { scope: { out: sink.value }, clock });
  const { input } = component.exports;
  for (const batch of batches) {
    const before = Buffer.from(batch.parts[0]!);
    await input.consume(batch, new AbortController().signal);
    assert.deepEqual(Buffer.from(batch.parts[0]!), before, "a batch is not written to");
  }
  await clock.advance(60_000);
  const items = sink.items.map((batch) => batch.items);
  const dropped = [...(component.flow.dropped.get("otlp") ?? [])].sort();
  await component.stop();
  return { metrics: sink.items.map(metricsOf), items, dropped };
}

/** Checks that points with unknown fields, which go the long way, become what they become without. */
export async function assertSameWays<A, E extends Input, M extends MetricSpecs>(
  processor: ComponentDefinition<A, E, M>,
  config: string,
  temporality: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(manyBatches, async (requests) => {
      const batches = requests.map((make) => make(temporality));
      const expected = await outcome(processor, config, batches.map(withUnknownFields));
      assert.deepEqual(await outcome(processor, config, batches), expected);
    }),
    { numRuns: 60 },
  );
}
