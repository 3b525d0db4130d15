import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/**
 * The licences of everything that the executable carries: Node (the project's own, in node_modules), and the packages
 * that `modules` (paths of bundled files) come from. Throws for a package without a licence text.
 */
export function thirdPartyNotices(nodeExecutable: string, modules: readonly string[]): string {
  const snappy = join(process.cwd(), "node_modules", "snappy-wasm"); // an asset, not in the bundle
  return notices(new Set([dirname(dirname(nodeExecutable)), ...packageFolders(modules), snappy]));
}

/** The licences of the packages that bundled files come from. */
export function packageNotices(modules: readonly string[]): string {
  return notices(packageFolders(modules));
}

function packageFolders(modules: readonly string[]): ReadonlySet<string> {
  return new Set(modules.map(packageFolder).filter((folder) => folder !== undefined));
}

function notices(folders: ReadonlySet<string>): string {
  const sections = [...folders].map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageJson;
    const [file] = globSync("{LICENSE,LICENCE,license,COPYING}*", { cwd: folder });
    if (file === undefined) throw new Error(`${name} has no licence file in ${folder}: it cannot be passed on`);
    const text = readFileSync(join(folder, file), "utf8").trim();
    return `${name} ${version}${license === undefined ? "" : ` (${license})`}\n\n${text}\n`;
  });
  return `Invar contains the following software.\n\n${sections.join(`\n${"-".repeat(100)}\n\n`)}`;
}

/** The folder of the package that a file lies in, or undefined for files of this repository. */
export function packageFolder(path: string): string | undefined {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
}
