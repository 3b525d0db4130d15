import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { formatFile } from "#lang/format";
import { parseFile } from "#lang/parser";
import { acceptanceProblems } from "./acceptance.ts";
import type { Conversion, SourceFormat } from "./format.ts";
import { lineOf, Report } from "./report.ts";

/** What a source becomes, with the lines of its report. */
export type Convert = (
  text: string,
  args?: readonly string[],
) => Conversion & { readonly report: Report; readonly lines: readonly string[] };

export function convertWith(format: SourceFormat): Convert {
  return (text, args = []) => {
    const report = new Report();
    const conversion = format.convert(text, args, report);
    return { ...conversion, report, lines: report.findings.map(lineOf) };
  };
}

/** The sources in the folder of a test. */
export function sourcesIn(folder: string): string[] {
  return globSync(join(folder, "*.yaml")).sort();
}

/** Trees of settings with these keys, and with `values` among what they may be set to. */
export function anyTree(keys: readonly string[], values: readonly string[]): fc.Arbitrary<unknown> {
  return fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6 },
      fc.constantFrom("x", "", "1h", "true", "5", "-1", "${A}", 'q"\\', "\u{1f600}", null, true, 3, 1e30),
      fc.constantFrom(...values),
      fc.string(),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...keys), tie("tree"), { maxKeys: 6 }),
    ),
  })).tree;
}

/** There is a formatted configuration, or the report says why not. */
export function assertAnswered({ text, report }: ReturnType<Convert>): void {
  if (text === undefined) assert.ok(report.has("Critical"));
  else assertWellFormed(text);
}

function assertWellFormed(text: string): void {
  const { file, diagnostics } = parseFile({ name: "", text });
  assert.deepEqual(diagnostics, []);
  assert.equal(formatFile(file), text);
}

/**
 * Tests of each source: its output and report are those that stand beside it, and the output is valid, but for problems
 * that `allowed` matches.
 */
export function testSources(
  sources: readonly string[],
  convert: Convert,
  allowed: RegExp,
  argumentsOf: (source: string) => readonly string[] = () => [],
): void {
  for (const source of sources) {
    const name = basename(source, ".yaml");
    const beside = (ending: string) => source.replace(/yaml$/, ending);
    const { text, lines } = convert(readFileSync(source, "utf8"), argumentsOf(source));

    test(`${name}: output and report`, (t) => {
      const serializers = [(value: string) => value];
      t.assert.fileSnapshot(text!, beside("alloy"), { serializers });
      t.assert.fileSnapshot(`${lines.join("\n")}\n`, beside("report"), { serializers });
    });

    test(`${name}: the output is formatted and valid, but for what is not here`, async () => {
      assertWellFormed(text!);
      const problems = await acceptanceProblems(text!);
      assert.deepEqual(
        problems.filter((each) => !allowed.test(each)),
        [],
      );
    });
  }
}
