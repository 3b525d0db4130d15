import { requestFromJson } from "#formats/otlp/json";
import type { OtlpKind } from "#formats/otlp/schema";

/** One request of each signal with something for every path of OTTL, for the vectors and properties. */

const text = (value: string) => ({ stringValue: value });
const int = (value: number | string) => ({ intValue: String(value) });
const double = (value: number) => ({ doubleValue: value });
const bool = (value: boolean) => ({ boolValue: value });
const list = (...values: object[]) => ({ arrayValue: { values } });
const map = (entries: Readonly<Record<string, object>>) => ({ kvlistValue: { values: attributes(entries) } });
function attributes(entries: Readonly<Record<string, object>>): object[] {
  return Object.entries(entries).map(([key, value]) => ({ key, value }));
}

const resource = {
  attributes: attributes({
    "service.name": text("checkout"),
    "service.version": text("1.4.2"),
    "host.name": text("node-7.example"),
    "k8s.pod.name": text("checkout-5d9c7-x2x9p"),
    replicas: int(3),
  }),
  droppedAttributesCount: 1,
};
const scope = {
  name: "io.example.web",
  version: "2.1",
  attributes: attributes({ library: text("web"), level: int(4) }),
};

const server = {
  traceId: "0102030405060708090a0b0c0d0e0f10",
  spanId: "a1a2a3a4a5a6a7a8",
  traceState: "vendor=one,other=two",
  name: "GET /users/42",
  kind: 2,
  startTimeUnixNano: "1721000000123456789",
  endTimeUnixNano: "1721000000623456789",
  attributes: attributes({
    "http.request.method": text("GET"),
    "http.route": text("/users/{id}"),
    "url.full": text("https://ada:secret@shop.example:8443/users/42.json?page=2&sort=name#top"),
    "url.path": text("/users/42"),
    "http.response.status_code": int(503),
    "user_agent.original": text("curl/8.4.0"),
    "client.address": text("10.1.2.3"),
    duration_ms: double(500.25),
    sampled: bool(true),
    card: text("4539 1488 0343 6467"),
    tags: list(text("blue"), text("green"), int(7)),
    numbers: list(int(5), int(1), int(4)),
    nested: map({ a: text("x"), b: int(2), deeper: map({ c: bool(false), d: list(int(1), text("two")) }) }),
    empty: text(""),
    unicode: text("Grüße, Welt 🌍"),
    json: text('{"id":7,"name":"Ada","tags":["a","b"],"ok":true,"none":null,"inner":{"x":1.5}}'),
    logfmt: text('level=info msg="it works" took=12ms'),
    xml: text('<log level="info"><user id="7">Ada</user><user id="8">Bob</user></log>'),
    csv: text("1,Ada,true"),
    number_text: text("42"),
    bytes: { bytesValue: "AQIDBA==" },
    no_bytes: { bytesValue: "" },
    nothing: {},
  }),
  droppedAttributesCount: 2,
  events: [
    { timeUnixNano: "1721000000200000000", name: "retry", attributes: attributes({ attempt: int(1) }) },
    {
      timeUnixNano: "1721000000300000000",
      name: "exception",
      attributes: attributes({ "exception.type": text("Timeout"), "exception.message": text("took too long") }),
      droppedAttributesCount: 3,
    },
  ],
  droppedEventsCount: 4,
  links: [{ traceId: "1112131415161718191a1b1c1d1e1f20", spanId: "b1b2b3b4b5b6b7b8" }],
  droppedLinksCount: 5,
  status: { message: "unavailable", code: 2 },
  flags: 257,
};
const client = {
  traceId: "0102030405060708090a0b0c0d0e0f10",
  spanId: "c1c2c3c4c5c6c7c8",
  parentSpanId: "a1a2a3a4a5a6a7a8",
  name: "SELECT users",
  kind: 3,
  startTimeUnixNano: "1721000000150000000",
  endTimeUnixNano: "1721000000160000000",
  attributes: attributes({
    "db.system.name": text("postgresql"),
    "db.operation.name": text("SELECT"),
    "db.collection.name": text("users"),
    "db.namespace": text("shop"),
    rows: int(12),
  }),
};

const traces = {
  resourceSpans: [
    {
      resource,
      scopeSpans: [{ scope, spans: [server, client], schemaUrl: "https://schema.example/scope" }],
      schemaUrl: "https://schema.example/resource",
    },
  ],
};

