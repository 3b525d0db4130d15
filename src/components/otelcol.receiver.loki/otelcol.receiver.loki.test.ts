import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { ManualClock } from "#base/manual-clock.testing";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import { PermanentError } from "#pipeline/errors";
import { logBatch } from "#pipeline/log-batch";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import definition from "./otelcol.receiver.loki.ts";

interface Decoded {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly timeUnixNano: string;
        readonly observedTimeUnixNano: string;
        readonly body: { readonly stringValue: string };
        readonly attributes?: readonly { readonly key: string; readonly value: { readonly stringValue: string } }[];
      }[];
    }[];
  }[];
}

async function convert(batch: ReturnType<typeof logBatch>, now = 1_700_000_000_000) {
  const out = recordOtlp();
  const clock = new ManualClock(now);
  await using component = await startComponent(definition, "output {\n logs = [out]\n}", {
    scope: { out: out.value },
    clock,
  });
  await component.exports.receiver!.consume(batch, new AbortController().signal);
  assert.equal(out.items.length, 1);
  const { kind, items, parts, bytes } = out.items[0]!;
  assert.deepEqual([kind, items, bytes], ["logs", batch.count, parts[0]!.length]);
  const decoded = oracleDecode("logs", parts[0]!) as unknown as Decoded;
  return decoded.resourceLogs[0]!.scopeLogs[0]!.logRecords.map((record) => ({
    time: record.timeUnixNano,
    observed: record.observedTimeUnixNano,
    body: record.body.stringValue,
    attributes: Object.fromEntries((record.attributes ?? []).map(({ key, value }) => [key, value.stringValue])),
    keys: (record.attributes ?? []).map(({ key }) => key),
  }));
}
const labels = (pairs: Readonly<Record<string, string>>) => Labels.from(Object.entries(pairs));

test("an entry becomes a log record with its labels, and the hint that makes labels of them again", async () => {
  const web = labels({ filename: "/var/log/app/errors.log", app: "web" });
  const [first, second] = await convert(
    logBatch([
      { labels: web, line: "It's super effective!", ms: 1_721_000_000_123, ns: 456_789 },
      { labels: Labels.empty, line: "", ms: 0, ns: 7 },
    ]),
  );
  assert.deepEqual(first, {
    time: "1721000000123456789",
    observed: "1700000000000000000",
    body: "It's super effective!",
    attributes: {
      "log.file.path": "/var/log/app/errors.log",
      "log.file.name": "errors.log",
      "loki.attribute.labels": "app,filename",
      app: "web",
      filename: "/var/log/app/errors.log",
    },
    keys: ["log.file.path", "log.file.name", "loki.attribute.labels", "app", "filename"],
  });
  assert.deepEqual(second, { time: "7", observed: "1700000000000000000", body: "", attributes: {}, keys: [] });
});

test("structured metadata becomes attributes and wins over labels", async () => {
  const web = labels({ app: "web" });
  const records = await convert(
    logBatch([
      { labels: web, line: "a", metadata: ["trace_id", "0af7", "pod", "x"] },
      { labels: web, line: "b", metadata: ["app", "other", "n", "1", "n", "2"] },
      { labels: web, line: "c" },
    ]),
  );
  assert.deepEqual(
    records.map(({ attributes }) => attributes),
    [
      { "loki.attribute.labels": "app", app: "web", trace_id: "0af7", pod: "x" },
      { "loki.attribute.labels": "app", app: "other", n: "2" },
      { "loki.attribute.labels": "app", app: "web" },
    ],
  );
});

test("a line that is no UTF-8 gets replacement characters, since OTLP has strings only", async () => {
  const grinning = Buffer.from("a😀b");
  const bad = Buffer.from([0x61, 0xff, 0x62]);
  const mixed = await convert(logBatch([{ line: "Grüße" }, { line: bad }, { line: "plain" }]));
  assert.deepEqual(
    mixed.map(({ body }) => body),
    ["Grüße", "a\ufffdb", "plain"],
  );
  // A line that was cut inside of a character, in bytes that are text as a whole.
  const cut = logBatch([{ line: grinning }]);
  cut.end[0] = 3;
  assert.deepEqual(
    (await convert(cut)).map(({ body }) => body),
    ["a\ufffd"],
  );
  const rest = logBatch([{ line: grinning }]);
  rest.start[0] = 3;
  assert.deepEqual(
    (await convert(rest)).map(({ body }) => body.at(-1)),
    ["b"],
  );
});

test("names of files as path.Base gives them", async () => {
  const names = ["/", "", "a/b//", "plain.log", "/x/y"];
  const records = await convert(logBatch(names.map((filename) => ({ labels: labels({ filename }), line: "" }))));
  assert.deepEqual(
    records.map(({ attributes }) => attributes["log.file.name"]),
    ["/", ".", "b", "plain.log", "y"],
  );
});

test("times before 1970 wrap around, as in Go", async () => {
  const [record] = await convert(logBatch([{ line: "", ms: -1, ns: 0 }]));
  assert.equal(record!.time, String(2n ** 64n - 1_000_000n));
});

test("the source is told when the OTLP batch is safe, and of a refusal", async () => {
  const out = recordOtlp();
  await using component = await startComponent(definition, "output {\n logs = [out]\n}", { scope: { out: out.value } });
  const { signal } = new AbortController();
  const taken = acknowledged();
  await component.exports.receiver!.consume(logBatch([{ line: "x" }], taken.acknowledgement), signal);
  assert.ok(taken.fired);
  out.gate = () => {
    throw new PermanentError("not_wanted", "no room for this");
  };
  const refused = acknowledged();
  await component.exports.receiver!.consume(logBatch([{ line: "x" }], refused.acknowledgement), signal);
  assert.ok(refused.fired); // dropped for good, and counted
  assert.equal(component.flow.dropped.get("otlp")?.get("not_wanted"), 1);
  const empty = acknowledged();
  await component.exports.receiver!.consume(logBatch([], empty.acknowledgement), signal);
  assert.ok(empty.fired);
});
