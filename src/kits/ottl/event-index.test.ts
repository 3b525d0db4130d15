import assert from "node:assert/strict";
import { test } from "node:test";
import { OTTL_DATA } from "./data.testing.ts";
import { canonical, differences, runStatements } from "./run.testing.ts";

test("statements know which event of its span one is", () => {
  const result = runStatements(
    "traces",
    "spanevent",
    ["set(dropped_attributes_count, event_index + 5)"],
    OTTL_DATA.traces,
  );
  assert.ok("bytes" in result && result.bytes !== undefined);
  const events = "resourceSpans.0.scopeSpans.0.spans.0.events";
  assert.deepEqual(differences(canonical("traces", OTTL_DATA.traces), canonical("traces", result.bytes)), {
    [`${events}.0.droppedAttributesCount`]: 5,
    [`${events}.1.droppedAttributesCount`]: 6,
  });
});
