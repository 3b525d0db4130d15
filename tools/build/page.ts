import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { refuse } from "./bundle.ts";

/**
 * Makes `web/dist`, the files of the agent's page: the scripts of `web/source` with their packages, what is in
 * `web/static` as it is, the plots' style sheet and the components' schema. Returns the paths of the modules inside.
 */
export async function buildPage(root: string, options: { minify: boolean }): Promise<readonly string[]> {
  const folder = join(root, "web", "dist");
  if (options.minify) rmSync(folder, { recursive: true, force: true }); // a checkout's may be read by an agent right now
  mkdirSync(folder, { recursive: true });
  const bundle = await rolldown({
    cwd: root,
    input: { main: "web/source/main.tsx" },
    platform: "browser",
    tsconfig: join(root, "web", "tsconfig.json"),
    onwarn: refuse,
  });
  const { output } = await bundle.write({
    dir: folder,
    format: "esm",
    minify: options.minify,
    sourcemap: !options.minify,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
  });
  await bundle.close();
  cpSync(join(root, "web", "static"), folder, { recursive: true });
  cpSync(join(root, "node_modules", "uplot", "dist", "uPlot.min.css"), join(folder, "plot.css"));
  cpSync(join(root, "web", "schema.json"), join(folder, "schema.json"));
  return output.flatMap((each) => (each.type === "chunk" ? each.moduleIds : []));
}
