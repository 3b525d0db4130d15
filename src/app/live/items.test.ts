import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFilter } from "#base/filter";
import { Labels } from "#base/labels";
import { requestFromJson } from "#formats/otlp/json";
import { kinds, requests } from "#formats/otlp/oracle.testing";
import { countItems } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type Batch, type MetricBatch, type OtlpBatch, type OtlpKind, SAMPLE_STALE } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { SeriesRegistry } from "#pipeline/series";
import type { LiveItem } from "../api/json.ts";
import { type Look, lookAt } from "./items.ts";
import { LogSearch } from "./log-search.ts";
import { shownItem } from "./shown.ts";

interface Looked {
  readonly looked: number;
  readonly items: readonly LiveItem[];
}

function look(batch: Batch, where = "", limits: Partial<Look> = {}): Looked {
  const items: LiveItem[] = [];
  const filter = parseFilter(where);
  const looked = lookAt(batch, {
    most: 1000,
    sample: 1,
    filter: filter.empty ? undefined : filter,
    search: LogSearch.for(filter),
    random: Math.random,
    goOn: () => true,
    show: (item) => void items.push(shownItem(item)),
    ...limits,
  });
  return { looked, items };
}

/** As JSON has it, without the prototypes. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function logs(lines: readonly (string | Buffer)[], labels: readonly [string, string][] = [["app", "shop"]]) {
  const builder = new LogBatchBuilder();
  const stream = builder.streamId(Labels.from(labels));
  for (const line of lines) {
    const bytes = Buffer.from(line as string);
    builder.add(stream, Date.UTC(2026, 0, 2), 0, bytes, 0, bytes.length);
  }
  return builder.take();
}

function otlp(kind: OtlpKind, ...requests: readonly (object | Buffer)[]): OtlpBatch {
  const parts = requests.map((each) => (Buffer.isBuffer(each) ? each : requestFromJson(kind, JSON.stringify(each))));
  return {
    signal: "otlp",
    kind,
    parts,
    items: parts.reduce((sum, part) => sum + countItems(kind, part), 0),
    bytes: 0,
    clientMetadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
}

test("a log entry with labels, metadata and its time to the nanosecond", () => {
  const builder = new LogBatchBuilder();
  const labels = Labels.from([
    ["app", "shop"],
    ["__proto__", "x"],
  ]);
  builder.addText(builder.streamId(labels), Date.UTC(2026, 0, 2), 123_456, "größer", ["trace_id", "4bf9"]);
  assert.deepEqual(plain(look(builder.take()).items), [
    {
      type: "log",
      timestamp: "2026-01-02T00:00:00.000123456Z",
      line: "größer",
      labels: JSON.parse('{"__proto__":"x","app":"shop"}'),
      metadata: { trace_id: "4bf9" },
    },
  ]);
});

test("any bytes become valid text, and long lines are cut with a mark", () => {
  const lines = ["long ".repeat(2000), Buffer.from([0x61, 0xff, 0x00, 0xc3]), `${"x".repeat(4095)}äää`];
  const shown = look(logs(lines)).items.map((item) => (item.type === "log" ? item.line : ""));
  assert.equal(shown[0], `${"long ".repeat(2000).slice(0, 4096)}… (5904 bytes more)`);
  assert.equal(shown[1], "a\ufffd\0\ufffd");
  assert.equal(shown[2], `${"x".repeat(4095)}… (6 bytes more)`, "not in the middle of a character");
  assert.ok(shown.every((line) => Buffer.from(line).toString() === line));
});

test("samples: numbers, stale markers, histograms", () => {
  const registry = new SeriesRegistry();
  const ref = registry.intern(
    Labels.from([
      ["__name__", "up"],
      ["job", "a"],
    ]),
  );
  const batch: MetricBatch = {
    signal: "metrics",
    count: 5,
    registry,
    ref: new Int32Array(5).fill(ref),
    timestamp: new Float64Array(5).fill(Date.UTC(2026, 0, 2)),
    value: Float64Array.of(1.5, 0, Number.NaN, Number.NEGATIVE_INFINITY, 3),
    flags: Uint8Array.of(0, SAMPLE_STALE, 0, 0, 0),
    exemplars: undefined,
    histograms: [
      {
        sample: 4,
        schema: 0,
        zeroThreshold: 0,
        zeroCount: 0,
        count: 3,
        sum: 4.5,
        positiveSpans: [],
        negativeSpans: [],
        positive: [],
        negative: [],
        isFloat: false,
        customBounds: undefined,
        resetHint: "unknown",
      },
    ],
    metadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
  const { items } = look(batch);
  assert.deepEqual(
    items.map((item) => (item.type === "sample" ? item.value : "")),
    ["1.5", "stale", "NaN", "-Inf", "count=3 sum=4.5"],
  );
  assert.deepEqual(plain(items[0]), {
    type: "sample",
    timestamp: "2026-01-02T00:00:00.000Z",
    labels: { __name__: "up", job: "a" },
    value: "1.5",
  });
  const values = (where: string) => look(batch, where).items.length;
  assert.equal(values("value=stale"), 1);
  assert.equal(values("name=up job=a"), 5);
  assert.equal(values("name=down"), 0);
  assert.equal(look(batch, "value=stale").looked, 5);
});

const RESOURCE = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
const SCOPE = { name: "lib", version: "1.2" };
const SPAN = {
  traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
  spanId: "00f067aa0ba902b7",
  parentSpanId: "00f067aa0ba902b8",
  name: "GET /",
  kind: 2,
  startTimeUnixNano: "1767312000000000001",
  endTimeUnixNano: "1767312000012500001",
  status: { code: 2, message: "boom" },
  attributes: [
    { key: "http.status", value: { intValue: "500" } },
    { key: "list", value: { arrayValue: { values: [{ stringValue: "a" }, { boolValue: true }] } } },
  ],
};

test("spans with resource and scope", () => {
  const batch = otlp("traces", {
    resourceSpans: [{ resource: RESOURCE, scopeSpans: [{ scope: SCOPE, spans: [SPAN] }] }],
  });
  assert.deepEqual(plain(look(batch).items), [
    {
      type: "span",
      timestamp: "2026-01-02T00:00:00.000000001Z",
      name: "GET /",
      traceId: SPAN.traceId,
      spanId: SPAN.spanId,
      parentId: SPAN.parentSpanId,
      kind: "server",
      durationMs: 12.5,
      status: "error: boom",
      attributes: { "http.status": "500", list: "[a, true]" },
      resource: { "service.name": "shop" },
      scope: "lib 1.2",
    },
  ]);
  for (const where of [
    "http.status=500",
    "service.name=shop",
    "name=~^GET",
    "BOOM",
    "kind=server",
    "type=span",
    "4bf92f35",
  ])
    assert.equal(look(batch, where).items.length, 1, where);
  for (const where of ["http.status=200", "type=log", "absent"])
    assert.equal(look(batch, where).items.length, 0, where);
});

test("data points of all kinds", () => {
  const timeUnixNano = "1767312000000000000";
  const point = { timeUnixNano, attributes: [{ key: "a", value: { stringValue: "b" } }] };
  const metrics = [
    {
      name: "g",
      gauge: {
        dataPoints: [
          { ...point, asDouble: 1.5 },
          { ...point, asInt: "-7" },
        ],
      },
    },
    {
      name: "s",
      sum: {
        dataPoints: [
          { ...point, asInt: "9007199254740993" },
          { timeUnixNano, flags: 1 },
        ],
      },
    },
    { name: "h", histogram: { dataPoints: [{ ...point, count: "4", sum: 2.5 }] } },
    { name: "e", exponentialHistogram: { dataPoints: [{ ...point, count: "5" }] } },
    { name: "q", summary: { dataPoints: [{ ...point, count: "6", sum: 3 }] } },
    { name: "none" },
  ];
  const batch = otlp("metrics", {
    resourceMetrics: [{ resource: RESOURCE, scopeMetrics: [{ scope: SCOPE, metrics }] }],
  });
  assert.equal(batch.items, 7);
  const rows = look(batch).items.map((item) => (item.type === "datapoint" ? [item.name, item.kind, item.value] : []));
  assert.deepEqual(rows, [
    ["g", "gauge", "1.5"],
    ["g", "gauge", "-7"],
    ["s", "sum", "9007199254740993"],
    ["s", "sum", "stale"],
    ["h", "histogram", "count=4 sum=2.5"],
    ["e", "exponential histogram", "count=5"],
    ["q", "summary", "count=6 sum=3"],
  ]);
  assert.deepEqual(plain(look(batch, "value=-7").items), [
    {
      type: "datapoint",
      timestamp: "2026-01-02T00:00:00.000Z",
      name: "g",
      kind: "gauge",
      value: "-7",
      attributes: { a: "b" },
      resource: { "service.name": "shop" },
      scope: "lib 1.2",
    },
  ]);
  assert.equal(look(batch, "name=s -value=stale").items.length, 1);
});

test("log records", () => {
  const logRecords = [
    {
      timeUnixNano: "1767312000000000000",
      severityNumber: 18,
      body: { stringValue: "b".repeat(5000) },
      traceId: SPAN.traceId,
    },
    {
      observedTimeUnixNano: "1767312000000000000",
      severityText: "Info",
      body: { kvlistValue: { values: SPAN.attributes } },
    },
    {},
  ];
  const batch = otlp("logs", { resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
  const items = look(batch).items.map((item) => (item.type === "logrecord" ? item : assert.fail(item.type)));
  assert.deepEqual(
    items.map(({ severity, timestamp, traceId }) => [severity, timestamp, traceId]),
    [
      ["ERROR2", "2026-01-02T00:00:00.000Z", SPAN.traceId],
      ["Info", "2026-01-02T00:00:00.000Z", ""],
      ["", "", ""],
    ],
  );
  assert.equal(items[0]!.body, `${"b".repeat(4096)}… (904 characters more)`);
  assert.equal(items[1]!.body, "{http.status=500, list=[a, true]}");
  assert.equal(look(batch, "level=info").items.length, 1);
});

test("profiles", () => {
  const labels = Labels.from([["service_name", "shop"]]);
  const batch: Batch = {
    signal: "profiles",
    profiles: [{ labels, pprof: new Uint8Array(17) }],
    acknowledgement: Acknowledgement.none,
  };
  assert.deepEqual(plain(look(batch, "service_name=shop").items), [
    { type: "profile", labels: { service_name: "shop" }, bytes: 17 },
  ]);
});

test("every item of any OTLP request can be shown, once and in order", () => {
  for (const kind of kinds) {
    fc.assert(
      fc.property(requests(kind), requests(kind), (first, second) => {
        const batch = otlp(kind, first, second);
        const { looked, items } = look(batch, "", { most: 1e6 });
        assert.equal(looked, batch.items);
        assert.equal(items.length, batch.items);
        const filtered = look(batch, "type=span type=span -nothing=x", { most: 1e6 });
        assert.equal(filtered.looked, batch.items, "with a filter, wherever the look begins");
        assert.equal(filtered.items.length, kind === "traces" ? batch.items : 0);
      }),
      { numRuns: 50 },
    );
  }
});

test("without a filter, items from all over the batch, as many as there may be", () => {
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  const batch = logs(lines);
  const { looked, items } = look(batch, "", { most: 10 });
  assert.equal(looked, 10);
  const numbers = items.map((item) => (item.type === "log" ? Number(item.line.slice(5)) : -1));
  assert.deepEqual(
    numbers.map((each) => Math.floor(each / 100)),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  for (const [sample, random, expected] of [
    [0.0105, 0.4, 11],
    [0.0105, 0.6, 10],
    [0, 0, 0],
  ] as const)
    assert.equal(look(batch, "", { sample, random: () => random }).items.length, expected);
  const spans = Array.from({ length: 1000 }, (_, i) => ({ ...SPAN, name: String(i) }));
  const picked = look(otlp("traces", { resourceSpans: [{ scopeSpans: [{ spans }] }] }), "", { most: 10 }).items;
  assert.deepEqual(
    picked.map((item) => (item.type === "span" ? Math.floor(Number(item.name) / 100) : -1)),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test("any number of picks gives that many different items", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (count, most) => {
      const batch = logs(Array.from({ length: count }, (_, i) => String(i)));
      const lines = look(batch, "", { most }).items.map((item) => (item.type === "log" ? item.line : ""));
      assert.equal(lines.length, Math.min(count, most));
      assert.equal(new Set(lines).size, lines.length);
    }),
  );
});

test("a filter on logs: words in lines, labels and metadata, fields, levels", () => {
  const lines = ['level=warn msg="disk full"', '{"level":"Error","msg":"disk gone"}', "nothing to see", "DISK"];
  const shown = (where: string, batch = logs(lines)) =>
    look(batch, where).items.map((item) => (item.type === "log" ? lines.indexOf(item.line) : -1));
  assert.deepEqual(shown("disk"), [0, 1, 3]);
  assert.deepEqual(shown("disk -full"), [1, 3]);
  assert.deepEqual(shown("disk level=error"), [1]);
  assert.deepEqual(shown("level=WARN"), [0]);
  assert.deepEqual(shown("shop"), [0, 1, 2, 3], "a label's value");
  assert.deepEqual(shown("app=shop line=~^no"), [2]);
  assert.deepEqual(
    shown(
      "disk",
      logs(lines, [
        ["disk", "sda"],
        ["level", "info"],
      ]),
    ),
    [0, 1, 3],
    "names are not searched",
  );
  assert.deepEqual(
    shown("level=info", logs(lines, [["level", "info"]])),
    [0, 1, 2, 3],
    "the label goes before the line",
  );
  const builder = new LogBatchBuilder();
  const stream = builder.streamId(Labels.empty);
  builder.addText(stream, 0, 0, lines[0]!, ["severity", "fatal"]);
  builder.addText(stream, 0, 0, lines[1]!, ["host", "disk-1"]);
  builder.addText(stream, 0, 0, lines[2]!);
  const batch = builder.take();
  assert.deepEqual(shown("level=fatal", batch), [0]);
  assert.deepEqual(shown("host=disk-1", batch), [1]);
  assert.deepEqual(shown("disk-1", batch), [1]);
});

test("a look ends when enough was shown, and when time is up", () => {
  const batch = logs(Array.from({ length: 1000 }, () => "needle"));
  for (const where of ["needle", "line=needle"]) {
    const { looked, items } = look(batch, where, { most: 7 });
    assert.equal(items.length, 7);
    assert.equal(looked, 7);
  }
  let checks = 0;
  assert.ok(look(batch, "line=x", { goOn: () => checks++ < 10 }).looked < 200);
  assert.equal(look(batch, "", { goOn: () => false }).looked, 1);
  assert.equal(look(batch, "needle", { sample: 0.5, random: () => 0.7 }).items.length, 0);
});
