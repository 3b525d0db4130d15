import type { Labels } from "#base/labels";
import { explainNoFiles, type MatchReport, matchTarget, PATH_LABEL } from "#kits/tail/targets";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

/** Empty rounds after which the log says so. */
const WARN_AFTER_ROUNDS = 2;

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

  start(ctx, args) {
    let current = args;
    let wake = () => {};
    let emptyRounds = 0;
    let lastFailure: string | undefined;
    let matched: readonly Labels[] = [];
    ctx.export({ targets: matched });

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
      for (const target of path_targets) reports.push(await matchTarget(target, ignore_older_than, ctx.clock.now()));
      if (ctx.signal.aborted) return;
      const targets = reports.flatMap(({ target, files }) => files.map((file) => target.with(PATH_LABEL, file.path)));
      const changed = targets.length !== matched.length || targets.some((each, i) => !each.equals(matched[i]!));
      if (changed) {
        matched = targets;
        ctx.export({ targets });
      }
      report(reports);
    }

    function report(reports: readonly MatchReport[]) {
      const failure = reports.flatMap((each) => each.failures)[0];
      if (failure !== undefined && failure !== lastFailure) ctx.log.error("error getting paths", { error: failure });
      lastFailure = failure;
      if (reports.length === 0) return ctx.flow.idle("`path_targets` is empty");
      const without = reports.filter((each) => each.files.length === 0);
      emptyRounds = without.length > 0 ? emptyRounds + 1 : 0;
      if (without.length === 0) return failure === undefined ? ctx.flow.ok() : ctx.flow.degraded(failure);
      const cause = explainNoFiles(without[0]!);
      if (emptyRounds === WARN_AFTER_ROUNDS) ctx.log.warn("a pattern matches no file", { cause });
      if (failure !== undefined) ctx.flow.degraded(cause);
      else if (without.length === reports.length) ctx.flow.idle(cause);
      else ctx.flow.ok();
    }

    return {
      update(next) {
        current = next;
        emptyRounds = 0;
        wake();
      },
    };
  },
});
