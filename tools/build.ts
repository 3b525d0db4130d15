import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildExecutable, megabytes } from "./build/executable.ts";
import { buildNpmPackage } from "./build/npm-package.ts";

/**
 * Makes what is released, in dist/: the single executable and the npm package. `npm run build -- executable` or
 * `-- npm` makes one of them.
 */

const root = process.cwd();
const dist = join(root, "dist");
const wanted = process.argv.slice(2);
const all = wanted.length === 0;
mkdirSync(dist, { recursive: true });

if (all || wanted.includes("executable")) {
  const file = await buildExecutable(root, dist);
  process.stdout.write(`dist/invar: ${megabytes(file)}, ${describeStart(file)}\n`);
}
if (all || wanted.includes("npm")) {
  const tarball = await buildNpmPackage(root, dist);
  process.stdout.write(`${tarball.slice(root.length + 1)}: ${megabytes(tarball)}\n`);
}

/** Starts the executable where there is nothing beside it; the median of five. */
function describeStart(file: string): string {
  const folder = mkdtempSync(join(tmpdir(), "invar-build-"));
  const times: number[] = [];
  let version = "";
  for (let i = 0; i < 5; i++) {
    const begun = performance.now();
    const { status, stdout, stderr } = spawnSync(file, ["--version"], { cwd: folder, encoding: "utf8" });
    times.push(performance.now() - begun);
    if (status !== 0) throw new Error(`dist/invar does not start: ${stderr}`);
    version = stdout.split("\n", 1)[0]!;
  }
  rmSync(folder, { recursive: true });
  return `"${version}" after ${Math.round(times.sort((a, b) => a - b)[2]!)} ms`;
}
