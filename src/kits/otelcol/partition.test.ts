import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { itemsOf, kinds, oracleEncode, requests } from "#formats/otlp/oracle.testing";
import { ProtobufError } from "#formats/protobuf";
import { RequestPartition } from "./partition.ts";

const GROUPS = 4;

for (const kind of kinds) {
  test(`${kind}: every item is in the request of its group, once, in order, with its resource and scope`, () => {
    const partition = new RequestPartition();
    fc.assert(
      fc.property(
        requests(kind),
        fc.array(fc.integer({ min: -1, max: GROUPS - 1 }), { minLength: 1 }),
        (bytes, picks) => {
          partition.read(kind, bytes);
          const { entries, entryItems } = partition.index;
          const all = itemsOf(kind, bytes);
          const wanted: string[][] = Array.from({ length: GROUPS }, () => []);
          let item = 0;
          for (let e = 0; e < entries; e++) {
            const group = picks[e % picks.length]!;
            partition.groups[e] = group;
            for (let i = 0; i < entryItems[e]!; i++) if (group >= 0) wanted[group]!.push(all[item + i]!);
            item += entryItems[e]!;
          }
          const written = partition.write(GROUPS);
          assert.deepEqual(
            written.map((each) => (each === undefined ? [] : itemsOf(kind, each.bytes))),
            wanted,
          );
          for (const each of written)
            if (each !== undefined) assert.equal(each.items, itemsOf(kind, each.bytes).length);
          partition.clear();
        },
      ),
      { numRuns: 150 },
    );
  });
}

test("data points of one metric go apart", () => {
  const partition = new RequestPartition();
  fc.assert(
    fc.property(requests("metrics"), fc.integer({ min: 1, max: 7 }), (bytes, step) => {
      partition.read("metrics", bytes);
      const all = itemsOf("metrics", bytes);
      const wanted: string[][] = Array.from({ length: GROUPS }, () => []);
      let item = 0;
      for (let e = 0; e < partition.index.entries; e++) {
        const points = new Int32Array(partition.index.entryItems[e]!);
        for (let i = 0; i < points.length; i++, item++) {
          points[i] = (item * step) % GROUPS;
          wanted[points[i]!]!.push(all[item]!);
        }
        partition.setPoints(e, points);
      }
      const written = partition.write(GROUPS);
      assert.deepEqual(
        written.map((each) => (each === undefined ? [] : itemsOf("metrics", each.bytes))),
        wanted,
      );
    }),
    { numRuns: 150 },
  );
});

test("a request of one group is passed on as it is, and what is no request is refused", () => {
  const bytes = oracleEncode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{}, {}] }] }] });
  const partition = new RequestPartition();
  partition.read("logs", bytes);
  assert.deepEqual(partition.write(2), [undefined, undefined], "without groups there is nothing");
  partition.setResource(0, 1);
  assert.equal(partition.write(2)[1]!.bytes, bytes);
  assert.throws(() => partition.read("logs", Buffer.from([0x0a, 0xff])), ProtobufError);
});
