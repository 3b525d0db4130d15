import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { orderNodes } from "./graph.ts";

test("dependencies come first, and the given order is kept otherwise", () => {
  const graph = new Map([
    ["scrape", ["relabel"]],
    ["alone", []],
    ["relabel", ["write", "not a node"]],
    ["write", []],
  ]);
  assert.deepEqual(orderNodes(graph), { order: ["write", "relabel", "scrape", "alone"], cycles: [] });
});

test("a cycle is given in the order of its references", () => {
  const graph = new Map([
    ["a", ["b"]],
    ["b", ["c"]],
    ["c", ["a"]],
    ["d", ["d"]],
  ]);
  const { order, cycles } = orderNodes(graph);
  assert.deepEqual(order, []);
  assert.deepEqual(cycles, [
    ["a", "b", "c", "a"],
    ["d", "d"],
  ]);
});

test("a chain of 50,000 does not exhaust the stack", () => {
  const graph = new Map(Array.from({ length: 50_000 }, (_, i) => [String(i), [String(i + 1)]] as const));
  assert.equal(orderNodes(graph).order[0], "49999");
});

test("any graph without a cycle is ordered whole; any cycle is found", () => {
  const edges = fc.array(fc.tuple(fc.nat(12), fc.nat(12)), { maxLength: 40, size: "max" });
  fc.assert(
    fc.property(edges, (pairs) => {
      const graph = new Map<string, string[]>(Array.from({ length: 13 }, (_, i) => [String(i), []]));
      for (const [from, to] of pairs) graph.get(String(from))!.push(String(to));
      const { order, cycles } = orderNodes(graph);
      for (const cycle of cycles) {
        for (let i = 1; i < cycle.length; i++) assert.ok(graph.get(cycle[i - 1]!)!.includes(cycle[i]!));
      }
      const position = new Map(order.map((id, i) => [id, i]));
      for (const [id, at] of position) {
        for (const dependency of graph.get(id)!) {
          const before = position.get(dependency);
          assert.ok(before === undefined || before < at);
        }
      }
      if (cycles.length === 0) assert.equal(order.length, 13);
    }),
  );
});
