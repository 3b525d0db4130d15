import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SqlKind, SqlResult } from "./result.ts";
import { arrayNumbers, renderView, type SqlView, type ViewColumn } from "./view.ts";

function result(columns: Readonly<Record<string, SqlKind>>, ...rows: (string | null)[][]): SqlResult {
  return { columns: Object.entries(columns).map(([name, kind]) => ({ name, kind })), rows };
}

function view(columns: Readonly<Record<string, ViewColumn>>): SqlView {
  return { name: "v", query: "", columns: new Map(Object.entries(columns)) };
}

const lines = (samples: ReturnType<typeof renderView>["samples"]) =>
  samples.map(({ family, sample }) => `${family.type} ${sample.name}{${sample.labels.join("|")}} ${sample.value}`);

test("columns are what the view says, others untyped if they are numbers", () => {
  const rendered = renderView(
    view({
      db: { usage: "LABEL", help: "" },
      n: { usage: "COUNTER", help: "Numbers" },
      state: { usage: "MAPPEDMETRIC", help: "", mapping: new Map([["up", 2]]) },
      took: { usage: "DURATION", help: "" },
      skipped: { usage: "DISCARD", help: "" },
    }),
    result(
      { db: "text", n: "integer", state: "text", took: "text", skipped: "text", other: "boolean", words: "text" },
      ["a", null, "up", "1m30s", "x", "true", "hello"],
      ["b", "7", "7", "12", "x", "false", "hello"],
      ["c", "7", "odd", "soon", "x", null, null],
    ),
    ["server", "s"],
  );
  assert.deepEqual(lines(rendered.samples), [
    "counter v_n{server|s|db|a} NaN",
    "gauge v_state{server|s|db|a} 2",
    "gauge v_took_milliseconds{server|s|db|a} 90000",
    "untyped v_other{server|s|db|a} 1",
    "counter v_n{server|s|db|b} 7",
    "gauge v_state{server|s|db|b} 7",
    "gauge v_took_milliseconds{server|s|db|b} 12",
    "untyped v_other{server|s|db|b} 0",
    "counter v_n{server|s|db|c} 7",
    "untyped v_other{server|s|db|c} NaN",
    "untyped v_words{server|s|db|c} NaN",
  ]);
  assert.deepEqual(rendered.unknownTexts, ["words"]);
  assert.deepEqual(
    [...rendered.problems],
    [
      ["state", 'its metric_mapping has no number for "odd"'],
      ["took", '"soon" is no duration'],
    ],
  );
  assert.equal(rendered.samples[0]!.family.help, "Numbers");
  assert.equal(rendered.samples[3]!.family.help, "Unknown metric from v");
});

test("a histogram is an array of bounds with columns beside it", () => {
  const histogram = view({ s: { usage: "HISTOGRAM", help: "" } });
  const columns = { s: "text", s_bucket: "text", s_sum: "text", s_count: "integer" } as const;
  const good = renderView(histogram, result(columns, ["{2.5,1,Infinity}", "{3,2,4}", "12.5", "4"]), []);
  assert.deepEqual(lines(good.samples), [
    "histogram v_s_bucket{le|1} 2",
    "histogram v_s_bucket{le|2.5} 3",
    "histogram v_s_bucket{le|+Inf} 4",
    "histogram v_s_sum{} 12.5",
    "histogram v_s_count{} 4",
  ]);
  const problem = (given: SqlResult) => renderView(histogram, given, []).problems.get("s");
  assert.match(problem(result({ s: "text", s_sum: "text" }, ["{1}", "1"]))!, /needs columns of this name/);
  assert.match(problem(result(columns, ["{1", "{1}", "1", "1"]))!, /no array of numbers/);
  assert.match(problem(result(columns, ["{1}", "{NULL}", "1", "1"]))!, /no array of numbers/);
  assert.match(problem(result(columns, ["{1}", "{1}", "x", "1"]))!, /sum or count is not a number/);
});

test("a label without its column takes the first one's value, and names must be names", () => {
  const rendered = renderView(
    view({ slot: { usage: "LABEL", help: "" } }),
    result({ pid: "integer", "?column?": "integer" }, ["42", "1"]),
    [],
  );
  assert.deepEqual(lines(rendered.samples), ["untyped v_pid{slot|42} 42"]);
  assert.match(rendered.problems.get("slot")!, /no such column/);
  assert.match(rendered.problems.get("?column?")!, /rename it with AS/);
});

test("property: arrays of numbers are read as they are written", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true })), (numbers) => {
      const read = arrayNumbers(`{${numbers.map((each) => (each === 0 ? "0" : String(each))).join(",")}}`);
      assert.deepEqual(
        read,
        numbers.map((each) => each + 0 || 0),
      );
    }),
  );
  for (const text of [null, "", "1", "{a}", "{1,}", "{1,{2}}"]) assert.equal(arrayNumbers(text), undefined);
});
