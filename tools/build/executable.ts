import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, globSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { PAGE_ASSET_PREFIX } from "#app/page";
import { REGEX_ENGINE_FLAGS, START_FLAGS } from "#app/v8-flags";
import { WORKER_ASSET } from "#app/workers";
import { SNAPPY_WASM_ASSET, snappyWasmUrl } from "#formats/snappy";
import { bundleExecutable, WORKER_PROGRAM } from "./bundle.ts";
import { thirdPartyNotices } from "./notices.ts";
import { buildPage } from "./page.ts";

/** The engines' flags are set by main.ts as well; here they are for the code cache, which V8 takes only with the very flags that it was made with. */
const EXEC_ARGUMENTS = [...REGEX_ENGINE_FLAGS, ...START_FLAGS, "--no-warnings"];

/**
 * Makes `dist/invar`: Node, stripped of its symbols, with the bundled program, its code cache, the program of worker threads,
 * the WebAssembly module and the page's files inside; and `dist/THIRD-PARTY-NOTICES`. Needs Node 26, which has `--build-sea`.
 */
export async function buildExecutable(root: string, dist: string): Promise<string> {
  const output = join(dist, "invar");
  const work = join(dist, "executable");
  mkdirSync(work, { recursive: true });
  const main = join(work, "main.cjs");
  const worker = join(work, WORKER_ASSET);
  const modules = [
    ...(await bundleExecutable(root, main)),
    ...(await bundleExecutable(root, worker, WORKER_PROGRAM)),
    ...(await buildPage(root, { minify: true })),
  ];
  writeFileSync(join(dist, "THIRD-PARTY-NOTICES"), thirdPartyNotices(process.execPath, modules));

  const configuration = join(work, "sea.json");
  writeFileSync(
    configuration,
    JSON.stringify({
      main,
      output,
      executable: strippedNode(work),
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      execArgv: EXEC_ARGUMENTS,
      assets: { ...assets(root), [WORKER_ASSET]: worker },
    }),
  );
  rmSync(output, { force: true });
  run(process.execPath, [...EXEC_ARGUMENTS, "--build-sea", configuration]);
  chmodSync(output, 0o755);
  rmSync(work, { recursive: true });
  forgetCachedPages(output);
  return output;
}

function assets(root: string): Record<string, string> {
  const files: Record<string, string> = { [SNAPPY_WASM_ASSET]: fileURLToPath(snappyWasmUrl()) };
  const page = join(root, "web", "dist");
  for (const name of globSync("**/*.*", { cwd: page })) {
    files[PAGE_ASSET_PREFIX + relative(page, join(page, name))] = join(page, name);
  }
  return files;
}

/** A copy of Node without its symbols, which are a fifth of it. Stripping has to come first: it would cut off what is added. */
function strippedNode(work: string): string {
  const copy = join(work, "node");
  copyFileSync(process.execPath, copy);
  const { status, error, stderr } = spawnSync("strip", [copy], { encoding: "utf8" });
  if (status !== 0) {
    process.stdout.write(
      `not stripped, so about 30 MB larger than need be: ${error === undefined ? stderr.trim() : "there is no strip (Debian: binutils)"}\n`,
    );
    copyFileSync(process.execPath, copy);
  }
  return copy;
}

/**
 * Writes the file back and drops it from the page cache. A file that was just written is cached in large folios, of which
 * the kernel maps each as a whole: the first agents started from it would show 40 MB more resident memory than later ones.
 */
function forgetCachedPages(file: string): void {
  spawnSync("dd", [`of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
}

/** Carries out a command; throws with what it said when it fails. */
export function run(command: string, args: readonly string[], cwd?: string): string {
  const result = spawnSync(command, args, { encoding: "utf8", cwd });
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")} failed: ${result.error?.message ?? `${result.stdout}${result.stderr}`}`,
    );
  }
  return result.stdout;
}

export function megabytes(file: string): string {
  return `${(statSync(file).size / 1e6).toFixed(1)} MB`;
}
