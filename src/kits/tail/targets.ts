import { stat } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import type { Labels } from "#base/labels";
import { explainFailure } from "./explain.ts";
import { explainMissingPath } from "./explain-target.ts";
import { Glob, GlobError } from "./glob.ts";
import { GlobListings } from "./glob-listing.ts";
import { mayRead } from "./permissions.ts";

export const PATH_LABEL = "__path__";
const EXCLUDE_LABEL = "__path_exclude__";

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
  readonly path: string;
  readonly isDirectory: boolean;
  readonly modifiedMs: number;
  readonly isReadable: boolean;
  /** When the system is asked again (epoch ms). */
  readonly untilMs: number;
  /** The round in which the file was found last. */
  round: number;
}

/** Files are asked about this far apart on average, so a few of them each time and thousands of them rarely. */
const ASK_EACH_MS = 50;

/** What was found out about files, so that thousands of them are not asked about each time that a pattern is looked at. */
export class FileFacts {
  readonly #listings = new GlobListings();
  readonly #known = new Map<string, Facts>();
  #globs = new Set<Glob>();
  #round = 0;

  /** The paths that match, as `GlobListings` has them. */
  find(glob: Glob, nowMs: number, onError: (path: string, error: NodeJS.ErrnoException) => void) {
    this.#globs.add(glob);
    return this.#listings.find(glob, nowMs, onError);
  }

  /** What is known well enough; undefined if the system has to be asked. An old file may be written to at any time. */
  known(path: string, ignoreOlderThanMs: number, nowMs: number): Facts | undefined {
    const facts = this.#known.get(path);
    if (facts === undefined || nowMs >= facts.untilMs || !facts.isReadable) return undefined;
    if (ignoreOlderThanMs !== 0 && facts.modifiedMs < nowMs - ignoreOlderThanMs) return undefined;
    facts.round = this.#round;
    return facts;
  }

  /** `among`: how many files the pattern matches. Rejects with what the system says. */
  async ask(path: string, nowMs: number, among: number): Promise<Facts> {
    const stats = await stat(path);
    const isDirectory = stats.isDirectory();
    const isReadable = isDirectory || (await mayRead(path, stats));
    // By chance, so that not all are asked at once.
    const untilMs = nowMs + ASK_EACH_MS * Math.max(among, this.#known.size) * (0.5 + Math.random() / 2);
    const facts = { path, isDirectory, modifiedMs: stats.mtimeMs, isReadable, untilMs, round: this.#round };
    this.#known.set(path, facts);
    return facts;
  }

  /** Forgets files that were not found, and patterns that were not looked at, since the last call. */
  endRound(): void {
    for (const { path, round } of this.#known.values()) if (round !== this.#round) this.#known.delete(path);
    this.#listings.keep(this.#globs);
    this.#globs = new Set();
    this.#round += 1;
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
  const matches = await facts.find(glob, nowMs, (path, error) => report.unreadable.push(explainFailure(path, error)));
  for (const match of matches) {
    if (exclude?.match(match)) {
      report.excluded += 1;
      continue;
    }
    const path = isAbsolute(match) ? match : resolve(match);
    try {
      const known = facts.known(path, ignoreOlderThanMs, nowMs);
      const found = known ?? (await facts.ask(path, nowMs, matches.length));
      const { isDirectory, modifiedMs, isReadable } = found;
      if (isDirectory) report.directories += 1;
      else if (ignoreOlderThanMs !== 0 && modifiedMs < nowMs - ignoreOlderThanMs) report.tooOld.push(path);
      else {
        report.files.push(found);
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
