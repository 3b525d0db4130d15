import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { oracleDecode, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { writeKeyValue } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";
import type { OtlpBatch } from "#pipeline/batch";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import definition from "./otelcol.connector.host_info.ts";

const NOW = 1_721_000_000_000;

function traces(hosts: readonly (string | number)[], key = "host.id"): Buffer {
  return oracleEncode("traces", {
    resourceSpans: hosts.map((host) => ({
      resource: {
        attributes: [{ key, value: typeof host === "string" ? { stringValue: host } : { intValue: String(host) } }],
      },
      scopeSpans: [{ spans: [{ name: "x" }] }],
    })),
  });
}

async function setUp(config = "") {
  const out = recordOtlp();
  const clock = new ManualClock(NOW);
  const component = await startComponent(definition, `${config}\noutput {\n metrics = [out]\n}`, {
    scope: { out: out.value },
    clock,
  });
  const send = async (bytes: Buffer, kind: OtlpKind = "traces") => {
    const done = acknowledged();
    const { acknowledgement } = done;
    const batch: OtlpBatch = {
      signal: "otlp",
      kind,
      parts: [bytes],
      items: 1,
      bytes: bytes.length,
      clientMetadata: undefined,
      acknowledgement,
    };
    await component.exports.input!.consume(batch, new AbortController().signal);
    assert.ok(done.fired);
  };
  const hosts = () =>
    out.items.splice(0).map(({ parts, items }) => {
      const metrics = parts.map((part) => oracleDecode("metrics", part)) as unknown as {
        resourceMetrics: {
          scopeMetrics: {
            metrics: {
              name: string;
              gauge: { dataPoints: { asInt: string; attributes: { key: string; value: { stringValue: string } }[] }[] };
            }[];
          }[];
        }[];
      }[];
      const [metric, ...others] = metrics[0]!.resourceMetrics[0]!.scopeMetrics[0]!.metrics;
      assert.deepEqual([others, metric!.name, metric!.gauge.dataPoints.length], [[], "traces_host_info", items]);
      return metric!.gauge.dataPoints.map(
        ({ asInt, attributes: [pair] }) => `${pair!.key}=${pair!.value.stringValue} ${asInt}`,
      );
    });
  return { component, out, clock, send, hosts, [Symbol.asyncDispose]: () => component.stop() };
}

test("each host of an interval is a point, once", async () => {
  await using it = await setUp();
  await it.send(traces(["a", "b", "a"]));
  await it.send(traces(["b", 7]));
  await it.send(traces(["not looked at"], "host.name"));
  assert.deepEqual(it.hosts(), []);
  await it.clock.advance(60_000);
  assert.deepEqual(it.hosts(), [["grafana.host.id=a 1", "grafana.host.id=b 1", "grafana.host.id=7 1"]]);
  await it.clock.advance(120_000);
  assert.deepEqual(it.hosts(), []);
});

test("traces flow, also those that make no metric", async () => {
  await using it = await setUp();
  const state = () => it.component.flow.status.state;
  assert.equal(state(), "idle");
  await it.send(traces(["a"], "host.name"));
  assert.equal(state(), "ok");
});

test("what is noted at the stop is sent", async () => {
  const it = await setUp('host_identifiers = ["host.name", "host.id"]\nmetrics_flush_interval = "5m"');
  await it.send(traces(["a"]));
  await it.send(traces(["b"], "host.name"));
  await it.component.stop();
  assert.deepEqual(it.hosts(), [["grafana.host.id=a 1", "grafana.host.id=b 1"]]);
});

test("an attribute with ever new values does not fill the memory", async () => {
  await using it = await setUp();
  const writer = new ProtoWriter();
  for (let n = 0; n < 101_000; n++) {
    const marks = [writer.begin(1), writer.begin(1)];
    writeKeyValue(writer, 1, "host.id", `h${n}`);
    for (const mark of marks.reverse()) writer.end(mark);
  }
  await it.send(Buffer.from(writer.finish()));
  assert.equal(it.component.flow.dropped.get("otlp")!.get("too_many_hosts"), 1000);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "too_many_hosts");
  await it.clock.advance(60_000);
  assert.equal(it.out.items[0]!.items, 100_000);
  it.component.flow.judge();
  assert.notEqual(it.component.flow.status.rule, "too_many_hosts");
});

test("other signals are dropped and counted", async () => {
  await using it = await setUp();
  await it.send(Buffer.alloc(0), "logs");
  assert.equal(it.component.flow.dropped.get("otlp")!.get("unsupported_signal"), 1);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "unsupported_signal");
  assert.match(
    it.component.flow.status.cause,
    /^1 items as unsupported_signal .* takes .* came; take it out of `output\./,
  );
});

test("arguments that cannot be are refused", async () => {
  await assert.rejects(setUp("host_identifiers = []"), /must not be empty/);
  await assert.rejects(setUp('metrics_flush_interval = "0s"'), /must be greater than 0/);
});
