import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Labels } from "#base/labels";
import type { Judgement } from "#pipeline/flow";
import { deepestExisting } from "./explain.ts";
import { explainMissingPath } from "./explain-target.ts";
import { type MatchReport, PATH_LABEL, patternBases } from "./targets.ts";

/** What patterns came to, for the flow status of the components that look for files. */

/** The rules, the worst first. */
export const MATCH_RULES = ["missing_path", "bad_pattern", "unreadable_files", "no_files"] as const;
export type MatchRule = (typeof MATCH_RULES)[number];

/** What the rules find in the reports of all targets. */
export function judgeMatches(reports: readonly MatchReport[]): ReadonlyMap<MatchRule, Judgement> {
  const found = new Map<MatchRule, Judgement>();
  const isUseful = reports.some((each) => each.files.some(({ isReadable }) => isReadable));
  const judge = (rule: MatchRule, of: (report: MatchReport) => readonly string[]) => {
    const causes = [...new Set(reports.flatMap(of))];
    if (causes.length > 0) found.set(rule, { state: isUseful ? "degraded" : "failing", cause: andMore(causes) });
  };
  for (const kind of ["missing_path", "bad_pattern"] as const) {
    judge(kind, ({ mistake }) => (mistake?.kind === kind ? [mistake.text] : []));
  }
  judge("unreadable_files", (each) =>
    each.files.length === 0 && each.unreadable.length > 0 ? [explainNoFiles(each)] : each.unreadable,
  );
  // Not every pattern has to match on every machine, but one of them should.
  const [first] = reports;
  if (first !== undefined && reports.every(isEmpty)) {
    const more = reports.length > 1 ? ` (and nothing for ${reports.length - 1} more)` : "";
    found.set("no_files", { state: "idle", cause: explainNoFiles(first) + more });
  }
  return found;
}

/** The same for targets whose `__path__` is a file as it stands. Whether it is there and can be read, its tail knows. */
export function judgePaths(targets: readonly Labels[]): ReadonlyMap<MatchRule, Judgement> {
  const without = targets.filter((target) => (target.get(PATH_LABEL) ?? "") === "");
  if (without.length === 0) return new Map();
  const more = without.length > 1 ? ` (and ${without.length - 1} more)` : "";
  const state = without.length === targets.length ? "failing" : "degraded";
  return new Map([["missing_path", { state, cause: explainMissingPath(without[0]!) + more }]]);
}

/** Whether a target is right, and no file is there for it. */
export function isEmpty(report: MatchReport): boolean {
  return report.files.length === 0 && report.mistake === undefined && report.unreadable.length === 0;
}

/** Why a valid pattern gives no file, as a sentence for the flow status. */
export function explainNoFiles(report: MatchReport): string {
  const pattern = report.target.get(PATH_LABEL)!;
  const { excluded, tooOld, directories, unreadable } = report;
  const left: string[] = [];
  if (excluded > 0) left.push(`${excluded} excluded by __path_exclude__`);
  if (tooOld.length > 0) left.push(`${tooOld.length} older than \`ignore_older_than\``);
  if (directories > 0) left.push(`${directories} ${directories === 1 ? "directory" : "directories"}`);
  if (unreadable.length > 0) left.push(andMore(unreadable));
  if (left.length > 0) return `0 files for "${pattern}": ${left.join(", ")}`;
  return `0 files for "${pattern}": ${nothingThere(pattern)}`;
}

/** What there is in place of files that match a pattern. */
export function nothingThere(pattern: string): string {
  let names = 0;
  const bases = patternBases(pattern);
  for (const base of bases) {
    try {
      names += readdirSync(base).length;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return `${base} is not a directory`;
      const existing = deepestExisting(resolve(base));
      return `directory ${base} does not exist (deepest existing: ${existing}). In a container? Mount it`;
    }
  }
  const where = bases.length === 1 ? `directory ${bases[0]}` : "the directories above the pattern";
  return names === 0 ? `${where} is there and empty` : `${where} is there, but nothing in it matches (${names} names)`;
}

function andMore(causes: readonly string[]): string {
  return causes.length > 1 ? `${causes[0]} (and ${causes.length - 1} more)` : causes[0]!;
}
