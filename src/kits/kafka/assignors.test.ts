import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ASSIGNORS,
  type Assignment,
  assign,
  type Member,
  readAssignment,
  readSubscription,
  writeAssignment,
  writeSubscription,
} from "./assignors.ts";

const member = (id: string, topics: readonly string[], owned: Assignment = new Map(), generation = -1): Member => ({
  id,
  topics,
  owned,
  generation,
});
const shares = (result: ReadonlyMap<string, Assignment>) =>
  Object.fromEntries(
    [...result].map(([id, share]) => [id, [...share].map(([topic, list]) => `${topic}:${list.join("")}`).join(" ")]),
  );

test("range, roundrobin and sticky share out as Kafka's own clients do", () => {
  const members = [member("b", ["t", "u"]), member("a", ["t", "u"])];
  const partitions = new Map([
    ["t", 3],
    ["u", 3],
  ]);
  assert.deepEqual(shares(assign("range", members, partitions)), { a: "t:01 u:01", b: "t:2 u:2" });
  assert.deepEqual(shares(assign("roundrobin", members, partitions)), { a: "t:02 u:1", b: "t:1 u:02" });
  const had = new Map([
    ["t", [0, 1, 2]],
    ["u", [0, 1, 2]],
  ]);
  const sticky = assign("sticky", [member("a", ["t", "u"], had, 4), member("b", ["t", "u"])], partitions);
  assert.deepEqual(shares(sticky), { a: "t:012", b: "u:210" });
});

const names = ["t", "u", "v"];
const groups = fc.record({
  members: fc.uniqueArray(
    fc.record({
      id: fc.string({ minLength: 1 }),
      topics: fc.subarray(names),
      had: fc.array(fc.tuple(fc.constantFrom(...names), fc.nat(9))),
      generation: fc.nat(3),
    }),
    { minLength: 1, maxLength: 6, selector: (each) => each.id },
  ),
  counts: fc.array(fc.nat(8), { minLength: 3, maxLength: 3 }),
  assignor: fc.constantFrom(...ASSIGNORS),
});

test("every partition that somebody asks for has exactly one owner, who asked for it", () => {
  fc.assert(
    fc.property(groups, ({ members, counts, assignor }) => {
      const partitions = new Map(names.map((name, i) => [name, counts[i]!]));
      const all = members.map(({ id, topics, had, generation }) => {
        const owned = new Map(
          had.map(([topic]) => [topic, had.filter((each) => each[0] === topic).map((each) => each[1])]),
        );
        const written = writeSubscription(assignor, { topics, owned, generation });
        return readSubscription(id, assignor, written);
      });
      const result = assign(assignor, all, partitions);
      const owners = new Map<string, string>();
      for (const [id, share] of result) {
        assert.deepEqual(readAssignment(writeAssignment(share)), share);
        for (const [topic, list] of share) {
          for (const partition of list) {
            assert.ok(!owners.has(`${topic}/${partition}`));
            owners.set(`${topic}/${partition}`, id);
            assert.ok(all.find((each) => each.id === id)!.topics.includes(topic));
          }
        }
      }
      const asked = names.filter((name) => all.some((each) => each.topics.includes(name)));
      assert.equal(
        owners.size,
        asked.reduce((sum, name) => sum + partitions.get(name)!, 0),
      );
    }),
  );
});

test("sticky is even, and moves no more than it must", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      (count, before, after) => {
        const partitions = new Map([["t", count]]);
        const ids = (n: number) => Array.from({ length: n }, (_, i) => `m${i}`);
        const first = assign(
          "sticky",
          ids(before).map((id) => member(id, ["t"])),
          partitions,
        );
        const second = assign(
          "sticky",
          ids(after).map((id) => member(id, ["t"], first.get(id) ?? new Map(), first.has(id) ? 1 : -1)),
          partitions,
        );
        const sizes = [...second.values()].map((share) => share.get("t")?.length ?? 0);
        assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, sizes.join());
        let kept = 0;
        for (const [id, share] of second)
          kept += share.get("t")?.filter((each) => first.get(id)?.get("t")?.includes(each)).length ?? 0;
        const most = sizes.reduce((sum, size, i) => sum + Math.min(size, first.get(`m${i}`)?.get("t")?.length ?? 0), 0);
        assert.equal(kept, most);
      },
    ),
  );
});

test("subscriptions of other clients are read: later versions, without or with other user data", () => {
  const plain = Buffer.from("000300000001000174ffffffff00000000", "hex");
  assert.deepEqual(readSubscription("x", "sticky", plain), member("x", ["t"]));
  assert.deepEqual(readAssignment(Buffer.alloc(0)), new Map());
});
