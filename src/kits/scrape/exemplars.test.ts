import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import type { PageExemplar } from "#formats/exposition/columns";
import type { Exemplar } from "#pipeline/batch";
import { ScrapeExemplars } from "./exemplars.ts";

const exemplar = (trace: string, value: number, timestamp: number): PageExemplar => ({
  sample: 0,
  labels: Labels.from([["trace", trace]]),
  value,
  timestamp,
});

function keep(exemplars: ScrapeExemplars, candidates: readonly PageExemplar[], time = 1_000): Exemplar[] {
  const kept: Exemplar[] = [];
  exemplars.begin();
  exemplars.add(kept, candidates, 5, 3, time);
  return kept;
}

test("those of one sample go on in the order of their times, each once", () => {
  const exemplars = new ScrapeExemplars();
  const ring = [exemplar("c", 3, 30), exemplar("a", 1, 10), exemplar("b", 2, 20)];
  assert.deepEqual(
    keep(exemplars, ring).map(({ sample, timestamp }) => [sample, timestamp]),
    [
      [3, 10],
      [3, 20],
      [3, 30],
    ],
  );
  assert.deepEqual(keep(exemplars, ring), []);
  assert.equal(exemplars.outOfOrder, 0, "the last one is the same");
  assert.equal(keep(exemplars, [...ring, exemplar("d", 4, 40)]).length, 1);
  assert.deepEqual(keep(exemplars, [exemplar("x", 1, 5)]), []);
  assert.equal(exemplars.outOfOrder, 1);
  exemplars.forget(5);
  assert.equal(keep(exemplars, [exemplar("x", 1, 5)]).length, 1);
});

test("without a time an exemplar has that of its sample, and is the same at any", () => {
  const exemplars = new ScrapeExemplars();
  assert.equal(keep(exemplars, [exemplar("a", 1, NaN)], 1_000)[0]!.timestamp, 1_000);
  assert.deepEqual(keep(exemplars, [exemplar("a", 1, NaN)], 2_000), []);
  assert.equal(keep(exemplars, [exemplar("a", 2, NaN)], 3_000)[0]!.timestamp, 3_000);
  assert.deepEqual(keep(exemplars, [{ ...exemplar("a", 1, 1), labels: undefined }]), []);
  assert.equal(exemplars.invalid, 1);
});

test("what goes on is never older than what went before", () => {
  const one = fc.tuple(fc.constantFrom("a", "b"), fc.nat(3), fc.oneof(fc.nat(9), fc.constant(NaN)));
  fc.assert(
    fc.property(fc.array(fc.array(one, { maxLength: 4 }), { maxLength: 8 }), (pages) => {
      const exemplars = new ScrapeExemplars();
      let last = -Infinity;
      for (const [i, page] of pages.entries()) {
        const kept = keep(
          exemplars,
          page.map((each) => exemplar(...each)),
          100 + i,
        );
        for (const { timestamp } of kept) {
          assert.ok(timestamp >= last);
          last = timestamp;
        }
      }
    }),
  );
});
