import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** A client, the processors one after the other, a backend: in the real agent. */

const LIMITER = "otelcol.processor.memory_limiter.test";
const SAMPLER = "otelcol.processor.probabilistic_sampler.test";

async function start(t: TestContext, limit: string) {
  const port = await freePort();
  const groups: OtlpObject[] = [];
  const sink = await Sink.start((_path, body) => {
    groups.push(...(decodeRequest("traces", [body]) as { resourceSpans: OtlpObject[] }).resourceSpans);
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(t, configuration(port, sink.url, limit));
  const send = (spans: readonly object[]) =>
    fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-tenant": "blue" },
      body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] }),
    });
  return { agent, send, groups };
}

function configuration(port: number, url: string, limit: string): string {
  const chain = [
    "memory_limiter",
    "discovery",
    "attributes",
    "span",
    "redaction",
    "probabilistic_sampler",
    "groupbyattrs",
  ];
  const settings: Readonly<Record<string, string>> = {
    memory_limiter: `check_interval = "50ms"
  limit = "${limit}"`,
    discovery: 'targets = [{__address__ = "127.0.0.1:8080", pod = "cart"}]',
    attributes: `action {
    key = "tenant"
    from_context = "x-tenant"
    action = "insert"
  }
  action {
    key = "enduser.id"
    action = "hash"
  }`,
    span: `name {
    to_attributes {
      rules = ["/items/(?P<item>[0-9]+)"]
    }
  }`,
    redaction: `allow_all_keys = true
  blocked_values = ["secret"]`,
    probabilistic_sampler: `mode = "equalizing"
  sampling_percentage = 50`,
    groupbyattrs: 'keys = ["host"]',
  };
  const blocks = chain.map((name, i) => {
    const next = i + 1 < chain.length ? `otelcol.processor.${chain[i + 1]}.test` : "otelcol.exporter.otlphttp.test";
    return `otelcol.processor.${name} "test" {
  ${settings[name]}
  output {
    traces = [${next}.input]
  }
}`;
  });
  return `otelcol.receiver.otlp "test" {
  http {
    endpoint = "127.0.0.1:${port}"
    include_metadata = true
  }
  output {
    traces = [${LIMITER}.input]
  }
}
${blocks.join("\n")}
otelcol.exporter.otlphttp "test" {
  client {
    endpoint = "${url}"
  }
}
`;
}

const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } });
/** A span whose trace id is sampled, or is not. */
function spanOf(isSampled: boolean) {
  return {
    traceId: `5b8efff798038103d2${isSampled ? "c" : "3"}0000000000000`,
    spanId: "eee19b7ec3c1b174",
    name: "GET /items/17",
    kind: 2,
    attributes: [attribute("host", "h1"), attribute("enduser.id", "x"), attribute("note", "a secret")],
  };
}

test("each processor does its part", async (t) => {
  const { agent, send, groups } = await start(t, "1TiB");
  assert.equal((await send([spanOf(true), spanOf(false)])).status, 200);
  await agent.until(() => groups.length === 1, "the span arrives");
  const { name: _name, ...span } = spanOf(true);
  assert.deepEqual(groups, [
    {
      resource: { attributes: [attribute("pod", "cart"), attribute("host", "h1")] },
      scopeSpans: [
        {
          scope: {},
          spans: [
            {
              ...span,
              name: "GET /items/{item}",
              traceState: "ot=th:8",
              attributes: [
                attribute("enduser.id", "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
                attribute("note", "a ****"),
                attribute("tenant", "blue"),
                attribute("item", "17"),
              ],
            },
          ],
        },
      ],
    },
  ]);
  assert.equal(await agent.dropped(SAMPLER, "not_sampled"), 1);
  assert.equal(await agent.metric("otelcol_processor_memory_limiter_accepted_spans_total", {}), 2);
  assert.equal(await agent.stop(), 0);
});

test("while memory is short, clients are told to come again later", async (t) => {
  const { agent, send } = await start(t, "1MiB");
  await agent.untilRule(LIMITER, "memory_limit", "failing");
  const began = performance.now();
  const answer = await send([spanOf(true)]);
  assert.equal(answer.status, 503);
  assert.ok(performance.now() - began < 4_000, "it is not kept waiting as for a full pipeline");
  assert.ok(Number(answer.headers.get("retry-after")) > 0);
  assert.equal(await agent.metric("otelcol_processor_memory_limiter_refused_spans_total", {}), 1);
});
