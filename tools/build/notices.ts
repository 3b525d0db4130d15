import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

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
    const text = licenceIn(folder) ?? licenceOfSiblings(folder, license);
    if (text === undefined) throw new Error(`${name} has no licence file in ${folder}: it cannot be passed on`);
    return `${name} ${version}${license === undefined ? "" : ` (${license})`}\n\n${text}\n`;
  });
  return `Invar contains the following software.\n\n${sections.join(`\n${"-".repeat(100)}\n\n`)}`;
}

function licenceIn(folder: string): string | undefined {
  const [file] = globSync("{LICENSE,LICENCE,License,license,COPYING}*", { cwd: folder });
  if (file !== undefined) return readFileSync(join(folder, file), "utf8").trim();
  const [readme] = globSync("{README,readme,Readme}*", { cwd: folder });
  if (readme === undefined) return undefined;
  return /^#+ *licen[sc]e *\n+(.+)/ims.exec(readFileSync(join(folder, readme), "utf8"))?.[1]?.trim();
}

/** Some packages of a scope come without the text that the others have; it is the same if they name the same licence. */
function licenceOfSiblings(folder: string, license: string | undefined): string | undefined {
  const scope = dirname(folder);
  if (license === undefined || !basename(scope).startsWith("@")) return undefined;
  for (const name of globSync("*", { cwd: scope }).sort()) {
    const sibling = join(scope, name);
    const { license: other } = JSON.parse(readFileSync(join(sibling, "package.json"), "utf8")) as PackageJson;
    const text = other === license ? licenceIn(sibling) : undefined;
    if (text !== undefined) return text;
  }
  return undefined;
}

/** The folder of the package that a file lies in, or undefined for files of this repository. */
export function packageFolder(path: string): string | undefined {
  return /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
}
