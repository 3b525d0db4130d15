import { exporterExports, hostInstance, runExporter } from "#kits/exporter/exporter";
import { pageSize } from "#kits/page-size";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { compileMatchers, matcherSchema } from "./matcher.ts";
import { ProcessFiles, readUserNames } from "./process-files.ts";
import { ProcessMetrics } from "./process-metrics.ts";
import { Tracker } from "./tracker.ts";

export default defineComponent({
  name: "prometheus.exporter.process",
  stability: "generally-available",
  summary: "Exposes metrics of groups of processes, as process-exporter does, as a target.",
  example: `prometheus.exporter.process "default" {
  track_children = false

  matcher {
    comm = ["nginx"]
  }
}`,
  args: s.object({
    procfs_path: s.string().default("/proc").doc("Where procfs is mounted."),
    track_children: s
      .bool()
      .default(true)
      .doc("Whether processes that no matcher matches belong to the group of their parent."),
    track_threads: s.bool().default(true).doc("Whether threads are reported by their names too."),
    gather_smaps: s
      .bool()
      .default(true)
      .doc("Whether memory is also reported with shared pages divided; costs time for large processes."),
    recheck_on_scrape: s
      .bool()
      .default(false)
      .doc(
        "Whether processes that nothing matched are looked at again with each scrape, in case they changed their name.",
      ),
    remove_empty_groups: s.bool().default(false).doc("Whether groups whose processes have all ended are forgotten."),
    matcher: s.blocks(matcherSchema).doc("Which processes form a group; the first that matches counts."),
  }),
  exports: exporterExports,

  start(ctx, args) {
    let names: ReadonlyMap<number, string> | undefined;
    const tracker = new Tracker({
      files: new ProcessFiles(args.procfs_path, pageSize(), args.gather_smaps),
      namer: compileMatchers(args.matcher),
      trackChildren: args.track_children,
      // As upstream: a process is only ignored for good when its ancestors were looked at.
      recheck: args.recheck_on_scrape,
      clock: ctx.clock,
      userName(id) {
        names ??= readUserNames("/etc/passwd") ?? new Map();
        return names.get(id) ?? String(id);
      },
    });
    const metrics = new ProcessMetrics({
      tracker,
      removeEmptyGroups: args.remove_empty_groups,
      withSmaps: args.gather_smaps,
      withThreads: args.track_threads,
      procfsPath: args.procfs_path,
      log: ctx.log,
      version: ctx.services.version,
    });
    ctx.rule("procfs", () => metrics.judgeReading());
    ctx.rule("processes_denied", () => metrics.judgePermissions());
    ctx.rule("no_processes", () =>
      args.matcher.length > 0
        ? metrics.judgeGroups()
        : { state: "idle", cause: "there is no matcher block, so that no process is reported: add one" },
    );
    ctx.rule("groups_forgotten", () => metrics.judgeForgotten());
    // What processes did before this belongs to nobody; counters start here.
    ctx.run(() => metrics.update());
    return runExporter(ctx, { instance: hostInstance(), collect: () => metrics.collect() });
  },
});
