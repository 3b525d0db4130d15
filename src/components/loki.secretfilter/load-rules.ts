import { readFileSync } from "node:fs";
import { parse } from "smol-toml";
import { errorText } from "#base/log";
import { DEFAULT_CONFIG } from "./default-rules.gen.ts";
import { Detector } from "./detector.ts";
import { GitleaksConfigError, resolveConfig } from "./gitleaks-config.ts";

/** The rules that Gitleaks has built in are the same for all components that use them. */
let defaults: Detector | undefined;

/**
 * A detector with the rules of a file, or with those that Gitleaks has built in if the path is empty. Throws an error whose
 * message names the file and says what to do.
 */
export function loadDetector(path: string, warn: (warning: string) => void): Detector {
  if (path === "") return (defaults ??= new Detector(resolveConfig(DEFAULT_CONFIG, SOURCES)));
  try {
    const rules = resolveConfig(readToml(path), SOURCES);
    for (const warning of rules.warnings) warn(warning);
    return new Detector(rules);
  } catch (error) {
    if (error instanceof GitleaksConfigError)
      throw new Error(`\`gitleaks_config\` ${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

const SOURCES = { defaults: DEFAULT_CONFIG, load: readToml };

function readToml(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read the Gitleaks configuration ${path}: ${explain(error as NodeJS.ErrnoException)}`, {
      cause: error,
    });
  }
  try {
    return parse(text);
  } catch (error) {
    const reason = errorText(error).split("\n", 1)[0]!;
    throw new Error(`the Gitleaks configuration ${path} is no TOML: ${reason}`, { cause: error });
  }
}

function explain(error: NodeJS.ErrnoException): string {
  const because: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file; create it or correct the path",
    EACCES: "the permission is missing; let the agent's user read it",
    EISDIR: "it is a folder; name a file in it",
    ENOTDIR: "a part of the path is no folder; correct it",
  };
  return because[error.code ?? ""] ?? errorText(error);
}
