import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";

/**
 * Proves that the layer rules of biome.json still catch something: plants one forbidden import in each layer and expects
 * the linter to refuse it. (The rules themselves are checked by the ordinary lint.)
 */

const PLANTED: readonly (readonly [folder: string, code: string])[] = [
  ["src/base", 'import { s } from "#lang/schema";\nexport const planted = s;\n'],
  ["src/base", 'import { readFileSync } from "node:fs";\nexport const planted = readFileSync;\n'],
  ["src/lang", 'import type { LogBatch } from "#pipeline/batch";\nexport type Planted = LogBatch;\n'],
  ["src/lang", 'import { join } from "node:path";\nexport const planted = join;\n'],
  ["src/pipeline", 'import { compress } from "#formats/snappy";\nexport const planted = compress;\n'],
  ["src/formats", 'import type { HttpClient } from "#kits/http/client";\nexport type Planted = HttpClient;\n'],
  ["src/kits", 'import { Controller } from "#runtime/controller";\nexport const planted = Controller;\n'],
  ["src/components/planted", 'import other from "#components/loki.echo/loki.echo";\nexport const planted = other;\n'],
  ["src/components/planted", 'import other from "../loki.echo/loki.echo.ts";\nexport const planted = other;\n'],
  ["src/runtime", 'import { compress } from "#kits/http/client";\nexport const planted = compress;\n'],
  ["src/runtime", 'import { Agent } from "#app/agent";\nexport const planted = Agent;\n'],
];

let missed = 0;
for (const [folder, code] of PLANTED) {
  const path = `${folder}/planted-violation.ts`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, code);
  const { stdout, stderr, status } = spawnSync("node_modules/.bin/biome", ["lint", "--max-diagnostics=20", path], {
    encoding: "utf8",
  });
  rmSync(path);
  if (folder.endsWith("/planted")) rmSync(folder, { recursive: true });
  if (status === 0 || !`${stdout}${stderr}`.includes("noRestrictedImports")) {
    process.stderr.write(`the layer rules let this pass in ${folder}:\n${code}`);
    missed += 1;
  }
}
process.stdout.write(`${PLANTED.length - missed} of ${PLANTED.length} planted violations were caught\n`);
process.exitCode = missed === 0 ? 0 : 1;
