import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inTreeOrder } from "./span-tree.ts";
import type { Span } from "./viewer.ts";

function span(id: string, parent: string, start: number): Span {
  const rest = { name: id, service: "s", kind: "", durationMs: 1, failed: false, message: "", attributes: [] };
  return { id, parent, start, ...rest };
}

test("parents before children, children by their begin, orphans at the top", () => {
  const spans = [span("c", "a", 5), span("b", "a", 3), span("a", "", 1), span("d", "gone", 2), span("e", "b", 4)];
  assert.deepEqual(
    inTreeOrder(spans).map(({ span, depth }) => `${span.id}${depth}`),
    ["a0", "b1", "e2", "c1", "d0"],
  );
});

test("each span is shown once, below its parent, also in traces that are damaged", () => {
  const spans = fc
    .array(fc.record({ parent: fc.integer({ min: -1, max: 12 }), start: fc.integer({ min: 0, max: 9 }) }), {
      maxLength: 12,
    })
    .map((all) => all.map(({ parent, start }, i) => span(String(i), String(parent), start)));
  fc.assert(
    fc.property(spans, (all) => {
      const placed = inTreeOrder(all);
      assert.equal(placed.length, all.length);
      assert.equal(new Set(placed.map((each) => each.span)).size, all.length);
      for (const [i, each] of placed.entries()) {
        if (each.depth === 0) continue;
        const parent = placed.slice(0, i).find((other) => other.span.id === each.span.parent);
        assert.equal(parent?.depth, each.depth - 1);
      }
    }),
  );
});
