import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { type Case, contentLines, formatEntry, parseCases, parseEntry } from "./case-file.ts";
import { type Batching, type Outcome, runCase } from "./run-case.ts";

/**
 * loki.process against what Alloy v1.18's own stages made of the same entries: `out` and `counts` of each case were taken
 * from a program around Alloy's stages, and read. See case-file.ts for the form of the files.
 */

// Templates' functions for dates know a local time.
process.env.TZ = "UTC";

const folder = path.join(import.meta.dirname, "loki.process");
const BATCHINGS: readonly Batching[] = ["at once", "one by one"];

const files = globSync("*.cases", { cwd: folder })
  .sort()
  .map((file) => ({ file, cases: parseCases(readFileSync(path.join(folder, file), "utf8")) }));

for (const { file, cases } of files) {
  describe(file, () => {
    for (const each of cases) {
      for (const batching of BATCHINGS) {
        test(`${each.name} (${batching})`, async () => check(each, await runCase(each, batching)));
      }
    }
  });
}

/** Stages whose cases are elsewhere: they need files or inputs that a case cannot hold. */
const ELSEWHERE = new Set(["stage.geoip", "stage.eventlogmessage", "stage.windowsevent"]);

test("every stage of the catalogue has ten cases or more", () => {
  const catalog = path.join(import.meta.dirname, "../catalog/loki-process-stages.json");
  const stages = JSON.parse(readFileSync(catalog, "utf8")) as { readonly name: string }[];
  assert.ok(stages.length > 25);
  for (const { name } of stages) {
    if (ELSEWHERE.has(name)) continue;
    const count = files.flatMap(({ cases }) => cases).filter(({ config }) => config.includes(`${name} {`)).length;
    assert.ok(count >= 10, `${name} has ${count} cases`);
  }
});

function check(each: Case, outcome: Outcome): void {
  const { sections } = each;
  const refused = sections.get("refused") ?? sections.get("refused by us");
  if (refused !== undefined) {
    assert.ok(outcome.refused !== undefined, "the configuration was taken");
    assert.ok(outcome.refused.includes(refused), `the message is not about "${refused}":\n${outcome.refused}`);
  } else assert.equal(outcome.refused, undefined);
  const differs = ["ours", "our counts", "refused by us", "refused by Alloy"].some((name) => sections.has(name));
  assert.equal(Boolean(sections.get("differs")), differs, "`--- differs` says why something of ours differs");
  if (refused !== undefined) return;
  const alloys = expected(each, "out", "counts");
  const ours = expected(
    each,
    sections.has("ours") ? "ours" : "out",
    sections.has("our counts") ? "our counts" : "counts",
  );
  if (differs && !sections.has("refused by Alloy"))
    assert.notDeepEqual(ours, alloys, "it says that it differs, and does not");
  assert.deepEqual(shown(outcome.entries, outcome.counts), ours);
}

function expected({ sections, clock }: Case, entries: string, counts: string): string[] {
  const lines = contentLines(sections.get(entries) ?? "");
  return shown(
    lines.map((line) => formatEntry(parseEntry(line, clock), clock)),
    contentLines(sections.get(counts) ?? ""),
  );
}

/** One list, so that a failure shows one readable difference. */
function shown(entries: readonly string[], counts: readonly string[]): string[] {
  return [...entries, "--- counts", ...counts];
}
