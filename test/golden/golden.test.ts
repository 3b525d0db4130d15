import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { type Batching, runCase } from "../differential/run-case.ts";
import { expectedText, readGolden } from "./golden-file.ts";

/**
 * Logs of real programs (README.md says which) through the pipelines that a user writes for them, with the real
 * loki.process. What comes out is compared with expected/, which was compared with Alloy v1.18's own stages. After a wanted
 * change of behaviour:
 *
 *     GOLDEN=write node --test test/golden/golden.test.ts
 *
 * and read the difference before it is committed.
 */

const folder = import.meta.dirname;
const BATCHINGS: readonly Batching[] = ["at once", "one by one"];
const names = globSync("*.log", { cwd: path.join(folder, "logs") })
  .map((file) => path.basename(file, ".log"))
  .sort();

for (const name of names) {
  describe(name, () => {
    for (const batching of BATCHINGS) {
      test(batching, async () => {
        const golden = readGolden(folder, name);
        const outcome = await runCase(golden, batching);
        assert.equal(outcome.refused, undefined);
        const actual = expectedText(outcome, golden.clock);
        const file = path.join(folder, "expected", `${name}.jsonl`);
        if (process.env.GOLDEN === "write" && batching === BATCHINGS[0]) writeFileSync(file, actual);
        assert.deepEqual(actual.split("\n"), readFileSync(file, "utf8").split("\n"));
      });
    }
  });
}

test("each log has its pipeline and its expected entries", () => {
  assert.ok(names.length > 0);
  for (const [part, ending] of [
    ["pipelines", ".alloy"],
    ["expected", ".jsonl"],
  ] as const) {
    const files = globSync(`*${ending}`, { cwd: path.join(folder, part) });
    assert.deepEqual(files.map((file) => path.basename(file, ending)).sort(), names, part);
  }
});
