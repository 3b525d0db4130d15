import { dirname } from "node:path";
import { counter, gauge, summary } from "#base/metrics";
import { DiscoveryPoller, discoveryExports, discoveryMetrics, type Refresh } from "#kits/discovery/poller";
import type { PartAnswer } from "#kits/discovery/targets";
import { DirectoryWatch } from "#kits/tail/directory-watch";
import { Glob, GlobError } from "#kits/tail/glob";
import { nothingThere } from "#kits/tail/match-status";
import { isRemote } from "#kits/tail/remote-file-systems";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { findFiles, hasKnownForm, readTargets } from "./target-files.ts";

/** Between a change and reading it, so that what is half written is not read. */
const SETTLE_MS = 30;

export default defineComponent({
  name: "discovery.file",
  stability: "generally-available",
  summary: "Reads targets from files, and reads them again when they change.",
  example: `discovery.file "example" {
  files = ["/etc/invar/targets/*.yaml"]
}`,
  args: s
    .object({
      files: s.list(s.string()).doc("Files with targets, or patterns of files; JSON or YAML by their extension."),
      refresh_interval: s
        .duration()
        .default("5m")
        .doc("How often to read all files, for file systems that do not tell of changes."),
    })
    .rule("files", (args) => args.files.length > 0, "must name at least one file")
    .rule(
      "files",
      (args) => args.files.every((each) => patternProblem(each) === undefined),
      (args) => args.files.map(patternProblem).find((problem) => problem !== undefined)!,
    )
    .rule("refresh_interval", (args) => args.refresh_interval > 0, "must be greater than 0"),
  exports: discoveryExports,
  metrics: {
    ...discoveryMetrics,
    readErrors: counter("prometheus_sd_file_read_errors_total", "The number of File-SD read errors."),
    scans: summary(
      "prometheus_sd_file_scan_duration_seconds",
      "The duration of the File-SD scan in seconds.",
      [0.5, 0.9, 0.99],
    ),
    watcherErrors: counter(
      "prometheus_sd_file_watcher_errors_total",
      "The number of File-SD errors caused by filesystem watch failures.",
    ),
    modified: gauge(
      "prometheus_sd_file_mtime_seconds",
      "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
      ["filename"],
    ),
  },

  start(ctx, args) {
    const { clock, metrics } = ctx;
    let empty: readonly string[] = [];
    let watched = new Set<string>();
    /** When each file was changed that is in use, in epoch seconds. */
    let modified = new Map<string, number>();
    const watch = new DirectoryWatch(
      () => poller.wake(),
      () => clock.monotonic(),
      isRemote,
    );
    ctx.stack.defer(() => watch.close());
    metrics.modified.readEach = () => [...modified].map(([path, seconds]) => [[path], seconds] as const);
    ctx.rule("no_files", () => {
      const [first] = empty;
      if (first === undefined) return undefined;
      const more = empty.length > 1 ? ` (and nothing for ${empty.length - 1} more)` : "";
      return { state: "idle", cause: `0 files for "${first}": ${nothingThere(first)}${more}` };
    });
    const poller = new DiscoveryPoller(ctx, "file", args.refresh_interval, refreshOf(args.files));
    return { update: (next) => poller.update(next.refresh_interval, refreshOf(next.files)) };

    function refreshOf(files: readonly string[]): Refresh {
      const globs = files.map((each) => new Glob(each));
      return async (signal) => {
        await clock.sleep(SETTLE_MS, signal).catch(() => {});
        const began = clock.monotonic();
        const found = await findFiles(globs);
        // Watched before they are read, so that no change is missed in between.
        watchAll(found.folders);
        const parts = new Map<string, PartAnswer>(found.unreadable);
        for (const path of modified.keys()) {
          const problem = found.unreadable.get(dirname(path));
          if (problem !== undefined) parts.set(path, problem);
        }
        const times = new Map<string, number>();
        for (const path of found.paths) {
          const { answer, mtime } = await readTargets(path);
          if (signal.aborted) return parts;
          parts.set(path, answer);
          if (mtime !== undefined) times.set(path, mtime);
        }
        for (const [path, answer] of parts) {
          if (!(answer instanceof Error)) continue;
          metrics.readErrors.inc();
          // What it last held is in use.
          if (modified.has(path)) times.set(path, modified.get(path)!);
        }
        modified = times;
        empty = found.empty;
        metrics.scans.observe((clock.monotonic() - began) / 1_000);
        return parts;
      };
    }

    function watchAll(folders: ReadonlySet<string>): void {
      for (const folder of folders) {
        if (!watched.has(folder)) watch.add(folder);
        if (!watch.isWatched(folder)) metrics.watcherErrors.inc();
      }
      for (const folder of watched) if (!folders.has(folder)) watch.release(folder);
      watched = new Set(folders);
    }
  },
});

/** What is wrong with an element of `files`, to complete "`files` …". */
function patternProblem(pattern: string): string | undefined {
  try {
    new Glob(pattern);
  } catch (error) {
    if (!(error instanceof GlobError)) throw error;
    return `has a faulty pattern: ${error.message}`;
  }
  if (hasKnownForm(pattern)) return undefined;
  return `has ${JSON.stringify(pattern)}, which does not end in .json, .yml or .yaml, so that nobody can tell how to read it`;
}
