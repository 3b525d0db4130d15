import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** Clients → receiver → tail sampling → exporter → backend, in the real agent. */

const SAMPLING = "otelcol.processor.tail_sampling.errors";

function configuration(port: number, url: string): string {
  return `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [${SAMPLING}.input]
  }
}
otelcol.processor.tail_sampling "errors" {
  decision_wait                     = "1h"
  decision_wait_after_root_received = "500ms"
  policy {
    name = "errors"
    type = "status_code"
    status_code {
      status_codes = ["ERROR"]
    }
  }
  output {
    traces = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${url}"
  }
}
`;
}

interface GivenSpan {
  readonly trace: number;
  readonly id: number;
  readonly parent?: number;
  readonly isError?: boolean;
}
const hex = (number: number, length: number) => number.toString(16).padStart(length, "0");

function request(service: string, spans: readonly GivenSpan[]) {
  const resource = { attributes: [{ key: "service.name", value: { stringValue: service } }] };
  const encoded = spans.map(({ trace, id, parent, isError = false }) => ({
    traceId: hex(trace, 32),
    spanId: hex(id, 16),
    ...(parent === undefined ? {} : { parentSpanId: hex(parent, 16) }),
    name: `span ${id}`,
    ...(isError ? { status: { code: 2 } } : {}),
  }));
  return { resourceSpans: [{ resource, scopeSpans: [{ spans: encoded }] }] };
}

test("traces are kept whole or dropped, late spans follow, and what waits at the stop is decided", async (t) => {
  const port = await freePort();
  const came: string[] = [];
  const sink = await Sink.start((_path, body) => {
    for (const { resource, scopeSpans } of decodeRequest("traces", [body]).resourceSpans as OtlpObject[]) {
      const [{ value }] = (resource as OtlpObject).attributes as [{ value: { stringValue: string } }];
      for (const { spans } of scopeSpans as OtlpObject[]) {
        for (const { name, traceId } of spans as OtlpObject[]) {
          came.push(`${value.stringValue} ${Number(`0x${traceId}`)} ${name}`);
        }
      }
    }
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(t, configuration(port, sink.url));
  const send = async (service: string, ...spans: GivenSpan[]) => {
    const { status } = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request(service, spans)),
    });
    assert.equal(status, 200);
  };

  await send("shop", { trace: 1, id: 2, parent: 1 }, { trace: 2, id: 4, parent: 3 });
  await send("database", { trace: 1, id: 5, parent: 2, isError: true });
  await send("gateway", { trace: 1, id: 1 }, { trace: 2, id: 3 });
  await agent.until(() => came.length === 3, "the trace with an error arrives");
  assert.deepEqual(came.sort(), ["database 1 span 5", "gateway 1 span 1", "shop 1 span 2"]);
  await agent.until(async () => (await agent.dropped(SAMPLING, "not_sampled")) === 2, "the other one is dropped");

  await send("shop", { trace: 2, id: 6, parent: 3, isError: true }, { trace: 1, id: 7, parent: 1 });
  await agent.until(() => came.length === 4, "the late span of the sampled trace arrives");
  assert.equal(came[3], "shop 1 span 7");
  const policy = { policy: `${SAMPLING}.errors`, decision: "sampled" };
  assert.equal(await agent.metric("otelcol_processor_tail_sampling_count_traces_sampled_total", policy), 1);
  assert.equal(await agent.metric("otelcol_processor_tail_sampling_sampling_traces_on_memory"), 2);

  await send("shop", { trace: 3, id: 8, parent: 9, isError: true }, { trace: 4, id: 10, parent: 9 });
  assert.equal(await agent.stop(), 0);
  assert.deepEqual(came.slice(4), ["shop 3 span 8"]);
});
