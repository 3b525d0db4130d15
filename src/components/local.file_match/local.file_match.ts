import type { Labels } from "#base/labels";
import { gauge } from "#base/metrics";
import { explainNoFiles, isEmpty, judgeMatches, MATCH_RULES } from "#kits/tail/match-status";
import { FileFacts, type MatchReport, matchTarget, PATH_LABEL } from "#kits/tail/targets";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

/** Empty rounds after which the log says so, … */
const WARN_AFTER_ROUNDS = 2;
/** … but not before this time, in which a start may still be going on. */
const LEAST_PATIENCE_MS = 10_000;
/** Of many patterns without files so many are named in the log, each once. */
const MAX_WARNINGS = 10;

export default defineComponent({
  name: "local.file_match",
  stability: "generally-available",
  summary: "Finds files on the local file system with glob patterns.",
  example: `local.file_match "example" {
  path_targets = [{ __path__ = "/var/log/*.log", __path_exclude__ = "/var/log/*.gz", job = "logs" }]
}`,
  args: s
    .object({
      path_targets: s.targets().doc("Targets to expand: `__path__` and `__path_exclude__` are doublestar patterns."),
      sync_period: s.duration().default("10s").doc("How often to look for files."),
      ignore_older_than: s
        .duration()
        .default("0s")
        .doc("Leaves out files that were not modified for this long; 0 for none."),
    })
    .rule("sync_period", (args) => args.sync_period > 0, "must be greater than 0"),
  exports: s.object({ targets: s.targets().doc("A target for each file found, `__path__` being the file.") }),
  metrics: {
    paths: gauge("local_file_match_paths", "What the patterns match, by what became of it.", ["outcome"]),
    empty: gauge("local_file_match_patterns_without_files", "Patterns that match no file."),
  },

  start(ctx, args) {
    const facts = new FileFacts();
    let current = args;
    let wake = () => {};
    let matched: readonly Labels[] = [];
    /** The targets that `matched` was made of. */
    let matchedFor: readonly Labels[] = [];
    let findings: ReturnType<typeof judgeMatches> = new Map();
    /** Rounds in which a target was without files, by the target. */
    let emptyRounds = new Map<string, number>();
    let warnings = 0;
    let hadFiles = false;
    ctx.flow.patienceMs = patience(args.sync_period);
    ctx.export({ targets: matched });
    for (const rule of MATCH_RULES) ctx.rule(rule, () => findings.get(rule));
    ctx.rule("no_targets", () =>
      current.path_targets.length > 0 ? undefined : { state: "idle", cause: "`path_targets` is empty" },
    );

    ctx.run(async (signal) => {
      while (!signal.aborted) {
        const before = current;
        await sync();
        if (before !== current) continue;
        const pause = new AbortController();
        wake = () => pause.abort();
        signal.addEventListener("abort", wake);
        await ctx.clock.sleep(current.sync_period, pause.signal).catch(() => {});
        signal.removeEventListener("abort", wake);
      }
    });

    async function sync() {
      const { path_targets, ignore_older_than } = current;
      const reports: MatchReport[] = [];
      for (const target of path_targets) {
        reports.push(await matchTarget(target, ignore_older_than, ctx.clock.now(), facts));
      }
      facts.endRound();
      if (ctx.signal.aborted) return;
      // Thousands of files that are still there are not made into labels again to find that out.
      if (path_targets !== matchedFor || !isMatched(reports)) exportAll(reports);
      matchedFor = path_targets;
      report(reports);
    }

    function isMatched(reports: readonly MatchReport[]): boolean {
      let count = 0;
      for (const { files } of reports) {
        for (const { path } of files) if (matched[count++]?.get(PATH_LABEL) !== path) return false;
      }
      return count === matched.length;
    }

    function exportAll(reports: readonly MatchReport[]) {
      const targets = reports.flatMap(({ target, files }) => files.map((file) => target.with(PATH_LABEL, file.path)));
      const changed = targets.length !== matched.length || targets.some((each, i) => !each.equals(matched[i]!));
      if (changed) {
        matched = targets;
        ctx.export({ targets });
      }
    }

    function report(reports: readonly MatchReport[]) {
      findings = judgeMatches(reports);
      count(reports);
      warn(reports);
      if (reports.some((each) => each.files.length > 0)) ctx.flow.ok();
      else ctx.flow.judge();
    }

    function count(reports: readonly MatchReport[]) {
      const sum = (of: (report: MatchReport) => number) => reports.reduce((total, each) => total + of(each), 0);
      const { paths, empty } = ctx.metrics;
      paths.labels("file").set(sum(({ files }) => files.length));
      paths.labels("excluded").set(sum(({ excluded }) => excluded));
      paths.labels("directory").set(sum(({ directories }) => directories));
      paths.labels("too_old").set(sum(({ tooOld }) => tooOld.length));
      paths.labels("unreadable").set(sum(({ unreadable }) => unreadable.length));
      empty.set(sum(({ files }) => (files.length === 0 ? 1 : 0)));
    }

    /**
     * That there is nothing from the start on, the agent says of any flow. Here it is about patterns that no longer match,
     * and about an empty one among others, which is no fault, but somebody may wonder.
     */
    function warn(reports: readonly MatchReport[]) {
      hadFiles ||= !reports.every(isEmpty);
      if (!hadFiles) return;
      const before = emptyRounds;
      emptyRounds = new Map();
      for (const each of reports.filter(isEmpty)) {
        const key = each.target.toString();
        const rounds = (before.get(key) ?? 0) + 1;
        emptyRounds.set(key, rounds);
        if (rounds !== WARN_AFTER_ROUNDS || warnings >= MAX_WARNINGS) continue;
        warnings += 1;
        ctx.log.warn("a pattern matches no file", { cause: explainNoFiles(each) });
      }
    }

    return {
      update(next) {
        current = next;
        ctx.flow.patienceMs = patience(next.sync_period);
        emptyRounds = new Map();
        warnings = 0;
        wake();
      },
    };
  },
});

function patience(syncPeriodMs: number): number {
  return Math.max(LEAST_PATIENCE_MS, WARN_AFTER_ROUNDS * syncPeriodMs);
}
