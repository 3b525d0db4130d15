import { writeFileSync } from "node:fs";
import { type OutputChunk, type RolldownLog, rolldown } from "rolldown";

/**
 * What may be said about a bundle without stopping the build: the executable has its WebAssembly inside and never asks
 * `import.meta` where it lies.
 */
const HARMLESS = new Set(["EMPTY_IMPORT_META"]);

export function refuse(log: RolldownLog): void {
  if (!HARMLESS.has(log.code ?? "")) throw new Error(`bundling: ${log.code}: ${log.message}`);
}

/** The main program of worker threads. */
export const WORKER_PROGRAM = "src/app/worker.ts";

/**
 * The whole program, or that of worker threads, with its packages as one CommonJS file. Components stay lazy: a dynamic
 * import runs a module's code when it is reached, not before. Returns the paths of the modules that are in it.
 */
export async function bundleExecutable(
  root: string,
  file: string,
  input = "src/app/main.ts",
): Promise<readonly string[]> {
  const bundle = await rolldown({ cwd: root, input, platform: "node", onwarn: refuse });
  const { output } = await bundle.generate({ format: "cjs", codeSplitting: false, comments: false });
  await bundle.close();
  if (output.length !== 1) throw new Error(`expected one file, got ${output.map((each) => each.fileName).join(", ")}`);
  writeFileSync(file, escapeNonAscii(output[0].code));
  return output[0].moduleIds;
}

/**
 * The same program in ASCII. V8 keeps the source text, in two bytes a character as soon as one of them is not Latin-1:
 * some dozen ellipses would cost 3 MB of memory. After the comments are gone, such characters stand in literals only.
 */
export function escapeNonAscii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * The program without its packages as modules in `folder`: `main.js`, and one file for each component beside files for
 * what several share, so that a start reads only what its configuration names.
 */
export async function bundlePackage(root: string, folder: string): Promise<readonly string[]> {
  const bundle = await rolldown({
    cwd: root,
    // An entry of its own, since a file that main.js imports is evaluated before main.js itself.
    input: { "v8-flags": "src/app/v8-flags.ts", main: "src/app/main.ts", worker: WORKER_PROGRAM },
    platform: "node",
    external: isPackage,
    onwarn: refuse,
  });
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    comments: false,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
  });
  await bundle.close();
  return output.filter((each): each is OutputChunk => each.type === "chunk").flatMap((chunk) => chunk.imports);
}

/** Whether an import names a package or a module of Node's, not a file of this repository. */
function isPackage(id: string): boolean {
  return /^[@a-z]/i.test(id);
}
