import { type Stats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Labels } from "#base/labels";
import { deepestExisting, explainFailure } from "./explain.ts";
import { Glob, GlobError } from "./glob.ts";

export const PATH_LABEL = "__path__";
export const EXCLUDE_LABEL = "__path_exclude__";

/** What became of one target with a pattern. */
export interface MatchReport {
  readonly target: Labels;
  readonly files: readonly { readonly path: string; readonly stats: Stats }[];
  readonly excluded: number;
  readonly directories: number;
  /** Files that were not modified for too long. */
  readonly tooOld: readonly string[];
  /** Sentences about what could not be read. */
  readonly failures: readonly string[];
}

const globs = new Map<string, Glob>();
const MAX_CACHED_GLOBS = 10_000;

function globFor(pattern: string): Glob {
  let glob = globs.get(pattern);
  if (glob === undefined) {
    glob = new Glob(pattern);
    if (globs.size >= MAX_CACHED_GLOBS) globs.clear();
    globs.set(pattern, glob);
  }
  return glob;
}

/**
 * The files that a target's `__path__` pattern stands for, without what `__path_exclude__` matches, directories, and
 * files not modified for `ignoreOlderThanMs` (0: any age). Matches watch.go of local.file_match, and says why a file is
 * missing, which that does not. Never rejects.
 */
export async function matchTarget(target: Labels, ignoreOlderThanMs: number, nowMs: number): Promise<MatchReport> {
  const pattern = target.get(PATH_LABEL) ?? "";
  const report = {
    target,
    files: [] as { path: string; stats: Stats }[],
    excluded: 0,
    directories: 0,
    tooOld: [] as string[],
    failures: [] as string[],
  };
  if (pattern === "") {
    report.failures.push(
      `the target ${target} has no ${PATH_LABEL}: set it to a file or a pattern such as /var/log/*.log`,
    );
    return report;
  }
  let glob: Glob;
  let exclude: Glob | undefined;
  try {
    glob = globFor(pattern);
    const excludePattern = target.get(EXCLUDE_LABEL);
    if (excludePattern) exclude = globFor(excludePattern);
  } catch (error) {
    if (!(error instanceof GlobError)) throw error;
    report.failures.push(`syntax error in pattern: ${error.message}`);
    return report;
  }
  const matches = await glob.find((path, error) => report.failures.push(explainFailure(path, error)));
  for (const match of matches) {
    if (exclude?.match(match)) {
      report.excluded += 1;
      continue;
    }
    const path = resolve(match);
    try {
      const stats = await stat(path);
      if (stats.isDirectory()) report.directories += 1;
      else if (ignoreOlderThanMs !== 0 && stats.mtimeMs < nowMs - ignoreOlderThanMs) report.tooOld.push(path);
      else report.files.push({ path, stats });
    } catch (error) {
      report.failures.push(explainFailure(path, error as NodeJS.ErrnoException));
    }
  }
  return report;
}

/** Why a target matches no file, as a sentence for the flow status. */
export function explainNoFiles(report: MatchReport): string {
  const pattern = report.target.get(PATH_LABEL) ?? "";
  const first = report.failures[0];
  if (first !== undefined) return `0 files for "${pattern}": ${first}`;
  const left: string[] = [];
  if (report.excluded > 0) left.push(`${report.excluded} excluded by ${EXCLUDE_LABEL}`);
  if (report.tooOld.length > 0) left.push(`${report.tooOld.length} older than \`ignore_older_than\``);
  if (report.directories > 0) left.push(`${report.directories} directories`);
  if (left.length > 0) return `0 files for "${pattern}": ${left.join(", ")}`;
  for (const base of globFor(pattern).bases) {
    try {
      if (statSync(base).isDirectory()) continue;
      return `0 files for "${pattern}": ${base} is not a directory`;
    } catch {
      const existing = deepestExisting(resolve(base));
      return `0 files for "${pattern}": directory ${base} does not exist (deepest existing: ${existing}). In a container? Mount it`;
    }
  }
  return `0 files for "${pattern}": the directory exists, no name in it matches`;
}

/** The labels that stay on entries: those that do not begin with two underscores. */
export function publicLabels(target: Labels): Labels {
  return target.filter((name) => !name.startsWith("__"));
}
