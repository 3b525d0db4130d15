/**
 * Writes src/app/registry.gen.ts: the components that there are, by their folders, and the names of all components of
 * Alloy, by the catalogue. `--check` compares only.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { GeneratedFiles } from "./generated-file.ts";

const root = join(import.meta.dirname, "..");

/** Names of the folders of src/components that hold a component. */
export function componentNames(): string[] {
  const folder = join(root, "src/components");
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, `${name}.ts`)))
    .sort();
}

function alloyNames(): string[] {
  const folder = join(root, "test/catalog/components");
  return readdirSync(folder)
    .map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as { name: string; removed?: boolean })
    .filter((each) => each.removed !== true)
    .map((each) => each.name)
    .sort();
}

function registrySource(): string {
  const lines = componentNames().map((name) => `  ["${name}", () => import("#components/${name}/${name}")],`);
  return [
    "// Written by tools/generate-registry.ts.",
    'import type { ComponentDefinition } from "#pipeline/component";',
    "",
    "// biome-ignore lint/suspicious/noExplicitAny: components of all types, told apart only by their own schemas",
    "type Loader = () => Promise<{ readonly default: ComponentDefinition<any, any, any> }>;",
    "",
    "/** The components that the agent has, loaded when a configuration names them. */",
    "export const COMPONENTS: ReadonlyMap<string, Loader> = new Map<string, Loader>([",
    ...lines,
    "]);",
    "",
    "/** The components that Alloy has. */",
    "export const ALLOY_COMPONENTS: readonly string[] = [",
    ...alloyNames().map((name) => `  "${name}",`),
    "];",
    "",
  ].join("\n");
}

if (import.meta.main) {
  const files = new GeneratedFiles(root, "node tools/generate-registry.ts");
  files.write("src/app/registry.gen.ts", registrySource());
  files.finish();
}
