import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricFamily } from "#base/metrics";
import { withoutDuplicates } from "./duplicates.ts";

function family(name: string, ...samples: readonly (readonly string[])[]): MetricFamily {
  return { name, help: "", type: "gauge", samples: samples.map((labels, value) => ({ name, labels, value })) };
}

test("of samples with the same labels the first stays, whatever the order of labels", () => {
  const plain = family("a", [], ["x", "1"]);
  const { families, dropped, example } = withoutDuplicates([
    plain,
    family("b", ["x", "1", "y", "2"], ["y", "2", "x", "1"], ["x", "1", "y", ""], ["x", "1"]),
  ]);
  assert.equal(families[0], plain);
  assert.deepEqual(
    families[1]!.samples.map(({ value }) => value),
    [0, 2],
  );
  assert.deepEqual([dropped, example], [2, "b"]);
});
