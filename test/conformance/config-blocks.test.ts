import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultsOf } from "#lang/decode";
import type { AnyBody } from "#lang/schema";
import { argumentSchema } from "#runtime/blocks/argument";
import { CONFIG_BLOCKS, UNSUPPORTED_BLOCKS } from "#runtime/blocks/blocks";
import { declareSchema } from "#runtime/blocks/declare";
import { exportSchema } from "#runtime/blocks/export";
import { foreachSchema } from "#runtime/blocks/foreach";
import { importFileSchema } from "#runtime/blocks/import-file";
import { importStringSchema } from "#runtime/blocks/import-string";
import { type CatalogueEntry, compareWithCatalogue } from "./compare.ts";
import { DIFFERENCES } from "./differences.ts";

const schemas = new Map<string, AnyBody>([
  ...CONFIG_BLOCKS,
  ["argument", argumentSchema],
  ["declare", declareSchema],
  ["export", exportSchema],
  ["foreach", foreachSchema],
  ["import.file", importFileSchema],
  ["import.string", importStringSchema],
]);
const file = join(import.meta.dirname, "../catalog/config-blocks.json");
const entries = JSON.parse(readFileSync(file, "utf8")) as CatalogueEntry[];

for (const entry of entries) {
  test(`${entry.name} is as in the catalogue, or refused`, () => {
    const schema = schemas.get(entry.name);
    if (schema === undefined) {
      assert.ok(UNSUPPORTED_BLOCKS.has(entry.name), `${entry.name} has neither a schema nor a reason`);
      return;
    }
    // What `argument` exports is its value, which has no schema.
    assert.deepEqual(compareWithCatalogue({ args: schema }, { ...entry, exports: [] }, DIFFERENCES), []);
    defaultsOf(schema);
  });
}
