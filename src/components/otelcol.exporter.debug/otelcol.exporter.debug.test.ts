import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { decodeRequest } from "#formats/otlp/decode";
import { kinds, oracleEncode, requests } from "#formats/otlp/oracle.testing";
import { countItems, type OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { startComponent } from "#pipeline/testing";
import { detailedText } from "./detailed-text.ts";
import { normalText } from "./normal-text.ts";
import exporter from "./otelcol.exporter.debug.ts";

const signal = new AbortController().signal;

function batch(kind: OtlpKind, plain: object, acknowledgement = Acknowledgement.none): OtlpBatch {
  const bytes = oracleEncode(kind, plain);
  const items = countItems(kind, bytes);
  return {
    signal: "otlp",
    kind,
    parts: [bytes],
    items,
    bytes: bytes.length,
    clientMetadata: undefined,
    acknowledgement,
  };
}

const attribute = (key: string, value: object) => ({ key, value });
const TRACES = {
  resourceSpans: [
    {
      resource: { attributes: [attribute("service.name", { stringValue: "shop" })] },
      schemaUrl: "https://x",
      scopeSpans: [
        {
          scope: { name: "lib", version: "1.0" },
          spans: [
            {
              traceId: Buffer.alloc(16, 1).toString("base64"),
              spanId: Buffer.alloc(8, 2).toString("base64"),
              name: "GET /",
              kind: 2,
              startTimeUnixNano: "1700000000000000001",
              attributes: [
                attribute("n", { intValue: 5 }),
                attribute("l", { arrayValue: { values: [{ boolValue: true }] } }),
              ],
              events: [{ name: "boom", timeUnixNano: "1700000000500000000" }],
              status: { code: 2, message: "bad" },
            },
          ],
        },
      ],
    },
  ],
};
const METRICS = {
  resourceMetrics: [
    {
      scopeMetrics: [
        {
          metrics: [
            {
              name: "up",
              gauge: {
                dataPoints: [{ asInt: 1, attributes: [attribute("job", { stringValue: "a" })] }, { asDouble: 0.5 }],
              },
            },
            {
              name: "lat",
              histogram: { dataPoints: [{ count: 3, sum: 1.5, bucketCounts: [1, 2], explicitBounds: [0.1] }] },
            },
            {
              name: "q",
              summary: { dataPoints: [{ count: 1, sum: 2, quantileValues: [{ quantile: 0.5, value: 2 }] }] },
            },
          ],
        },
      ],
    },
  ],
};

const decode = (kind: OtlpKind, plain: object) => decodeRequest(kind, [oracleEncode(kind, plain)]);

test("basic counts, normal gives lines, detailed gives everything", () => {
  assert.equal(
    normalText("traces", decode("traces", TRACES)),
    "ResourceTraces #0 [https://x] service.name=shop\nScopeTraces #0 lib@1.0\n" +
      `GET / ${"01".repeat(16)} ${"02".repeat(8)} n=5 l=[true]\n`,
  );
  assert.equal(
    normalText("metrics", decode("metrics", METRICS)),
    "ResourceMetrics #0\nScopeMetrics #0\nup{job=a} 1\nup{} 0.5\nlat{} count=3 sum=1.5 le0.1=1 2\nq{} count=1 sum=2.000000 q0.5=2\n",
  );
  const detailed = detailedText("traces", decode("traces", TRACES));
  for (const line of [
    "ResourceSpans #0",
    "Resource SchemaURL: https://x",
    "     -> service.name: Str(shop)",
    "InstrumentationScope lib 1.0",
    "    Kind           : Server",
    "    Start time     : 2023-11-14 22:13:20.000000001 +0000 UTC",
    "    Status code    : Error",
    "     -> n: Int(5)",
    "     -> l: Slice([true])",
    "     -> Timestamp: 2023-11-14 22:13:20.5 +0000 UTC",
  ]) {
    assert.ok(detailed.includes(`${line}\n`), `${line}\n---\n${detailed}`);
  }
  const logRecords = [{ severityNumber: 10 }, { severityNumber: 17 }, {}];
  const logs = detailedText("logs", decode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords }] }] }));
  assert.deepEqual(
    [...logs.matchAll(/SeverityNumber: (.*)/g)].map(([, text]) => text),
    ["Info2(10)", "Error(17)", "Unspecified(0)"],
  );
  const metrics = detailedText("metrics", decode("metrics", METRICS));
  assert.match(metrics, /\nExplicitBounds #0: 0\.100000\nBuckets #0, Count: 1\nBuckets #1, Count: 2\n/);
});

