import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { OtlpKind } from "#formats/otlp-schema";
import type { ContextName } from "./ottl-contexts.ts";
import { OTTL_DATA } from "./ottl-data.testing.ts";
import { canonical, differences, runConditions, runStatements } from "./ottl-run.testing.ts";

/**
 * Statements and conditions with what pkg/ottl 0.158.0 makes of `OTTL_DATA` in the mode `propagate`: refused when they are
 * read, failed, everything dropped, or the differences by path.
 */
interface Vector {
  readonly kind: OtlpKind;
  readonly context: ContextName | "";
  readonly statements?: readonly string[];
  readonly condition?: string;
  readonly outcome: unknown;
}

const VECTORS: readonly Vector[] = JSON.parse(
  readFileSync(new URL("testdata/ottl-vectors.json", import.meta.url), "utf8"),
);

function outcomeOf({ kind, context, statements, condition }: Vector): unknown {
  const input = OTTL_DATA[kind];
  const result =
    statements !== undefined
      ? runStatements(kind, context, statements, input)
      : runConditions(kind, context as ContextName, [condition!], input);
  if ("refused" in result) return "refused";
  if ("failed" in result) return "failed";
  if (result.bytes === undefined) return "dropped";
  return differences(canonical(kind, input), canonical(kind, result.bytes));
}

for (const kind of ["traces", "metrics", "logs"] as const) {
  test(`statements on ${kind} do what they do in the Collector`, () => {
    const vectors = VECTORS.filter((each) => each.kind === kind);
    assert.ok(vectors.length > 20);
    for (const vector of vectors) {
      const { statements, condition, context } = vector;
      assert.deepEqual(outcomeOf(vector), vector.outcome, `${context}: ${statements?.join("; ") ?? condition}`);
    }
  });
}
