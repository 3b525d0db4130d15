import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import { startAgent } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** What real clients of Jaeger and Zipkin once sent, as hexadecimal. */
const CLIENTS = JSON.parse(
  readFileSync(new URL("../../src/formats/testdata/trace-clients.json", import.meta.url), "utf8"),
) as Readonly<Record<string, string>>;
const bytes = (name: string) => Buffer.from(CLIENTS[name]!, "hex");

interface Request {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly { name: string }[] }[];
  }[];
}

test("spans of Jaeger's and Zipkin's clients reach a backend of OTLP, and clients are told what to sample", async (t) => {
  const names: string[] = [];
  const sink = await Sink.start((_path, body) => {
    const { resourceSpans } = oracleDecode("traces", body) as unknown as Request;
    for (const { scopeSpans } of resourceSpans) {
      for (const { spans } of scopeSpans) names.push(...spans.map(({ name }) => name));
    }
  });
  cleanUp(t, () => sink.stop());
  const [thriftHttp, udp, zipkin, sampling] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const agent = await startAgent(
    t,
    `otelcol.receiver.jaeger "in" {
  protocols {
    thrift_http {
      endpoint = "127.0.0.1:${thriftHttp}"
    }
    thrift_binary {
      endpoint = "127.0.0.1:${udp}"
    }
  }
  output {
    traces = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.receiver.zipkin "in" {
  endpoint = "127.0.0.1:${zipkin}"
  output {
    traces = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${sink.url}"
  }
}
otelcol.extension.jaeger_remote_sampling "default" {
  http {
    endpoint = "127.0.0.1:${sampling}"
  }
  source {
    content = encoding.to_json({default_strategy = {type = "probabilistic", param = 0.5}})
  }
}
`,
  );
  const post = async (url: string, body: Uint8Array, type: string) => {
    const headers = { "content-type": type };
    return (await fetch(url, { method: "POST", body: body as Uint8Array<ArrayBuffer>, headers })).status;
  };
  const addresses = [`127.0.0.1:${thriftHttp}`, `127.0.0.1:${udp}`, `127.0.0.1:${zipkin}`, `127.0.0.1:${sampling}`];
  await agent.until(() => addresses.every((each) => agent.log.includes(`address=${each}`)), "all servers listen");
  const spans = `http://127.0.0.1:${zipkin}/api/v2/spans`;
  assert.equal(
    await post(`http://127.0.0.1:${thriftHttp}/api/traces`, bytes("jaegerClientHttp"), "application/x-thrift"),
    202,
  );
  assert.equal(await post(spans, bytes("openTelemetryZipkin"), "application/json"), 202);
  assert.equal(await post(spans, Buffer.from("{}"), "application/json"), 400);
  const socket = createSocket("udp4");
  cleanUp(t, () => socket.close());
  await new Promise((resolve) => socket.send(bytes("openTelemetryJaegerUdpBinary"), udp, "127.0.0.1", resolve));
  await agent.until(() => names.length === 5, "all spans arrive");
  assert.deepEqual(names.toSorted(), [
    "jaeger-http child",
    "jaeger-http parent",
    "otel-jaeger-udp child",
    "otel-jaeger-udp parent",
    "otel-zipkin child",
  ]);
  const accepted = await agent.metric("otelcol_receiver_accepted_spans_total", {
    receiver: "jaeger/otelcol.receiver.jaeger.in",
    transport: "udp_thrift_binary",
  });
  assert.equal(accepted, 2);
  const { dropped } = (await agent.component("otelcol.receiver.zipkin.in")).flow;
  assert.deepEqual(dropped, [{ signal: "otlp", reason: "malformed", items: 1 }]);
  const strategy = await fetch(`http://127.0.0.1:${sampling}/sampling?service=shop`);
  assert.deepEqual(await strategy.json(), {
    strategyType: "PROBABILISTIC",
    probabilisticSampling: { samplingRate: 0.5 },
  });
  assert.equal((await agent.component("otelcol.extension.jaeger_remote_sampling.default")).health.state, "healthy");
});