const logs = {
  resourceLogs: [
    {
      resource,
      scopeLogs: [
        {
          scope,
          logRecords: [
            {
              timeUnixNano: "1721000000000000001",
              observedTimeUnixNano: "1721000001000000000",
              severityNumber: 9,
              severityText: "INFO",
              body: text('level=warn user=ada msg="slow query" took=1.5s'),
              attributes: attributes({ file: text("app.log"), line: int(17), "log.status": int(404) }),
              droppedAttributesCount: 1,
              flags: 1,
              traceId: "0102030405060708090a0b0c0d0e0f10",
              spanId: "a1a2a3a4a5a6a7a8",
              eventName: "query",
            },
            {
              timeUnixNano: "1721000002000000000",
              severityNumber: 17,
              severityText: "ERROR",
              body: map({
                message: text("failed"),
                code: int(500),
                list: list(int(1), int(2)),
                user: map({ name: text("bob") }),
              }),
              attributes: attributes({ file: text("other.log") }),
            },
            { body: list(text("a"), text("b"), map({ c: int(3) })) },
          ],
        },
      ],
    },
  ],
};

const point = {
  startTimeUnixNano: "1721000000000000000",
  timeUnixNano: "1721000060000000000",
  attributes: attributes({ host: text("a"), path: text("/x") }),
};
const other = { ...point, attributes: attributes({ host: text("b"), path: text("/x") }) };
const metrics = {
  resourceMetrics: [
    {
      resource,
      scopeMetrics: [
        {
          scope,
          metrics: [
            {
              name: "memory",
              description: "Memory in use.",
              unit: "By",
              gauge: {
                dataPoints: [
                  { ...point, asInt: "100", flags: 1 },
                  { ...other, asInt: "41" },
                ],
              },
              metadata: attributes({ origin: text("test") }),
            },
            {
              name: "requests",
              unit: "1",
              sum: {
                dataPoints: [
                  {
                    ...point,
                    asDouble: 7.5,
                    exemplars: [
                      {
                        timeUnixNano: "1721000030000000000",
                        asDouble: 1.5,
                        traceId: "0102030405060708090a0b0c0d0e0f10",
                        spanId: "a1a2a3a4a5a6a7a8",
                        filteredAttributes: attributes({ user: text("ada") }),
                      },
                    ],
                  },
                  { ...other, asDouble: 2.25 },
                ],
                aggregationTemporality: 2,
                isMonotonic: true,
              },
            },
            {
              name: "latency",
              unit: "ms",
              histogram: {
                dataPoints: [
                  {
                    ...point,
                    count: "10",
                    sum: 123.5,
                    min: 0.5,
                    max: 40,
                    bucketCounts: ["1", "2", "3", "4"],
                    explicitBounds: [1, 5, 10],
                  },
                  { ...other, count: "4", sum: 20, bucketCounts: ["1", "1", "1", "1"], explicitBounds: [1, 5, 10] },
                ],
                aggregationTemporality: 1,
              },
            },
            {
              name: "sizes",
              exponentialHistogram: {
                dataPoints: [
                  {
                    ...point,
                    count: "9",
                    sum: 30,
                    scale: 1,
                    zeroCount: "2",
                    positive: { offset: 1, bucketCounts: ["1", "2", "3"] },
                    negative: { offset: -1, bucketCounts: ["1"] },
                    min: -1,
                    max: 6,
                    zeroThreshold: 0.001,
                  },
                ],
                aggregationTemporality: 2,
              },
            },
            {
              name: "rpc",
              summary: {
                dataPoints: [
                  {
                    ...point,
                    count: "5",
                    sum: 12.5,
                    quantileValues: [
                      { quantile: 0.5, value: 2 },
                      { quantile: 0.99, value: 4.5 },
                    ],
                  },
                ],
              },
            },
            { name: "without.data" },
          ],
        },
      ],
    },
  ],
};

/** The requests as bytes. */
export const OTTL_DATA: Readonly<Record<OtlpKind, Uint8Array>> = {
  traces: requestFromJson("traces", JSON.stringify(traces)),
  metrics: requestFromJson("metrics", JSON.stringify(metrics)),
  logs: requestFromJson("logs", JSON.stringify(logs)),
};
