import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { itemsOf, oracleEncode, requests } from "#formats/otlp/oracle.testing";
import { countItems } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { PermanentError } from "#pipeline/errors";
import { recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.batch.ts";

const signal = new AbortController().signal;

function batchOf(bytes: Uint8Array, more: Partial<OtlpBatch> = {}): OtlpBatch {
  const items = countItems(more.kind ?? "traces", bytes);
  const base = {
    signal: "otlp",
    kind: "traces",
    parts: [bytes],
    items,
    bytes: bytes.length,
    clientMetadata: undefined,
  } as const;
  return { ...base, acknowledgement: Acknowledgement.none, ...more };
}

function spans(count: number, more: Partial<OtlpBatch> = {}): OtlpBatch {
  const list = Array.from({ length: count }, (_, i) => ({ name: `s${i}` }));
  return batchOf(oracleEncode("traces", { resourceSpans: [{ resource: {}, scopeSpans: [{ spans: list }] }] }), more);
}

/** A clock whose sleeps end when the test says so. */
function manualClock() {
  const sleeps: { ms: number; wake: () => void }[] = [];
  return {
    sleeps,
    now: () => 0,
    monotonic: () => 0,
    sleep: (ms: number, abort?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const sleep = { ms, wake: resolve };
        sleeps.push(sleep);
        abort?.addEventListener("abort", () => {
          sleeps.splice(sleeps.indexOf(sleep), 1);
          reject(abort.reason);
        });
      }),
  };
}

async function start(config = "") {
  const sink = recordOtlp();
  const clock = manualClock();
  const component = await startComponent(
    processor,
    `${config}\noutput {\ntraces = [out]\nmetrics = [out]\nlogs = [out]\n}`,
    {
      scope: { out: sink.value },
      clock,
    },
  );
  return { component, sink, clock, input: component.exports.input };
}

const sizes = (sink: { items: readonly OtlpBatch[] }) => sink.items.map((batch) => batch.items);

test("sends when there are enough items, and the rest when the time is up", async () => {
  const { component, sink, clock, input } = await start("send_batch_size = 10\nsend_batch_max_size = 15");
  await input.consume(spans(6), signal);
  assert.deepEqual([sizes(sink), clock.sleeps.map((each) => each.ms)], [[], [200]]);
  await input.consume(spans(6), signal);
  assert.deepEqual([sizes(sink), clock.sleeps.length], [[12], 0]);
  await input.consume(spans(37), signal);
  assert.deepEqual(sizes(sink), [12, 15, 15]);
  clock.sleeps[0]!.wake();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(sizes(sink), [12, 15, 15, 7]);
  const labels = { processor: "batch/otelcol.processor.batch.test" };
  assert.equal(component.metric("otelcol_processor_batch_batch_size_trigger_send_total", labels), 3);
  assert.equal(component.metric("otelcol_processor_batch_timeout_trigger_send_total", labels), 1);
  const tracesOnly = { ...labels, otel_signal: "traces" };
  assert.equal(component.metric("otelcol_processor_incoming_items_total", tracesOnly), 49);
  assert.equal(component.metric("otelcol_processor_outgoing_items_total", tracesOnly), 49);
  assert.equal(component.metric("otelcol_processor_batch_batch_send_size_sum", labels), 49);
  await component.stop();
});

test("sends at once with a timeout of 0, within the largest size", async () => {
  const { component, sink, input } = await start('timeout = "0s"\nsend_batch_max_size = 2000');
  await input.consume(spans(1), signal);
  await input.consume(spans(2), signal);
  assert.deepEqual(sizes(sink), [1, 2]);
  await component.stop();
});