test("numbers and values are written as the Collector writes them", () => {
  const values = [
    attribute("z", { intValue: "9007199254740993" }),
    attribute("b", { doubleValue: 1e21 }),
    attribute("a", { doubleValue: 1e-7 }),
    attribute("h", { stringValue: "<&>" }),
    attribute("y", { bytesValue: Buffer.of(1, 2).toString("base64") }),
    attribute("e", {}),
    attribute("s", { arrayValue: { values: [{ doubleValue: 1e6 }, { boolValue: true }] } }),
  ];
  const point = {
    asDouble: 1_234_567.5,
    attributes: [attribute("m", { kvlistValue: { values } }), attribute("d", { doubleValue: 1e6 })],
  };
  const tie = { asDouble: 2 ** -7 };
  const metrics = [{ name: "g", gauge: { dataPoints: [point, tie] } }];
  const request = decode("metrics", { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
  const map = '{"a":1e-7,"b":1e+21,"e":null,"h":"<&>","s":[1000000,true],"y":"AQI=","z":9007199254740993}';
  assert.match(normalText("metrics", request), literal(`g{m=${map},d=1000000} 1.2345675e+06\ng{} 0.0078125\n`));
  const detailed = detailedText("metrics", request);
  assert.match(detailed, literal(`-> m: Map(${map})`));
  assert.match(detailed, literal("-> d: Double(1000000)"));
  assert.match(detailed, /Value: 1234567\.500000.*Value: 0\.007812\n/s);
});

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[{}()[\]+.\\]/g, "\\$&"));
}

test("any request can be written", () => {
  for (const kind of kinds) {
    fc.assert(
      fc.property(requests(kind), (bytes) => {
        const request = decodeRequest(kind, [bytes]);
        assert.equal(typeof normalText(kind, request), "string");
        assert.equal(typeof detailedText(kind, request), "string");
      }),
      { numRuns: 60 },
    );
  }
});

test("writes to the agent's log, as often as the sampling allows, and acknowledges", async () => {
  let now = 0;
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
  const component = await startComponent(exporter, "sampling_initial = 1\nsampling_thereafter = 3", { clock });
  let safe = 0;
  for (let i = 0; i < 8; i++) {
    if (i === 5) now = 1_000;
    await component.exports.input.consume(batch("metrics", METRICS, new Acknowledgement(() => safe++)), signal);
  }
  const seen = component.logs.map((each) => [each.message, ...each.fields.map(([, value]) => value)]);
  assert.deepEqual(seen, [
    ["Metrics", 1, 3, 4],
    ["Metrics", 1, 3, 4],
    ["Metrics", 1, 3, 4],
  ]);
  assert.equal(safe, 8);
  await component.stop();
});

test("writes to files when told to", async () => {
  const dir = mkdtempSync(join(tmpdir(), "otel-debug-"));
  const path = join(dir, "out.txt");
  const component = await startComponent(
    exporter,
    `verbosity = "Normal"\nuse_internal_logger = false\noutput_paths = ["${path}"]`,
  );
  await component.exports.input.consume(batch("traces", TRACES), signal);
  await component.stop();
  const written = readFileSync(path, "utf8");
  rmSync(dir, { recursive: true });
  assert.match(written, /^\S+\tinfo\tTraces\t\{"resource spans":1,"spans":1\}\n\S+\tinfo\tResourceTraces #0/);
});
