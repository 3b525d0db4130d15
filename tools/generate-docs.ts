/**
 * Writes docs/reference/ from the schemas of the components and blocks, docs/errors.md from the table of codes, and
 * web/schema.json, which editors and forms use. `--check` compares only.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ALLOY_COMPONENTS, COMPONENTS } from "#app/registry.gen";
import { codes } from "#lang/codes";
import { configCodes } from "#lang/codes-config";
import { toJsonSchema } from "#lang/json-schema";
import type { AnyBody } from "#lang/schema";
import { argumentSchema } from "#runtime/blocks/argument";
import { CONFIG_BLOCKS, UNSUPPORTED_BLOCKS } from "#runtime/blocks/blocks";
import { declareSchema } from "#runtime/blocks/declare";
import { exportSchema } from "#runtime/blocks/export";
import { foreachSchema } from "#runtime/blocks/foreach";
import { importFileSchema } from "#runtime/blocks/import-file";
import { importStringSchema } from "#runtime/blocks/import-string";
import { GeneratedFiles } from "./generated-file.ts";
import { type AnyDefinition, componentPage, configBlocksPage, indexPage } from "./reference-page.ts";

const root = join(import.meta.dirname, "..");
const files = new GeneratedFiles(root, "npm run generate");

const definitions: AnyDefinition[] = [];
for (const load of COMPONENTS.values()) definitions.push((await load()).default as AnyDefinition);
for (const definition of definitions) files.write(`docs/reference/${definition.name}.md`, componentPage(definition));

const blocks = new Map<string, AnyBody>([
  ...CONFIG_BLOCKS,
  ["argument", argumentSchema],
  ["declare", declareSchema],
  ["export", exportSchema],
  ["foreach", foreachSchema],
  ["import.file", importFileSchema],
  ["import.string", importStringSchema],
]);
files.write("docs/reference/config-blocks.md", configBlocksPage(blocks, UNSUPPORTED_BLOCKS));
const missing = ALLOY_COMPONENTS.filter((name) => !COMPONENTS.has(name));
files.write("docs/reference/README.md", indexPage(definitions, missing));
files.removeOthers("docs/reference", ".md");
files.write("docs/errors.md", errorsPage());
files.write("web/schema.json", `${JSON.stringify(editorSchema(), undefined, 1)}\n`);
files.finish();

function errorsPage(): string {
  const lines = [
    "<!-- Written by tools/generate-docs.ts from the table of codes. -->",
    "",
    "# Errors and warnings",
    "",
  ];
  const all = Object.entries({ ...codes, ...configCodes }).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [code, { title, meaning, remedy }] of all)
    lines.push(`## ${code}`, "", `**${title}.** ${meaning}`, "", remedy, "");
  return `${lines.join("\n").trimEnd()}\n`;
}

function editorSchema() {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  const components = definitions.map(({ name, summary, stability, example, args, exports }) => [
    name,
    {
      summary,
      stability,
      example: example.trim(),
      arguments: toJsonSchema(args),
      ...(exports === undefined ? {} : { exports: toJsonSchema(exports) }),
    },
  ]);
  return {
    version,
    components: Object.fromEntries(components),
    blocks: Object.fromEntries([...blocks].map(([name, schema]) => [name, toJsonSchema(schema)])),
  };
}
