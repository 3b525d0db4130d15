import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BOX_HEIGHT, BOX_WIDTH, type Layout, layOut, routeKey, type Structure, structureKey } from "./layout.ts";

function finished(structure: Structure, aspect = 1.7): Layout {
  const steps = layOut(structure, aspect);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

const structures = fc.integer({ min: 1, max: 20 }).chain((size) => {
  const nodes = Array.from({ length: size }, (_, i) => `n${i}`);
  const end = fc.integer({ min: 0, max: size - 1 });
  return fc
    .uniqueArray(fc.tuple(end, end), { maxLength: 30, selector: ([from, to]) => `${from} ${to}` })
    .map((pairs): Structure => ({ nodes, edges: pairs.map(([from, to]) => ({ from: `n${from}`, to: `n${to}` })) }));
});

test("every box has its place and none lies on another; every line begins and ends at its boxes; cycles do no harm", () => {
  fc.assert(
    fc.property(structures, (structure) => {
      const { boxes, routes, width, height } = finished(structure);
      assert.deepEqual([...boxes.keys()].sort(), [...structure.nodes].sort());
      const places = [...boxes.values()];
      for (const [i, a] of places.entries()) {
        assert.ok(a.x >= 0 && a.y >= 0 && a.x + BOX_WIDTH <= width && a.y + BOX_HEIGHT <= height);
        for (const b of places.slice(i + 1))
          assert.ok(Math.abs(a.x - b.x) >= BOX_WIDTH || Math.abs(a.y - b.y) >= BOX_HEIGHT);
      }
      for (const { from, to } of structure.edges) {
        const route = routes.get(routeKey(from, to));
        if (from === to) {
          assert.equal(route, undefined);
          continue;
        }
        const numbers = route!.path.match(/-?[\d.]+/g)!.map(Number);
        const { bounds } = route!;
        assert.ok(bounds.y + 10 >= 0 && bounds.y + bounds.height - 10 <= height, "lines stay inside");
        const [start, end] = [boxes.get(from)!, boxes.get(to)!];
        const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 0.2, `${route!.path}: ${a} is not ${b}`);
        near(numbers[0]!, start.x + BOX_WIDTH);
        near(numbers[1]!, start.y + BOX_HEIGHT / 2);
        near(numbers.at(-2)!, end.x);
        near(numbers.at(-1)!, end.y + BOX_HEIGHT / 2);
      }
    }),
    { numRuns: 60 },
  );
});

test("data runs from left to right, and lines pass other columns without touching their boxes", () => {
  const nodes = ["source", "a", "b", "sink", "other"];
  const edges = [
    { from: "source", to: "a" },
    { from: "a", to: "b" },
    { from: "b", to: "sink" },
    { from: "source", to: "sink" },
    { from: "other", to: "b" },
  ];
  const { boxes, routes } = finished({ nodes, edges });
  for (const { from, to } of edges) assert.ok(boxes.get(from)!.x < boxes.get(to)!.x, `${from} ${to}`);
  const level = Number(/ ([\d.]+)H/.exec(routes.get(routeKey("source", "sink"))!.path)![1]);
  for (const id of ["a", "b"])
    assert.ok(level < boxes.get(id)!.y || level > boxes.get(id)!.y + BOX_HEIGHT, "passes above or below");
});

test("parts of one shape look alike, and the order is that of reading", () => {
  const chain = (name: string) => [1, 2, 3].map((i) => `${name}${i}`);
  const names = ["x", "y"];
  const edges = names.flatMap((name) => [
    { from: `${name}1`, to: `${name}2` },
    { from: `${name}2`, to: `${name}3` },
  ]);
  const { boxes } = finished({ nodes: names.flatMap(chain), edges });
  assert.deepEqual([...boxes.keys()], ["x1", "x2", "x3", "y1", "y2", "y3"]);
  for (const i of [1, 2, 3]) assert.equal(boxes.get(`x${i}`)!.x, boxes.get(`y${i}`)!.x);
});

test("the key of a structure changes with it, and only then", () => {
  const structure: Structure = { nodes: ["a", "b"], edges: [{ from: "a", to: "b" }] };
  assert.equal(structureKey(structure, 1), structureKey({ nodes: ["a", "b"], edges: [{ from: "a", to: "b" }] }, 1));
  assert.notEqual(structureKey(structure, 1), structureKey({ ...structure, edges: [{ from: "b", to: "a" }] }, 1));
  assert.notEqual(structureKey(structure, 1), structureKey(structure, 2));
});

test("1,000 boxes of which 300 hang together take well under a second of work in slices", () => {
  const nodes: string[] = [];
  const edges: { from: string; to: string }[] = [];
  for (let i = 0; i < 74; i++) {
    for (const kind of ["match", "file", "process", "relabel"]) nodes.push(`${kind}${i}`);
    edges.push({ from: `match${i}`, to: `file${i}` }, { from: `file${i}`, to: `process${i}` });
    edges.push({ from: `process${i}`, to: `relabel${i}` }, { from: `relabel${i}`, to: `write${i % 4}` });
  }
  for (let i = 0; i < 4; i++) nodes.push(`write${i}`);
  for (let i = 0; i < 175; i++) {
    for (let j = 0; j < 4; j++) nodes.push(`small${i}.${j}`);
    for (let j = 0; j < 3; j++) edges.push({ from: `small${i}.${j}`, to: `small${i}.${j + 1}` });
  }
  const began = performance.now();
  const { boxes } = finished({ nodes, edges });
  const took = performance.now() - began;
  assert.equal(boxes.size, 1000);
  assert.ok(took < 4000, `${took} ms`); // some 200 ms on a quiet machine
});
