import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntryStateJson } from "#app/api/json";
import { changesOf } from "./changes.ts";

const ENTRY: EntryStateJson = {
  line: "a",
  labels: { app: "web" },
  metadata: {},
  timestamp: "2026-01-01T00:00:00.000Z",
  extracted: {},
};

test("nothing changed: nothing said", () => {
  assert.deepEqual(changesOf(ENTRY, { ...ENTRY, labels: { app: "web" } }), []);
});

test("each value that came, went or changed is one change", () => {
  const before = { ...ENTRY, labels: { app: "web", pod: "x" }, extracted: { took: 3 } };
  const after: EntryStateJson = {
    line: "b",
    labels: { app: "shop", level: "warn" },
    metadata: { trace_id: "1" },
    timestamp: "2026-01-01T00:00:01.000Z",
    extracted: { took: "3", ok: true, nothing: null },
  };
  assert.deepEqual(
    changesOf(before, after).map(({ kind, what, before, after }) => `${kind} ${what}: ${before} > ${after}`),
    [
      "changed line: a > b",
      "changed timestamp: 2026-01-01T00:00:00.000Z > 2026-01-01T00:00:01.000Z",
      "changed label app: web > shop",
      "added label level:  > warn",
      "removed label pod: x > ",
      "added metadata trace_id:  > 1",
      "changed extracted took: 3 > 3",
      "added extracted ok:  > true",
      "added extracted nothing:  > null",
    ],
  );
});

test("names that every object has are ordinary names", () => {
  const after = { ...ENTRY, labels: { ...ENTRY.labels, constructor: "x" } };
  assert.deepEqual(
    changesOf(ENTRY, after).map(({ kind, what }) => `${kind} ${what}`),
    ["added label constructor"],
  );
});
