import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { SeriesRegistry } from "#pipeline/series";
import { EntryReader, type InputEntry, InputError, parseLabels, readSamples } from "./input.ts";

const NOW = 1_700_000_000_000;

function read(form: "lines" | "json", text: string | Uint8Array, labels = Labels.empty): InputEntry[] {
  const reader = new EntryReader(form, labels, () => NOW);
  return [...reader.read(Buffer.from(text)), ...reader.end()];
}

const text = (line: Uint8Array | string) => Buffer.from(line).toString("utf8");

test("lines become entries with the given labels, each a nanosecond later", () => {
  const labels = Labels.from([["app", "web"]]);
  const entries = read("lines", "one\r\n\ntwo", labels);
  assert.deepEqual(
    entries.map(({ line, ms, ns, metadata }) => [text(line), ms, ns, metadata]),
    [
      ["one", NOW, 0, []],
      ["", NOW, 1, []],
      ["two", NOW, 2, []],
    ],
  );
  assert.ok(entries.every((entry) => entry.labels === labels));
  assert.deepEqual(read("lines", ""), []);
  assert.equal(read("lines", "\n").length, 1);
});

test("bytes that are no UTF-8 stay as they are", () => {
  const [entry] = read("lines", Uint8Array.of(0x61, 0xff, 0x0a));
  assert.deepEqual(Buffer.from(entry!.line), Buffer.of(0x61, 0xff));
});

test("objects say labels, time and metadata; what they leave out is given or made", () => {
  const entries = read(
    "json",
    `{"line":"a","labels":{"env":"dev","app":"own"},"timestamp":"2026-01-31T12:00:00.123456789+01:00","metadata":{"t":"1"}}\r\n\n{"line":""}`,
    Labels.from([["app", "web"]]),
  );
  assert.deepEqual(
    entries.map((entry) => ({ ...entry, labels: entry.labels.toString() })),
    [
      {
        line: "a",
        labels: '{app="own", env="dev"}',
        ms: Date.parse("2026-01-31T11:00:00.123Z"),
        ns: 456_789,
        metadata: ["t", "1"],
      },
      { line: "", labels: '{app="web"}', ms: NOW, ns: 0, metadata: [] },
    ],
  );
  // What `--format json` of pipe and of tap writes can be fed again.
  const live = `{"event":"item","time":"2026-01-31T12:00:00Z","component":"loki.source.file.x","direction":"out","peer":"","item":{"type":"log","timestamp":"2026-01-31T12:00:00Z","line":"x","labels":{},"metadata":{}}}
{"event":"passed","time":"2026-01-31T12:00:01Z","items":1,"looked":1,"shown":1}`;
  assert.deepEqual(
    read("json", live).map(({ line, ms }) => [line, ms]),
    [["x", Date.parse("2026-01-31T12:00:00Z")]],
  );
  assert.equal(
    read("json", '{"type":"log","timestamp":"2026-01-31T12:00:00Z","line":"x","labels":{},"metadata":{}}').length,
    1,
  );
});

test("what cannot be read is named with its line", () => {
  const cases: [string, RegExp][] = [
    ["{", /^line 2 of the input is not JSON: [^()]*; each line has to be an object with line/],
    ["[]", /^line 2 of the input is not a JSON object/],
    ["null", /^line 2 of the input is not a JSON object/],
    ["{}", /^line 2 of the input has no text `line`/],
    ['{"line":1}', /^line 2 of the input has no text `line`/],
    ['{"line":"x","label":{}}', /^line 2 of the input has the unknown key "label"/],
    ['{"line":"x","labels":{"a":1}}', /^line 2 of the input needs an object of texts as `labels`/],
    ['{"line":"x","metadata":[]}', /^line 2 of the input needs an object of texts as `metadata`/],
    ['{"line":"x","timestamp":"today"}', /^line 2 of the input needs a `timestamp` in RFC 3339/],
    ['{"line":"x","timestamp":5}', /^line 2 of the input needs a `timestamp` in RFC 3339/],
  ];
  for (const [bad, message] of cases) {
    const reader = new EntryReader("json", Labels.empty, () => NOW);
    const seen: string[] = [];
    const readAll = () => {
      for (const { line } of reader.read(Buffer.from(`{"line":"good"}\n${bad}\n{"line":"never"}\n`)))
        seen.push(text(line));
    };
    assert.throws(readAll, (error) => error instanceof InputError && message.test(error.message), bad);
    assert.deepEqual(seen, ["good"], "what stands before it has been read");
  }
});

test("entries are the same however the text is cut into pieces", () => {
  const lines = fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("\r", "a\r", "")));
  fc.assert(
    fc.property(lines, fc.array(fc.nat(200)), fc.constantFrom("", "\n"), (parts, cuts, end) => {
      const bytes = Buffer.from(parts.map((each) => each.replaceAll("\n", "")).join("\n") + end);
      const whole = read("lines", bytes).map(({ line, ns }) => [text(line), ns]);
      const reader = new EntryReader("lines", Labels.empty, () => NOW);
      const pieces: unknown[] = [];
      let at = 0;
      for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
        const to = Math.min(Math.max(cut, at), bytes.length);
        // The reader must have copied what it keeps: the chunk is used again.
        const chunk = Uint8Array.from(bytes.subarray(at, to));
        for (const { line, ns } of reader.read(chunk)) pieces.push([text(line), ns]);
        chunk.fill(0);
        at = to;
      }
      for (const { line, ns } of reader.end()) pieces.push([text(line), ns]);
      assert.deepEqual(pieces, whole);
    }),
  );
});

test("labels are written as a selector of equal matches", () => {
  assert.equal(parseLabels("").size, 0);
  assert.equal(parseLabels(" {} ").size, 0);
  assert.equal(parseLabels('{ b="2", a="x y" }').toString(), '{a="x y", b="2"}');
  for (const bad of ['{a=~"b"}', '{a="b"} |= "c"']) assert.throws(() => parseLabels(bad), /not a label set/);
  for (const bad of ["a", '{a="b"', "{a=b}"])
    assert.throws(() => parseLabels(bad), /cannot be read: parse error.*write them as/);
});

test("samples are read from the text format; labels of their own win", () => {
  const series = new SeriesRegistry();
  const page = Buffer.from('# TYPE up gauge\nup{job="a"} 1\nup{job="b",i="2"} NaN 5000\nx 2.5');
  const batch = readSamples(
    page,
    "lines",
    Labels.from([
      ["job", "given"],
      ["i", "1"],
    ]),
    series,
    NOW + 0.5,
  );
  assert.equal(batch.count, 3);
  assert.deepEqual(
    Array.from(batch.ref, (ref) => series.labels(ref).toString()),
    ['{__name__="up", i="1", job="a"}', '{__name__="up", i="2", job="b"}', '{__name__="x", i="1", job="given"}'],
  );
  assert.deepEqual([...batch.timestamp], [NOW, 5_000, NOW]);
  assert.deepEqual([...batch.value], [1, Number.NaN, 2.5]);
  assert.equal(readSamples(Buffer.alloc(0), "lines", Labels.empty, series, NOW).count, 0);
  assert.throws(
    () => readSamples(Buffer.from("up{ 1\n"), "lines", Labels.empty, series, NOW),
    (error) => error instanceof InputError && /not in Prometheus's text format: /.test(error.message),
  );
});
