import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { LiveItem } from "../api/json.ts";
import { pieceOf } from "../api/live-debugging.ts";
import type { Paint } from "../terminal/table.ts";
import { logfmtEvent, prettyEvent, type ShownEvent } from "./print.ts";

const TIME = "2026-01-02T03:04:05.678Z";
const plain: Paint = (_color, text) => text;
const marked: Paint = (color, text) => (color === undefined ? text : `<${color}>${text}</>`);

const around = { attributes: { "http.status": "500" }, resource: { "service.name": "shop" }, scope: "lib 1" };
const ITEMS: readonly LiveItem[] = [
  {
    type: "log",
    timestamp: TIME,
    line: 'say "hi"',
    labels: { app: "shop", level: "error" },
    metadata: { user: "u 1" },
  },
  { type: "sample", timestamp: TIME, labels: { __name__: "up", job: "a" }, value: "1" },
  {
    type: "span",
    timestamp: TIME,
    name: "GET /",
    traceId: "4bf9",
    spanId: "00f0",
    parentId: "",
    kind: "server",
    durationMs: 12.5,
    status: "error: boom",
    ...around,
  },
  { type: "datapoint", timestamp: TIME, name: "orders", kind: "sum", value: "7", ...around },
  { type: "logrecord", timestamp: TIME, severity: "WARN", body: "slow", traceId: "4bf9", spanId: "", ...around },
  { type: "profile", labels: { service_name: "shop" }, bytes: 17 },
  {
    type: "exports",
    exports: [
      {
        name: "targets",
        type: "attr",
        value: {
          type: "array",
          value: ["a:1", "b:2"].map((value) => ({
            type: "object" as const,
            value: [{ key: "__address__", value: { type: "string" as const, value } }],
          })),
        },
      },
    ],
  },
];

function event(item: LiveItem, direction: "in" | "out" = "out", peer = "loki.write.b"): ShownEvent {
  return { event: "item", time: TIME, component: "loki.process.a", direction, peer, item };
}

test("each kind of item, for people", () => {
  const body = (item: LiveItem) => prettyEvent(event(item), plain, false).slice("03:04:05.678  ".length);
  assert.deepEqual(ITEMS.map(body), [
    'say "hi"  {app="shop", level="error"}  user="u 1"',
    'up{job="a"}  1',
    "GET /  12.5 ms  server  error: boom  trace=4bf9 span=00f0  http.status=500  service.name=shop  lib 1",
    'orders{http.status="500"}  7  sum  service.name=shop  lib 1',
    "WARN slow  trace=4bf9  http.status=500  service.name=shop  lib 1",
    'profile{service_name="shop"}  17 bytes',
    'targets =\n    {__address__="a:1"}\n    {__address__="b:2"}',
  ]);
});

test("the place, colours, and a time of its own that is far off", () => {
  const [log] = ITEMS;
  assert.match(prettyEvent(event(log!), plain, true), /^\d\d:04:05\.678 {2}loki\.process\.a → loki\.write\.b {2}say/);
  assert.match(prettyEvent(event(log!, "in", ""), plain, true), /^\d\d:04:05\.678 {2}loki\.process\.a ← {2}say/);
  assert.match(prettyEvent(event(log!), marked, false), /<red>say "hi"<\/> {2}<quiet>\{app=.* user="u 1"<\/>$/);
  const late = { ...log!, timestamp: "2026-01-02T01:04:05.678Z" } as LiveItem;
  assert.match(prettyEvent(event(late), plain, false), / {2}of 2026-01-02T01:04:05\.678Z$/);
});

test("each kind of item as logfmt", () => {
  const head = `time=${TIME} component=loki.process.a direction=out to=loki.write.b type=`;
  assert.deepEqual(
    ITEMS.slice(0, 6).flatMap((item) => logfmtEvent(event(item))),
    [
      `log timestamp=${TIME} line="say \\"hi\\"" label.app=shop label.level=error metadata.user="u 1"`,
      `sample timestamp=${TIME} label.__name__=up label.job=a value=1`,
      `span timestamp=${TIME} name="GET /" trace_id=4bf9 span_id=00f0 kind=server duration_ms=12.5 status="error: boom" attribute.http.status=500 resource.service.name=shop scope="lib 1"`,
      `datapoint timestamp=${TIME} name=orders kind=sum value=7 attribute.http.status=500 resource.service.name=shop scope="lib 1"`,
      `logrecord timestamp=${TIME} severity=WARN body=slow trace_id=4bf9 attribute.http.status=500 resource.service.name=shop scope="lib 1"`,
      "profile label.service_name=shop bytes=17",
    ].map((each) => head + each),
  );
});

test("whatever is in an item, nothing reaches the terminal that it would act on, and a line stays one", () => {
  const harmful = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (name, value) => {
      const pairs = { [name]: value };
      const items: LiveItem[] = [
        { type: "log", timestamp: TIME, line: value, labels: pairs, metadata: pairs },
        { ...ITEMS[2]!, name: value, status: value, scope: name, attributes: pairs } as LiveItem,
        { type: "exports", exports: [{ name, type: "attr", value: { type: "string", value } }] },
      ];
      const state = { line: value, labels: pairs, metadata: pairs, timestamp: TIME, extracted: pairs };
      const steps = [{ stage: "0.x", outcome: "passed" as const, reason: value, after: { ...state, line: name } }];
      const trace = { before: state, steps, outcome: "passed" as const };
      const traced: ShownEvent = { event: "trace", time: TIME, component: "loki.process.a", trace };
      for (const each of [...items.map((item) => event(item)), traced]) {
        for (const line of logfmtEvent(each)) assert.doesNotMatch(line, harmful);
        const lines = prettyEvent(each, plain, true).split("\n");
        for (const line of lines) assert.doesNotMatch(line, harmful);
        if (each !== traced) assert.equal(lines.length, 1);
      }
    }),
  );
});

