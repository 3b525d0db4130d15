import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBody } from "#lang/decode";
import { parseFile } from "#lang/parser";
import { debugMetricsSchema } from "./schema.ts";

function warnings(text: string): string[] {
  const { file } = parseFile({ name: "test.alloy", text });
  const { diagnostics } = decodeBody(
    debugMetricsSchema,
    file.body,
    { lookup: () => undefined },
    { name: "debug_metrics", minimumStability: "generally-available" },
  );
  return diagnostics.map(({ severity, message, why }) => `${severity}: ${message} ${why ?? ""}`);
}

test("debug_metrics says what has no effect, and nothing about what holds anyway", () => {
  assert.deepEqual(warnings('disable_high_cardinality_metrics = true\nlevel = "detailed"'), []);
  const [peers, level, ...others] = warnings('disable_high_cardinality_metrics = false\nlevel = "none"');
  assert.match(peers!, /^warning: .*"disable_high_cardinality_metrics" has no effect.*never have addresses/);
  assert.match(level!, /^warning: .*"level" has no effect.*always come in full detail/);
  assert.deepEqual(others, []);
  assert.match(warnings('level = "loud"')[0]!, /^error: /);
});
