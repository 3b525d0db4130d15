import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { bundlePackage } from "./bundle.ts";
import { run } from "./executable.ts";
import { packageNotices } from "./notices.ts";
import { buildPage } from "./page.ts";

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/**
 * Makes `dist/npm`, the package as it is published, in plain JavaScript with its own package.json, and packs it. Returns
 * the path of the tarball.
 */
export async function buildNpmPackage(root: string, dist: string): Promise<string> {
  const folder = join(dist, "npm");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "bin"), { recursive: true });
  const imports = await bundlePackage(root, join(folder, "lib"));

  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as PackageJson;
  checkDependencies(imports, manifest.dependencies);
  const { name, version, description, license, engines, dependencies } = manifest;
  writeFileSync(
    join(folder, "package.json"),
    `${JSON.stringify(
      { name, version, description, license, type: "module", engines, bin: { invar: "bin/invar.mjs" }, dependencies },
      undefined,
      2,
    )}\n`,
  );
  cpSync(join(root, "packaging", "npm", "invar.mjs"), join(folder, "bin", "invar.mjs"));
  cpSync(join(root, "packaging", "npm", "README.md"), join(folder, "README.md"));
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  const pageModules = await buildPage(root, { minify: true });
  cpSync(join(root, "web", "dist"), join(folder, "web"), { recursive: true });
  writeFileSync(join(folder, "web", "THIRD-PARTY-NOTICES"), packageNotices(pageModules));

  const file = run("npm", ["pack", "--silent", "--pack-destination", dist], folder).trim();
  return join(dist, file.split("\n").at(-1)!);
}

/** What the bundle imports must be Node's or a dependency; otherwise the package would work here and nowhere else. */
export function checkDependencies(imports: readonly string[], dependencies: Readonly<Record<string, string>>): void {
  for (const id of imports) {
    if (id.startsWith("node:") || id.endsWith(".js") || builtinModules.includes(id)) continue;
    const name = id
      .split("/")
      .slice(0, id.startsWith("@") ? 2 : 1)
      .join("/");
    if (dependencies[name] === undefined) throw new Error(`${id} is imported, but ${name} is not in "dependencies"`);
  }
}