test("a trace has its time in front, and is a line for each stage as logfmt", () => {
  const state = { timestamp: TIME, line: "a", labels: { app: "shop" }, metadata: {}, extracted: {} };
  const steps = [
    { stage: "0.json", outcome: "passed" as const, reason: "", after: { ...state, extracted: { level: "debug" } } },
    { stage: "1.drop", outcome: "dropped" as const, reason: "too noisy", after: null },
  ];
  const trace = { before: state, steps, outcome: "dropped" as const };
  const event: ShownEvent = { event: "trace", time: TIME, component: "loki.process.a", trace };
  assert.match(prettyEvent(event, plain, false), /^\d\d:04:05\.678 {2}dropped by 1\.drop\n {2}2026-/);
  assert.match(prettyEvent(event, plain, true), /^\d\d:04:05\.678 {2}loki\.process\.a {2}dropped by 1\.drop\n/);
  const head = `time=${TIME} component=loki.process.a type=trace`;
  assert.deepEqual(logfmtEvent(event), [
    `${head} outcome=dropped timestamp=${TIME} line=a label.app=shop`,
    `${head} stage=0.json outcome=passed timestamp=${TIME} line=a label.app=shop extracted.level=debug`,
    `${head} stage=1.drop outcome=dropped reason="too noisy"`,
  ]);
});

test("Alloy's live debugging shows the same items as texts", () => {
  assert.deepEqual(
    ITEMS.map((item) => pieceOf(event(item))),
    [
      `[OUT] loki.write.b: timestamp: ${TIME}, entry: say "hi", labels: {app="shop", level="error"}, structured_metadata: {"user":"u 1"}|;|`,
      `[OUT] loki.write.b: sample: ts=${Date.parse(TIME)}, labels={__name__="up", job="a"}, value=1|;|`,
      `[OUT] loki.write.b: span: GET /, kind: server, status: error: boom, start: ${TIME}, duration: 12.5ms, trace: 4bf9, span: 00f0, parent: , attributes: {http.status="500"}, resource: {service.name="shop"}, scope: lib 1|;|`,
      `[OUT] loki.write.b: sum: orders, timestamp: ${TIME}, value: 7, attributes: {http.status="500"}, resource: {service.name="shop"}, scope: lib 1|;|`,
      `[OUT] loki.write.b: log record: slow, timestamp: ${TIME}, severity: WARN, trace: 4bf9, span: , attributes: {http.status="500"}, resource: {service.name="shop"}, scope: lib 1|;|`,
      '[OUT] loki.write.b: profile: {service_name="shop"}, 17 bytes|;|',
      `exports: ${JSON.stringify((ITEMS[6] as { exports: unknown }).exports)}|;|`,
    ],
  );
  assert.equal(pieceOf(event(ITEMS[1]!, "in", ""))?.slice(0, 12), "[IN]: sample");
  assert.equal(pieceOf({ event: "passed", time: TIME, items: 1, looked: 1, shown: 1 }), undefined);
});
