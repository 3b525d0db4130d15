import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseFilter } from "#base/filter";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { LogSearch } from "./log-search.ts";

/** A batch whose lines lie in `data` at the given places. */
function batchOf(
  data: Buffer,
  places: readonly (readonly [start: number, end: number])[],
  labels = Labels.empty,
): LogBatch {
  const count = places.length;
  return {
    signal: "logs",
    count,
    data,
    start: Int32Array.from(places, ([start]) => start),
    end: Int32Array.from(places, ([, end]) => end),
    ms: new Float64Array(count),
    ns: new Int32Array(count),
    stream: new Int32Array(count),
    streams: [labels],
    metadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
}

function found(search: LogSearch, batch: LogBatch): number[] {
  const entries: number[] = [];
  assert.equal(
    search.run(
      batch,
      (entry) => {
        entries.push(entry);
        return true;
      },
      () => true,
    ),
    batch.count,
  );
  return entries;
}

test("finds just the lines that hold the word, wherever they lie in the bytes", () => {
  const letters = fc.constantFrom("a", "A", "b", "B", "ä", "\n", " ");
  const line = fc.string({ unit: letters, maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(fc.record({ line, gap: fc.constantFrom(0, 0, 1, 3, 2000), bytes: line }), {
        maxLength: 40,
        size: "max",
      }),
      fc.constantFrom("ab", "a", "bab", "b a"),
      fc.boolean(),
      (parts, word, reversed) => {
        const pieces: Buffer[] = [];
        const places: [number, number][] = [];
        let length = 0;
        for (const part of parts) {
          const gap = Buffer.alloc(part.gap, `${part.bytes}ab`);
          const text = Buffer.from(part.line);
          pieces.push(gap, text);
          places.push([length + gap.length, length + gap.length + text.length]);
          length += gap.length + text.length;
        }
        if (reversed) places.reverse();
        const batch = batchOf(Buffer.concat(pieces), places);
        const search = LogSearch.for(parseFilter(`"${word}"`))!;
        const expected = [...places.keys()].filter((i) =>
          batch.data
            .subarray(...places[i]!)
            .toString()
            .toLowerCase()
            .includes(word),
        );
        assert.deepEqual(found(search, batch), expected);
      },
    ),
    { numRuns: 500 },
  );
});

test("lines longer than a piece, and at the borders of pieces", () => {
  const lines = [`${"x".repeat(100_000)}needle`, "y".repeat(32 * 1024 - 3), "needle", "NEEDLE", "z".repeat(70_000)];
  const places: [number, number][] = [];
  let length = 0;
  for (const line of lines) {
    places.push([length, length + line.length]);
    length += line.length;
  }
  const batch = batchOf(Buffer.from(lines.join("")), places);
  assert.deepEqual(found(LogSearch.for(parseFilter("needle"))!, batch), [0, 2, 3]);
});

test("stops when enough was found, and between pieces when time is up", () => {
  const line = "needle in a stack of hay".padEnd(1000);
  const places = Array.from({ length: 100 }, (_, i): [number, number] => [i * 1000, (i + 1) * 1000]);
  const batch = batchOf(Buffer.from(line.repeat(100)), places);
  const search = LogSearch.for(parseFilter("needle"))!;
  assert.equal(
    search.run(
      batch,
      (entry) => entry < 4,
      () => true,
    ),
    5,
  );
  let asked = 0;
  assert.equal(
    search.run(
      batch,
      () => true,
      () => asked++ < 2,
    ),
    64,
    "two pieces of 32 KiB",
  );
});

test("serves the longest word that has characters of ASCII, and only where the lines alone decide", () => {
  assert.equal(LogSearch.for(parseFilter("-word level=error line=~x")), undefined);
  assert.equal(LogSearch.for(parseFilter("ÄÖÜ")), undefined);
  const search = LogSearch.for(parseFilter("ab zeitüberschreitung"))!;
  const data = Buffer.from("ZEITüBERSCHREITUNG|zeituberschreitung|berschreitung");
  assert.deepEqual(
    found(
      search,
      batchOf(data, [
        [0, 19],
        [20, 38],
        [39, 52],
      ]),
    ),
    [0, 1, 2],
    "some that the filter refuses",
  );
  const quiet = batchOf(data, [[0, 19]], Labels.from([["app", "shop"]]));
  assert.ok(search.suits(quiet));
  assert.ok(!search.suits({ ...quiet, metadata: [["a", "b"]] }));
  assert.ok(!LogSearch.for(parseFilter("SHOP"))!.suits(quiet), "the label holds it");
});
