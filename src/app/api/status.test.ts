import assert from "node:assert/strict";
import { test } from "node:test";
import { sourcesDiff, worstState } from "./status.ts";

const source = (name: string, text: string) => ({ name, text });

test("the difference of two configurations, file by file, with secrets hidden", () => {
  const before = [
    source("a", "// same\n"),
    source("b", 'x "y" {\n  password = "old"\n  a = 1\n}\n'),
    source("gone", "// gone\n"),
  ];
  const after = [
    source("a", "// same\n"),
    source("b", 'x "y" {\n  password = "new"\n  a = 2\n}\n'),
    source("new", "// new\n"),
  ];
  assert.equal(
    sourcesDiff(before, after),
    `--- b
+++ b
@@ -1,4 +1,4 @@
 x "y" {
   password = "(secret)"
-  a = 1
+  a = 2
 }
--- gone
+++ /dev/null
@@ -1 +0,0 @@
-// gone
--- /dev/null
+++ new
@@ -0,0 +1 @@
+// new
`,
  );
  assert.equal(sourcesDiff(before, before), "");
});

test("a changed secret is told without being shown", () => {
  const text = (password: string) => [source("b", `x "y" {\n  password = "${password}"\n}\n`)];
  assert.equal(sourcesDiff(text("old"), text("new")), "# b: only values that are not shown have changed\n");
});

test("a long difference is cut at a line, and says how much is left out", () => {
  const lines = (word: string) => [source("b", Array.from({ length: 5_000 }, (_, i) => `// ${word} ${i}\n`).join(""))];
  const diff = sourcesDiff(lines("old"), lines("new"));
  assert.ok(diff.length < 51_000);
  const [, left] = /\n# (\d+) more lines are not shown\n$/.exec(diff)!;
  assert.equal(diff.split("\n").length - 2 + Number(left), 10_000 + 3, "two names, a place, and every line twice");
});

test("the worst of several states", () => {
  assert.equal(worstState([]), "ok");
  assert.equal(worstState(["ok", "failing", "idle"]), "failing");
});
