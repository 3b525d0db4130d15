import assert from "node:assert/strict";
import { test } from "node:test";
import type { PipelineEdgeJson, PipelineJson, PipelineNodeJson } from "#app/api/json";
import { routeKey } from "./layout.ts";
import { connectedTo, edgeTrouble, isStuck, lookOf, moduleCrumbs, pipelineOf, spokenNode } from "./pipeline.ts";
import { choiceCounts, findNodes, nextHit } from "./search.ts";

function node(id: string, more: Partial<PipelineNodeJson> = {}): PipelineNodeJson {
  return {
    id,
    localId: id,
    name: id,
    label: "",
    kind: "component",
    role: "processor",
    health: { state: "healthy", message: "started", updatedTime: "" },
    state: "ok",
    cause: "",
    rates: { received: 1, sent: 2, sentBytes: 0, dropped: 0 },
    wiring: "",
    modules: [],
    ...more,
  };
}

function edge(from: string, to: string, more: Partial<PipelineEdgeJson> = {}): PipelineEdgeJson {
  const flow = { itemsPerSecond: 0, bytesPerSecond: 0, items: 0, dropped: 0, waiting: 0 };
  return { from, to, kind: "data", signal: "logs", ...flow, ...more };
}

function pipeline(nodes: readonly PipelineNodeJson[], edges: readonly PipelineEdgeJson[]) {
  const json: PipelineJson = { moduleId: "", nodes, edges };
  return pipelineOf(json);
}

test("of several edges between two nodes one is left: data before all else, with everything that flows", () => {
  const { edges, into, outOf } = pipeline(
    [node("a"), node("b")],
    [
      edge("a", "b", { kind: "reference", signal: null }),
      edge("a", "b", { itemsPerSecond: 2, dropped: 1 }),
      edge("a", "b", { itemsPerSecond: 3, signal: "metrics" }),
      edge("a", "gone"),
    ],
  );
  assert.equal(edges.size, 1);
  const { kind, itemsPerSecond, dropped } = edges.get(routeKey("a", "b"))!;
  assert.deepEqual({ kind, itemsPerSecond, dropped }, { kind: "data", itemsPerSecond: 5, dropped: 1 });
  assert.equal(into.get("b")!.length, 1);
  assert.deepEqual(outOf.get("b"), []);
});

test("what is connected: all that feeds a node and all that it feeds, but not what else those feed", () => {
  const all = pipeline(
    ["a", "b", "c", "d", "e"].map((id) => node(id)),
    [edge("a", "b"), edge("b", "c"), edge("a", "d"), edge("e", "c"), edge("c", "b")],
  );
  assert.deepEqual([...connectedTo(all, "b")].sort(), ["a", "b", "c", "e"]);
  assert.deepEqual([...connectedTo(all, "d")].sort(), ["a", "d"]);
});

test("a component that does not run looks failing, whatever its flow says", () => {
  const sick = node("a", { health: { state: "unhealthy", message: "no such folder", updatedTime: "" } });
  assert.equal(lookOf(sick), "failing");
  assert.equal(lookOf(node("b", { state: null })), "none");
  assert.match(spokenNode(pipeline([sick], []), sick, false), /^a, failing: no such folder$/);
});

test("a box in words: state, cause, rates, neighbours, many of them cut", () => {
  const hub = node("hub", { state: "failing", cause: "401", role: "sink", modules: ["m"] });
  const sources = Array.from({ length: 8 }, (_, i) => node(`s${i}`));
  const all = pipeline(
    [hub, ...sources],
    sources.map(({ id }) => edge(id, "hub")),
  );
  assert.equal(
    spokenNode(all, hub, true),
    "hub, failing: 401; 1/s in; receives from s0, s1, s2, s3, s4, s5, 2 more; opens a module",
  );
});

test("data that is under way does not wait; what waits for seconds does", () => {
  assert.equal(isStuck(edge("a", "b", { waiting: 100, itemsPerSecond: 50 })), false);
  assert.equal(isStuck(edge("a", "b", { waiting: 100, itemsPerSecond: 0 })), true);
  const losing = node("b", { rates: { received: 1, sent: 0, sentBytes: 0, dropped: 3 } });
  const lost = edge("a", "b", { dropped: 5 });
  assert.equal(edgeTrouble(pipeline([node("a"), losing], [lost]), lost), "losing");
  assert.equal(edgeTrouble(pipeline([node("a"), node("b")], [lost]), lost), "", "lost long ago");
});

test("the way to a module; iterations of a foreach have no module between them", () => {
  assert.deepEqual(moduleCrumbs(""), []);
  assert.deepEqual(moduleCrumbs("team.a/foreach.x/one/sub.b"), [
    { id: "team.a", title: "team.a" },
    { id: "team.a/foreach.x/one", title: "foreach.x/one" },
    { id: "team.a/foreach.x/one/sub.b", title: "sub.b" },
  ]);
});

test("search by words, states and wiring; from hit to hit around the end", () => {
  const all = pipeline(
    [
      node("loki.write.a", { state: "failing", cause: "401 Unauthorized" }),
      node("loki.write.b"),
      node("loki.process.c", { wiring: "nothing feeds it", state: "idle" }),
    ],
    [],
  );
  assert.equal(findNodes(all, " ", ""), undefined);
  assert.deepEqual([...findNodes(all, "unauthorized", "")!], ["loki.write.a"]);
  assert.deepEqual([...findNodes(all, "LOKI write", "ok")!], ["loki.write.b"]);
  assert.deepEqual([...findNodes(all, "", "problems")!], ["loki.write.a", "loki.process.c"]);
  assert.equal(choiceCounts(all).get("wiring"), 1);
  const order = ["loki.process.c", "loki.write.a", "loki.write.b"];
  const hits = new Set(["loki.write.b", "loki.process.c"]);
  assert.equal(nextHit(order, hits, "", 1), "loki.process.c");
  assert.equal(nextHit(order, hits, "loki.process.c", 1), "loki.write.b");
  assert.equal(nextHit(order, hits, "loki.write.b", 1), "loki.process.c");
  assert.equal(nextHit(order, hits, "", -1), "loki.write.b");
  assert.equal(nextHit(order, new Set(), "", 1), undefined);
});