test("keeps every item in order, acknowledges each batch once, never exceeds the largest size", async () => {
  const input = fc.record({
    batches: fc.array(requests("metrics"), { minLength: 1, maxLength: 8 }),
    sendSize: fc.integer({ min: 0, max: 12 }),
    room: fc.integer({ min: 0, max: 6 }),
    slow: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(input, async ({ batches, sendSize, room, slow }) => {
      const max = sendSize + room;
      const { component, sink, input } = await start(`send_batch_size = ${sendSize}\nsend_batch_max_size = ${max}`);
      if (slow) sink.gate = () => new Promise((resolve) => setImmediate(resolve));
      const safe = batches.map(() => 0);
      await Promise.all(
        batches.map((bytes, i) => {
          const acknowledgement = new Acknowledgement(() => {
            safe[i]! += 1;
          });
          return input.consume(batchOf(bytes, { kind: "metrics", acknowledgement }), signal);
        }),
      );
      await component.stop();
      assert.deepEqual(
        sink.items.flatMap((batch) => batch.parts.flatMap((part) => itemsOf("metrics", part))),
        batches.flatMap((bytes) => itemsOf("metrics", bytes)),
      );
      for (const batch of sink.items) assert.ok(max === 0 || batch.items <= max);
      assert.deepEqual(
        safe,
        batches.map(() => 1),
      );
    }),
    { numRuns: 60 },
  );
});

test("a next component that takes nothing makes senders wait", async () => {
  const { component, sink, input } = await start("send_batch_size = 10\nsend_batch_max_size = 10");
  const gate = Promise.withResolvers<void>();
  sink.gate = () => gate.promise;
  assert.equal(input.consume(spans(10), signal), undefined); // on its way
  assert.equal(input.consume(spans(10), signal), undefined); // the next batch
  const controller = new AbortController();
  const waiting = input.consume(spans(10), controller.signal);
  assert.ok(waiting instanceof Promise);
  const impatient = input.consume(spans(10), controller.signal);
  controller.abort(new Error("no time"));
  await assert.rejects(impatient as Promise<void>, { message: "no time" });
  await assert.rejects(waiting, { message: "no time" });
  const patient = input.consume(spans(10), signal);
  gate.resolve();
  await patient;
  await component.stop();
  assert.deepEqual(sizes(sink), [10, 10, 10]);
});

test("keeps clients apart by their metadata, up to the limit", async () => {
  const { component, sink, input } = await start('metadata_keys = ["X-Tenant"]\nmetadata_cardinality_limit = 2');
  const of = (tenant: string) =>
    spans(1, {
      clientMetadata: new Map([
        ["x-tenant", [tenant]],
        ["other", ["x"]],
      ]),
    });
  for (const tenant of ["a", "b", "a"]) await input.consume(of(tenant), signal);
  assert.throws(
    () => input.consume(of("c"), signal),
    (error) => error instanceof PermanentError && error.reason === "metadata_cardinality_limit",
  );
  assert.equal(component.metric("otelcol_processor_batch_metadata_cardinality"), 2);
  await component.stop();
  assert.deepEqual(
    sink.items.map((batch) => [batch.items, [...batch.clientMetadata!]]),
    [
      [2, [["x-tenant", ["a"]]]],
      [1, [["x-tenant", ["b"]]]],
    ],
  );
});

test("what cannot be sent before the stop is counted and not acknowledged", async () => {
  const { component, sink, input } = await start();
  sink.gate = (_batch, abort) =>
    new Promise((_, reject) => abort.addEventListener("abort", () => reject(abort.reason)));
  let safe = false;
  const acknowledgement = new Acknowledgement(() => {
    safe = true;
  });
  await input.consume(spans(3, { acknowledgement }), signal);
  await component.stop(20);
  assert.equal(component.flow.dropped.get("otlp")?.get("shutdown"), 3);
  assert.equal(safe, false);
});

test("sizes that contradict each other are refused", async () => {
  await assert.rejects(start("send_batch_size = 10\nsend_batch_max_size = 5"), /greater or equal to `send_batch_size`/);
  await assert.rejects(start('metadata_keys = ["a", "A"]'), /twice/);
});
