import assert from "node:assert/strict";
import { test } from "node:test";
import type { Value } from "#lang/value";
import type { GraphNode } from "./node.ts";
import { ModuleScope } from "./scope.ts";

const exporting = (exports: Value) => ({ exports }) as GraphNode;

test("what nodes export is nested by their ids, and nobody's maps are changed for it", () => {
  const outer = new Map<string, Value>([["write", new Map([["outer", new Map([["receiver", 1]])]])]]);
  const exports = new Map<string, Value>([["receiver", 2]]);
  const nodes = new Map([
    ["loki.write.inner", exporting(exports)],
    ["loki.write.inner.deep", exporting(new Map([["receiver", 3]]))],
    ["other.x", exporting(4)],
  ]);
  const parent = { lookup: (name: string) => (name === "loki" ? outer : undefined) };
  const scope = new ModuleScope(new Map([["module_path", "/etc"]]), parent, () => nodes, new Map());
  assert.deepEqual(
    scope.lookup("loki"),
    new Map([
      [
        "write",
        new Map<string, Value>([
          ["outer", new Map([["receiver", 1]])],
          [
            "inner",
            new Map<string, Value>([
              ["receiver", 2],
              ["deep", new Map([["receiver", 3]])],
            ]),
          ],
        ]),
      ],
    ]),
  );
  assert.deepEqual([...exports], [["receiver", 2]]);
  assert.deepEqual([...(outer.get("write") as ReadonlyMap<string, Value>).keys()], ["outer"]);
  assert.equal(scope.lookup("module_path"), "/etc");
  assert.equal(scope.lookup("none"), undefined);
});
