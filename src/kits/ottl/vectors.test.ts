import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decodeRequest } from "#formats/otlp/decode";
import type { OtlpKind } from "#formats/otlp/schema";
import { CONTEXTS, type ContextName } from "./contexts.ts";
import { OTTL_DATA } from "./data.testing.ts";
import { conditionFunctions, statementFunctions } from "./functions.ts";
import { canonical, differences, runConditions, runStatements } from "./run.testing.ts";

// Times without a zone are of the machine's.
process.env.TZ = "UTC";

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
  readFileSync(new URL("../testdata/ottl-vectors.json", import.meta.url), "utf8"),
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

test("floats are formatted as Go's fmt does, whole ones too", () => {
  const statement = 'set(log.body, Format("%v %d %s %.1f %v", [1000000.0, 1.0, 2.0, 2.25, 7]))';
  const result = runStatements("logs", "", [statement], OTTL_DATA.logs);
  assert.ok("bytes" in result && result.bytes !== undefined);
  const text = "1e+06 %!d(float64=1) %!s(float64=2) 2.2 7";
  assert.match(JSON.stringify(decodeRequest("logs", [result.bytes])), new RegExp(text.replace(/[+()]/g, "\\$&")));
});

/** All of pkg/ottl/ottlfuncs, processor/transformprocessor and processor/filterprocessor, version 0.158.0. */
const NAMES = `
  aggregate_on_attribute_value aggregate_on_attributes append convert_exponential_histogram_to_histogram
  convert_gauge_to_sum convert_sum_to_gauge convert_summary_count_val_to_sum
  convert_summary_quantile_val_to_gauge convert_summary_sum_val_to_sum copy_metric delete_index delete_key
  delete_matching_keys extract_count_metric extract_percentile_metric extract_sum_metric flatten keep_keys
  keep_matching_keys limit merge_histogram_buckets merge_maps replace_all_matches replace_all_patterns
  replace_match replace_pattern scale_metric set set_semconv_span_name stringify_all truncate_all
  All Any Base64Decode Base64Encode Bool Coalesce CommunityID Concat ContainsValue
  ConvertAttributesToElementsXML ConvertCase ConvertTextToElementsXML Day Decode Double Duration
  ExtractGrokPatterns ExtractPatterns FNV Filter Find Format FormatTime GetXML HasAttrKeyOnDatapoint
  HasAttrOnDatapoint HasPrefix HasSuffix Hex Hour Hours Index InsertXML Int IsBool IsDouble IsEmpty IsInCIDR
  IsInt IsList IsMap IsMatch IsRootSpan IsString IsValidLuhn Keys Len Log MD5 MapEach MapKeys Microseconds
  Milliseconds Minute Minutes Month Murmur3Hash Murmur3Hash128 Nanosecond Nanoseconds Now ParseCEF ParseCLF
  ParseCSV ParseELF ParseInt ParseJSON ParseKeyValue ParseLEEF ParseSeverity ParseSimplifiedXML ParseXML
  ProfileID Reduce RemoveXML SHA1 SHA256 SHA512 Second Seconds SliceToMap Sort SpanID Split String Substring
  Time ToCamelCase ToKeyValueString ToLowerCase ToSnakeCase ToUpperCase TraceID Trim TrimPrefix TrimSuffix
  TruncateTime URL UUID UUIDv7 Unix UnixMicro UnixMilli UnixNano UnixSeconds UserAgent Values Weekday When
  XXH128 XXH3 Year
`
  .trim()
  .split(/\s+/);

test("every function of the Collector is there, and no other", () => {
  const contexts = Object.keys(CONTEXTS) as ContextName[];
  const known = new Set(
    contexts.flatMap((context) => [...statementFunctions(context).keys(), ...conditionFunctions(context).keys()]),
  );
  assert.deepEqual([...known].sort(), NAMES.toSorted());
});

test("every function has vectors that work and vectors that do not", () => {
  const works = new Set<string>();
  const fails = new Set<string>();
  for (const { statements, condition, outcome } of VECTORS) {
    const text = statements?.join(" ") ?? condition!;
    const into = outcome === "refused" || outcome === "failed" ? fails : works;
    for (const [, name] of text.matchAll(/(\w+)\(/g)) into.add(name!);
  }
  assert.deepEqual(
    NAMES.filter((name) => !works.has(name)),
    [],
  );
  assert.deepEqual(
    NAMES.filter((name) => !fails.has(name)),
    [],
  );
});
