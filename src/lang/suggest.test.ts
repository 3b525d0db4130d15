import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { editDistance, nearest } from "./suggest.ts";

test("a slip of the pen is recognised", () => {
  const names = ["loki.write", "loki.source.file", "prometheus.scrape", "prometheus.relabel"];
  assert.equal(nearest("loki.wirte", names), "loki.write");
  assert.equal(nearest("prometheus.scrap", names), "prometheus.scrape");
  assert.equal(nearest("Loki.Write", names), "loki.write");
  assert.equal(nearest("local.file", names), undefined);
});

test("short names need to be close, and the name itself is no suggestion", () => {
  assert.equal(nearest("ab", ["xy"]), undefined);
  assert.equal(nearest("a", ["b"]), "b");
  assert.equal(nearest("url", ["url"]), undefined);
  assert.equal(nearest("", ["a"]), undefined);
});

test("of equally near names the first wins", () => {
  assert.equal(nearest("bat", ["cat", "hat"]), "cat");
});

test("the search is bounded", () => {
  assert.equal(nearest("x".repeat(100_000), ["x".repeat(99_999)]), undefined);
});

/** The definition of the distance, without any shortcut. */
function plainDistance(a: string, b: string): number {
  const table = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const options = [
        table[i - 1]![j]! + 1,
        table[i]![j - 1]! + 1,
        table[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      ];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) options.push(table[i - 2]![j - 2]! + 1);
      table[i]![j] = Math.min(...options);
    }
  }
  return table[a.length]![b.length]!;
}

test("the limit changes no distance within it", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 });
  fc.assert(
    fc.property(text, text, fc.nat(8), (a, b, limit) => {
      const distance = plainDistance(a, b);
      const found = editDistance(a, b, limit);
      return distance <= limit ? found === distance : found > limit;
    }),
  );
});
