import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Labels } from "#base/labels";
import { explainFailure } from "./explain.ts";
import { explainMissingPath } from "./explain-target.ts";
import { Glob, GlobError } from "./glob.ts";
import { mayRead } from "./permissions.ts";

export const PATH_LABEL = "__path__";
export const EXCLUDE_LABEL = "__path_exclude__";

/** What became of one target with a pattern. */
export interface MatchReport {
  readonly target: Labels;
  readonly files: readonly { readonly path: string; readonly isReadable: boolean }[];
  readonly excluded: number;
  readonly directories: number;
  /** Files that were not modified for too long. */
  readonly tooOld: readonly string[];
  /** Why there is nothing to look for: no path, or a pattern that is none. */
  readonly mistake: { readonly kind: "missing_path" | "bad_pattern"; readonly text: string } | undefined;
  /** Sentences about directories that cannot be searched and about files, those among `files` too, that cannot be read. */
  readonly unreadable: readonly string[];
}

interface Facts {
  readonly isDirectory: boolean;
  readonly modifiedMs: number;
  readonly isReadable: boolean;
  /** When the system is asked again (epoch ms). */
  readonly untilMs: number;
}

/** Files are asked about this far apart on average, so a few of them each time and thousands of them rarely. */
const ASK_EACH_MS = 20;

/** What was found out about files, so that thousands of them are not asked about each time that a pattern is looked at. */
export class FileFacts {
  #known = new Map<string, Facts>();
  #before = new Map<string, Facts>();

  /** What is known well enough; undefined if the system has to be asked. An old file may be written to at any time. */
  known(path: string, ignoreOlderThanMs: number, nowMs: number): Facts | undefined {
    const facts = this.#known.get(path) ?? this.#before.get(path);
    if (facts === undefined || nowMs >= facts.untilMs || !facts.isReadable) return undefined;
    if (ignoreOlderThanMs !== 0 && facts.modifiedMs < nowMs - ignoreOlderThanMs) return undefined;
    this.#known.set(path, facts);
    return facts;
  }

  /** Rejects with what the system says. */
  async ask(path: string, nowMs: number): Promise<Facts> {
    const stats = await stat(path);
    const isDirectory = stats.isDirectory();
    const isReadable = isDirectory || (await mayRead(path, stats));
    // By chance, so that not all are asked at once.
    const untilMs = nowMs + ASK_EACH_MS * this.#before.size * (0.5 + Math.random() / 2);
    const facts = { isDirectory, modifiedMs: stats.mtimeMs, isReadable, untilMs };
    this.#known.set(path, facts);
    return facts;
  }

  /** Forgets files that were not found since the last call. */
  endRound(): void {
    this.#before = this.#known;
    this.#known = new Map();
  }
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
 * missing or will be of no use, which that does not. Never rejects.
 */
export async function matchTarget(
  target: Labels,
  ignoreOlderThanMs: number,
  nowMs: number,
  facts: FileFacts,
): Promise<MatchReport> {
  const pattern = target.get(PATH_LABEL) ?? "";
  const report = {
    target,
    files: [] as { path: string; isReadable: boolean }[],
    excluded: 0,
    directories: 0,
    tooOld: [] as string[],
    mistake: undefined as MatchReport["mistake"],
    unreadable: [] as string[],
  };
  if (pattern === "") {
    report.mistake = { kind: "missing_path", text: explainMissingPath(target) };
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
    report.mistake = { kind: "bad_pattern", text: `syntax error in pattern: ${error.message}` };
    return report;
  }
  const matches = await glob.find((path, error) => report.unreadable.push(explainFailure(path, error)));
  for (const match of matches) {
    if (exclude?.match(match)) {
      report.excluded += 1;
      continue;
    }
    const path = resolve(match);
    try {
      const known = facts.known(path, ignoreOlderThanMs, nowMs);
      const { isDirectory, modifiedMs, isReadable } = known ?? (await facts.ask(path, nowMs));
      if (isDirectory) report.directories += 1;
      else if (ignoreOlderThanMs !== 0 && modifiedMs < nowMs - ignoreOlderThanMs) report.tooOld.push(path);
      else {
        report.files.push({ path, isReadable });
        if (!isReadable) report.unreadable.push(explainFailure(path, DENIED));
      }
    } catch (error) {
      report.unreadable.push(explainFailure(path, error as NodeJS.ErrnoException));
    }
  }
  return report;
}

const DENIED = Object.assign(new Error("permission denied"), { code: "EACCES" });

/** Directories above the first special character of a pattern, which must be valid. */
export function patternBases(pattern: string): readonly string[] {
  return globFor(pattern).bases;
}

/** The labels that stay on entries: those that do not begin with two underscores. */
export function publicLabels(target: Labels): Labels {
  return target.filter((name) => !name.startsWith("__"));
}
