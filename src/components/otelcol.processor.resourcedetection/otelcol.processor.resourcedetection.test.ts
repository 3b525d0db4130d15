import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { itemsOf, kinds, oracleDecode, oracleEncode } from "#formats/otlp/oracle.testing";
import { countItems, type OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.resourcedetection.ts";

const signal = new AbortController().signal;

function variables(t: TestContext, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    cleanUp(t, () => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}
async function start(t: TestContext, config: string) {
  const sink = recordOtlp();
  const output = "output {\ntraces = [out]\nmetrics = [out]\nlogs = [out]\n}";
  const component = await startComponent(processor, `${config}\n${output}`, { scope: { out: sink.value } });
  cleanUp(t, () => component.stop());
  const send = async (kind: OtlpKind, request: object): Promise<OtlpBatch> => {
    const bytes = oracleEncode(kind, request);
    const items = countItems(kind, bytes);
    const base = { signal: "otlp", clientMetadata: undefined, acknowledgement: Acknowledgement.none } as const;
    await component.exports.input.consume({ ...base, kind, parts: [bytes], items, bytes: bytes.length }, signal);
    return sink.items.at(-1)!;
  };
  return { component, sink, send };
}
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const REQUESTS: Readonly<Record<OtlpKind, (resource: object) => object>> = {
  traces: (resource) => ({ resourceSpans: [{ resource, scopeSpans: [{ spans: [{ name: "s" }] }] }] }),
  metrics: (resource) => ({
    resourceMetrics: [
      { resource, scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: "1" }] } }] }] },
    ],
  }),
  logs: (resource) => ({ resourceLogs: [{ resource, scopeLogs: [{ logRecords: [{ severityNumber: 9 }] }] }] }),
};
/** The resource of a batch's first group, as attribute → value, and its schema URL. */
function resourceOf(batch: OtlpBatch): [object, unknown] {
  const [[group]] = Object.values(oracleDecode(batch.kind, batch.parts[0]!)) as [[Record<string, unknown>]];
  const { attributes = [] } = group.resource as { attributes?: { key: string; value: Record<string, unknown> }[] };
  return [Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]])), group.schemaUrl];
}

test("adds what was detected to the resources of all signals, and changes nothing else", async (t) => {
  variables(t, { OTEL_RESOURCE_ATTRIBUTES: "team=red,env=prod" });
  const { send } = await start(t, 'detectors = ["env", "system"]\nsystem {\nhostname_sources = ["os"]\n}');
  for (const kind of kinds) {
    const request = REQUESTS[kind]({ attributes: [text("env", "dev"), text("a", "b")] });
    const batch = await send(kind, request);
    const expected = { env: "prod", a: "b", team: "red", "host.name": os.hostname(), "os.type": "linux" };
    assert.deepEqual(resourceOf(batch), [expected, "https://opentelemetry.io/schemas/1.40.0"]);
    const [, , item] = JSON.parse(itemsOf(kind, batch.parts[0]!)[0]!) as unknown[];
    const [, , before] = JSON.parse(itemsOf(kind, oracleEncode(kind, request))[0]!) as unknown[];
    assert.deepEqual(item, before);
  }
});

test("leaves what is there without override, and what is switched off", async (t) => {
  variables(t, { OTEL_RESOURCE_ATTRIBUTES: "team=red,env=prod" });
  const { send } = await start(
    t,
    `detectors = ["system", "env"]
    override = false
    system {
      hostname_sources = ["os"]
      resource_attributes {
        host.name { enabled = false }
        host.arch { enabled = true }
      }
    }`,
  );
  const batch = await send("traces", {
    resourceSpans: [
      { resource: { attributes: [text("env", "dev")] }, schemaUrl: "mine", scopeSpans: [{ spans: [{}] }] },
    ],
  });
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  assert.deepEqual(resourceOf(batch), [{ env: "dev", team: "red", "os.type": "linux", "host.arch": arch }, "mine"]);
});

test("a resource that says nothing gets all, a batch without anything to add stays as it is", async (t) => {
  variables(t, { OTEL_RESOURCE_ATTRIBUTES: "team=red" });
  const { send } = await start(t, "");
  const span = [{ scopeSpans: [{ spans: [{ name: "s" }] }] }];
  assert.deepEqual(resourceOf(await send("traces", { resourceSpans: span })), [{ team: "red" }, undefined]);
  variables(t, { OTEL_RESOURCE_ATTRIBUTES: "" });
  const nothing = await start(t, "");
  const batch = await nothing.send("traces", { resourceSpans: span });
  assert.deepEqual(batch.parts[0], oracleEncode("traces", { resourceSpans: span }));
});

test("data waits for the first answer, and says which detector fails", async (t) => {
  let answer = (): void => {};
  const server = createServer((request, response) => {
    answer = () => response.end(request.url!.includes("/info") ? JSON.stringify({ Name: "h", OSType: "linux" }) : "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    server.closeAllConnections();
    server.close();
  });
  variables(t, { DOCKER_HOST: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const { sink, send } = await start(t, 'detectors = ["docker"]');
  const sent = send("logs", REQUESTS.logs({}));
  await new Promise<void>((resolve) => server.once("request", () => setImmediate(resolve)));
  assert.equal(sink.items.length, 0);
  answer();
  assert.deepEqual(resourceOf(await sent)[0], { "host.name": "h", "os.type": "linux" });

  variables(t, { OTEL_RESOURCE_ATTRIBUTES: "nonsense" });
  const failing = await start(t, 'detectors = ["env", "docker"]\ntimeout = "50ms"\nfail_on_missing_metadata = true');
  assert.deepEqual(resourceOf(await failing.send("logs", REQUESTS.logs({})))[0], {});
  failing.component.flow.judge();
  assert.equal(failing.component.flow.status.rule, "detection_failed");
  assert.match(failing.component.flow.status.cause, /env: OTEL_RESOURCE_ATTRIBUTES cannot be read from "nonsense" on/);
});

test("says what is wrong with arguments", async (t) => {
  for (const [config, message] of [
    ["detectors = []", /must name at least one detector/],
    ['detectors = ["gcloud"]', /detectors.* cannot be "gcloud"/],
    ['timeout = "0s"', /must be positive/],
    ['ec2 {\ntags = ["("]\n}', /missing closing \)/],
    ['azure {\ntags = ["("]\n}', /missing closing \)/],
    ['nova {\nlabels = ["("]\n}', /missing closing \)/],
    ['system {\nhostname_sources = ["guess"]\n}', /hostname_sources/],
    ['kubernetes_node {\nauth_type = "tls"\n}', /cannot be "tls"/],
    ['openshift {\ntls {\ncipher_suites = ["x"]\n}\n}', /has no effect here on ciphers/],
    ['openshift {\ntls {\nmin_version = "1.1"\n}\n}', /has no effect here on ciphers.* and versions before 1\.2/],
  ] as const) {
    await assert.rejects(start(t, config), message, config);
  }
});
