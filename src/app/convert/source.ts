import type { Environment } from "./environment.ts";
import type { Report } from "./report.ts";
import { readYaml, YamlError, type YamlMap, type YamlTree } from "./yaml-tree.ts";

/** The program whose configuration is read, and what it has at the top, for messages. */
export interface SourceProgram {
  readonly name: string;
  readonly settings: string;
}

/** The map at the top of a configuration; undefined, with a finding, for what is none. */
export function readRoot(environment: Environment, report: Report, program: SourceProgram): YamlMap | undefined {
  let tree: YamlTree;
  try {
    tree = readYaml(environment);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    report.add("Critical", "", error.message);
    return undefined;
  }
  const { root, furtherDocuments, repeatedKeys } = tree;
  for (const line of furtherDocuments) {
    report.add(
      "Warning",
      `line ${line}`,
      `a further YAML document begins here; ${program.name} reads the first one only, and so does this`,
    );
  }
  for (const { key, line } of repeatedKeys) {
    report.add("Warning", `line ${line}`, `${key} is there twice, which ${program.name} refuses; the last one counts`);
  }
  if (root?.kind === "map") return root;
  report.add(
    "Critical",
    "",
    `this is no ${program.name} configuration: it has no settings such as ${program.settings}`,
  );
  return undefined;
}
