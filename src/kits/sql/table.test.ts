import assert from "node:assert/strict";
import { test } from "node:test";
import { counter, gauge, Page } from "../exporter/page.ts";
import { cellLabel, cellNumber, type SqlResult } from "./result.ts";
import { addTable, of, type SqlTable } from "./table.ts";

const RESULT: SqlResult = {
  columns: [
    { name: "name", kind: "text" },
    { name: "rows", kind: "integer" },
    { name: "share", kind: "float" },
  ],
  rows: [
    ["a", "1", "0.5"],
    [null, "2", null],
    ["c", null, "1e7"],
  ],
};

function samples(table: SqlTable, result = RESULT): string[] {
  const page = new Page();
  addTable(page, result, table);
  return page
    .families()
    .flatMap((family) => family.samples.map(({ name, labels, value }) => `${name} ${labels.join("=")} ${value}`));
}

test("each row gives a sample of each metric, and NULL is what the table says", () => {
  const rows = counter("t_rows_total", "Rows", "name");
  const share = gauge("t_share", "Share", "name");
  assert.deepEqual(samples({ metrics: [of("rows", rows), of("share", share, "skip")] }), [
    "t_rows_total name=a 1",
    "t_rows_total name=unknown 2",
    "t_rows_total name=c 0",
    "t_share name=a 0.5",
    "t_share name=c 10000000",
  ]);
  assert.deepEqual(samples({ metrics: [of("rows", rows)], nullLabel: "skip row" }), [
    "t_rows_total name=a 1",
    "t_rows_total name=c 0",
  ]);
  assert.deepEqual(samples({ metrics: [of("rows", rows), of("share", share, "skip row")] }), [
    "t_rows_total name=a 1",
    "t_rows_total name=c 0",
    "t_share name=a 0.5",
    "t_share name=c 10000000",
  ]);
});

test("a result that does not fit the table is an error that names the column", () => {
  assert.throws(() => samples({ metrics: [of("size", gauge("t", ""))] }), /has no column size/);
  assert.throws(() => samples({ metrics: [of("rows", gauge("t", "", "host"))] }), /has no column host/);
  assert.throws(() => samples({ metrics: [of("name", gauge("t", ""))] }), /the column name is not a number/);
});

test("cells are numbers or labels by their kind", () => {
  assert.equal(cellNumber("integer", "9007199254740993"), 9007199254740992);
  assert.equal(cellLabel("integer", "9007199254740993"), "9007199254740993");
  assert.equal(cellNumber("boolean", "true"), 1);
  assert.equal(cellNumber("time", "1700000000"), 1_700_000_000);
  assert.equal(cellNumber("float", "Infinity"), Infinity);
  assert.equal(cellNumber("text", " 1"), undefined);
  assert.ok(Number.isNaN(cellNumber("text", null)));
  assert.equal(cellLabel("float", "12345678.9"), "1.23456789e+07");
  assert.equal(cellLabel("float", "123456.5"), "123456.5");
  assert.equal(cellLabel("text", null), "");
});
