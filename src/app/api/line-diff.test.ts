import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { processorMs } from "#base/processor-time.testing";
import { unifiedDiff } from "./line-diff.ts";

/** Applies a unified diff as `patch` does; every line that it quotes has to be where it says. */
function apply(diff: string, text: string): string {
  const before: string[] = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
  const lines: string[] = diff.match(/[^\n]*\n/g) ?? [];
  const out: string[] = [];
  let at = 0;
  for (let i = 2; i < lines.length; ) {
    const header = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n$/.exec(lines[i++]!);
    assert.ok(header !== null, lines[i - 1]!);
    const [oldFirst, oldCount] = [Number(header[1]), Number(header[2] ?? 1)];
    const [newFirst, newCount] = [Number(header[3]), Number(header[4] ?? 1)];
    const start = oldCount === 0 ? oldFirst : oldFirst - 1;
    assert.ok(start >= at, "hunks do not overlap");
    for (; at < start; at++) out.push(before[at]!);
    assert.equal(out.length, newCount === 0 ? newFirst : newFirst - 1, "the place in the new text");
    const [oldEnd, newEnd] = [at + oldCount, out.length + newCount];
    while (at < oldEnd || out.length < newEnd) {
      const line = lines[i++]!;
      const isWhole = lines[i] !== "\\ No newline at end of file\n";
      if (!isWhole) i++;
      const content = isWhole ? line.slice(1) : line.slice(1, -1);
      if (line[0] !== "+") assert.equal(before[at++], content);
      if (line[0] !== "-") out.push(content);
    }
  }
  return [...out, ...before.slice(at)].join("");
}

const line = fc.constantFrom("a", "b", "c", "{", "}", "", " x = 1", "-- d", "++ e", "@@ -1 +1 @@");
const text = fc
  .tuple(fc.array(line, { maxLength: 40 }), fc.boolean())
  .map(([lines, ended]) => lines.join("\n") + (ended && lines.length > 0 ? "\n" : ""));

test("a diff makes the new text of the old one, and there is none for equal texts", () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const diff = unifiedDiff("a", "b", before, after);
      assert.equal(apply(diff, before), after);
      assert.equal(diff === "", before === after);
    }),
    { numRuns: 2_000 },
  );
});

test("the program patch takes it as well", (t) => {
  if (spawnSync("patch", ["--version"]).status !== 0) return t.skip("patch is not installed");
  const folder = mkdtempSync(join(tmpdir(), "invar-diff-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const plain = fc
    .array(fc.constantFrom("a", "b", "c", "{", "}"), { maxLength: 30 })
    .map((lines) => lines.map((each) => `${each}\n`).join(""));
  for (const [before, after] of fc.sample(fc.tuple(plain, plain), 40)) {
    if (before === after) continue;
    const file = join(folder, "text");
    writeFileSync(file, before!);
    const { status, stdout } = spawnSync("patch", ["--silent", "--output=-", file], {
      input: unifiedDiff("text", "text", before!, after!),
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.equal(stdout, after);
  }
});

test("a change is shown with three lines around it, and the change is as small as can be", () => {
  const before = Array.from({ length: 20 }, (_, i) => `line ${i}\n`);
  const after = [...before];
  after[10] = "changed\n";
  after.push("end\n");
  assert.equal(
    unifiedDiff("old/x", "new/x", before.join(""), after.join("")),
    `--- old/x
+++ new/x
@@ -8,7 +8,7 @@
 line 7
 line 8
 line 9
-line 10
+changed
 line 11
 line 12
 line 13
@@ -18,3 +18,4 @@
 line 17
 line 18
 line 19
+end
`,
  );
  assert.equal(unifiedDiff("a", "b", "x", "x\n"), "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n");
});

test("texts without anything in common are one change, and that soon", () => {
  const make = (prefix: string) => Array.from({ length: 20_000 }, (_, i) => `${prefix} ${i}\n`).join("");
  let diff = "";
  const ms = processorMs(() => (diff = unifiedDiff("a", "b", make("old"), make("new"))));
  assert.ok(ms < 5_000, `${ms} ms`);
  assert.equal(apply(diff, make("old")), make("new"));
  assert.equal(diff.match(/^@@ /gm)!.length, 1);
});
