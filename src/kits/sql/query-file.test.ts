import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { parseQueryFile, readQueryFile } from "./query-file.ts";

const FILE = `
pg_a:
  query: SELECT 1
  master: yes
  cache_seconds: 30
  runonserver: ">=10.0.0 <12.0.0"
  metrics:
    - name: { usage: "LABEL", description: "Name" }
    - state:
        usage: MAPPEDMETRIC
        metric_mapping: { down: 0, up: 1.5 }
    - odd: { usage: "Gauge", description: "Odd", colour: red }
pg_b:
  query: "SELECT 2"
  extra: 1
`;

test("queries have their columns, and what has no effect is said", () => {
  const { queries, warnings } = parseQueryFile(FILE);
  const [a, b] = queries;
  assert.deepEqual([a!.name, a!.query, a!.mainOnly, a!.cacheMs], ["pg_a", "SELECT 1", true, 30_000]);
  assert.deepEqual([a!.appliesTo([11, 3, 0]), a!.appliesTo([12, 0, 0])], [true, false]);
  assert.deepEqual(
    [...a!.columns].map(([name, { usage }]) => [name, usage]),
    [
      ["name", "LABEL"],
      ["state", "MAPPEDMETRIC"],
      ["odd", "DISCARD"],
    ],
  );
  assert.equal(a!.columns.get("state")!.mapping!.get("up"), 1.5);
  assert.deepEqual([b!.mainOnly, b!.cacheMs, b!.columns.size, b!.appliesTo([1, 0, 0])], [false, 0, 0, true]);
  assert.deepEqual(warnings, [
    "pg_a.odd: colour is unknown",
    "pg_a.odd: its usage is none of DISCARD, LABEL, COUNTER, GAUGE, HISTOGRAM, MAPPEDMETRIC, DURATION, so the column is left out",
    "pg_b: extra is unknown",
  ]);
  assert.deepEqual(parseQueryFile("").queries, []);
});

test("what is no such file is refused with its place", () => {
  const refusals: Readonly<Record<string, RegExp>> = {
    "- a": /must be a map of names/,
    "a: 1": /^Error: a must be a map/,
    "a b: { query: x }": /cannot begin the name of a metric/,
    "a: { query: [x] }": /a: query must be a text/,
    "a: { query: x, metrics: { b: 1 } }": /a: metrics must be a list/,
    "a: { query: x, metrics: [b] }": /each of metrics must be a map/,
    "a: { query: x, metrics: [{ b: 1 }] }": /a\.b must be a map with usage/,
    "a: { query: x, cache_seconds: -1 }": /whole number of seconds/,
    "a: { query: x, master: perhaps }": /master must be true or false/,
    "a: { query: x, runonserver: new }": /a: "new" is no condition on a version/,
    "a: { query: x, metrics: [{ 'b c': { usage: LABEL } }] }": /cannot be the name of a label/,
    "a: { query: x, metrics: [{ b: { usage: MAPPEDMETRIC, metric_mapping: { c: d } } }] }": /map of texts to numbers/,
    "a: [": /at line 1/,
  };
  for (const [text, message] of Object.entries(refusals)) assert.throws(() => parseQueryFile(text), message, text);
});

test("a file is read again when its content changes", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "invar-queries-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const path = join(folder, "queries.yaml");
  const missing = await readQueryFile(path, undefined);
  assert.deepEqual([missing.hash, missing.problem], ["", `${path} cannot be read: there is no such file`]);
  writeFileSync(path, FILE);
  const first = await readQueryFile(path, missing);
  assert.equal(first.hash, createHash("sha256").update(FILE).digest("hex"));
  assert.deepEqual([first.problem, first.queries.length], [undefined, 2]);
  writeFileSync(path, FILE);
  assert.equal(await readQueryFile(path, first), first);
  writeFileSync(path, "a: [");
  assert.match((await readQueryFile(path, first)).problem!, /queries\.yaml: .* at line 1/);
  writeFileSync(path, " ".repeat(4 * 1024 * 1024 + 1));
  assert.match((await readQueryFile(path, first)).problem!, /is larger than 4194304 bytes/);
});

test("property: any text is read or refused with an error", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."pg_a: \n-{}[]'\"queryusage1|>&*!") }), (text) => {
      try {
        assert.ok(Array.isArray(parseQueryFile(text).queries));
      } catch (error) {
        assert.ok(error instanceof Error && error.message !== "");
      }
    }),
  );
});
