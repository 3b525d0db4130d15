import { roughByteSize } from "#base/bytesize";
import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import type { Counter } from "#base/metrics";
import { MATCH_RULES, type MatchRule } from "#kits/tail/match-status";
import type { TailState } from "#kits/tail/tail-environment";
import type { Flow, Judgement } from "#pipeline/flow";
import type { Context } from "./arguments.ts";
import { judgeKeptLabels } from "./kept-labels.ts";
import { LagWatch } from "./lag-watch.ts";

/** What the status needs to know of a followed file. */
export interface FollowedFile {
  readonly target: { readonly path: string };
  readonly state: TailState;
  readonly problem: string | undefined;
  readonly lines: number;
  readonly readOffset: number;
  readonly lagBytes: number;
  readonly size?: number;
  readonly current?: { readonly size: number } | undefined;
  /** Since when the oldest unread bytes have been there (epoch ms). */
  readonly oldestUnread?: number | undefined;
  observe?(now: number): Promise<void>;
}

/** Without a line for this long, the flow status says that nothing comes. */
const QUIET_AFTER_MS = 5 * 60_000;
/** Without a file for this long the log says so. */
const NO_FILES_AFTER_MS = 20_000;
/** Lost bytes stay in the status for this long. */
const LOSS_SHOWN_MS = 10 * 60_000;

/** In the order in which they win over others that are as bad. */
const RULES = [...MATCH_RULES, "no_targets", "positions", "bytes_lost", "labels_not_kept", "behind", "quiet"] as const;
type Rule = (typeof RULES)[number];

/** Self metrics and flow status of one loki.source.file. */
export class FileStatus {
  readonly #ctx: Context;
  readonly #known = new Map<string, { lines: number; counter: Counter }>();
  readonly #begin: number;
  readonly #lag = new LagWatch();
  positionsProblem: string | undefined;
  #targets: readonly Labels[] = [];
  #matches: ReadonlyMap<MatchRule, Judgement> = new Map();
  #found: ReadonlyMap<Rule, Judgement> = new Map();
  #nothingSince: number | undefined;
  #loss: { readonly path: string; readonly bytes: number; readonly reason: string; readonly time: number } | undefined;

  constructor(ctx: Context) {
    this.#ctx = ctx;
    this.#begin = ctx.clock.now();
    for (const rule of RULES) ctx.rule(rule, () => this.#found.get(rule));
  }

  /** Told after each look at the targets, with what the rules about their paths found. */
  targets(targets: readonly Labels[], matches: ReadonlyMap<MatchRule, Judgement>): void {
    this.#targets = targets;
    this.#matches = matches;
  }

  lost(path: string, bytes: number, reason: string): void {
    if (bytes === 0) return;
    this.#ctx.metrics.lostBytes.labels(path, reason).inc(bytes);
    const before = this.#recentLoss()?.bytes ?? 0;
    this.#loss = { path, reason, bytes: before + bytes, time: this.#ctx.clock.now() };
    this.#ctx.log.warn("a file was cut before it was read to its end", { path, bytes });
  }

  rotated(path: string): void {
    this.#ctx.metrics.rotations.labels(path).inc();
  }

  /** Brings metrics and flow status up to date. */
  async update(files: Iterable<FollowedFile>): Promise<void> {
    const { metrics, flow, clock } = this.#ctx;
    const present = [...files];
    await Promise.all(present.map((file) => file.observe?.(clock.now())));
    for (const file of present) {
      const { path } = file.target;
      metrics.readBytes.labels(path).set(file.readOffset);
      metrics.totalBytes.labels(path).set(file.current?.size ?? file.size ?? 0);
      metrics.lagBytes.labels(path).set(file.lagBytes);
      let known = this.#known.get(path);
      if (known === undefined) this.#known.set(path, (known = { lines: 0, counter: metrics.readLines.labels(path) }));
      if (file.lines > known.lines) known.counter.inc(file.lines - known.lines);
      known.lines = file.lines;
    }
    metrics.filesActive.set(present.filter((file) => file.state === "running").length);
    this.#forgetAllBut(new Set(present.map((file) => file.target.path)));
    this.#lag.take(present, clock.now());
    metrics.oldestUnread.set(this.#lag.oldestMs / 1_000);
    this.#judge(present);
    flow.judge();
  }

  #forgetAllBut(present: ReadonlySet<string>): void {
    const { readBytes, totalBytes, lagBytes, readLines } = this.#ctx.metrics;
    for (const path of [...this.#known.keys()].filter((each) => !present.has(each))) {
      this.#known.delete(path);
      for (const each of [readBytes, totalBytes, lagBytes, readLines]) each.remove(path);
    }
  }

  #judge(files: readonly FollowedFile[]): void {
    const { flow, clock } = this.#ctx;
    const found = new Map<Rule, Judgement>(this.#matches);
    this.#found = found;
    if (this.#targets.length === 0) {
      found.set("no_targets", { state: "idle", cause: "`targets` is empty: what it refers to has found nothing" });
    }
    judgeFiles(files, found);
    if (this.positionsProblem !== undefined) {
      found.set("positions", { state: "degraded", cause: this.positionsProblem });
    }
    const loss = this.#recentLoss();
    if (loss !== undefined) found.set("bytes_lost", { state: "degraded", cause: explainLoss(loss) });
    this.#warnOfNothing(found.get("no_files"));
    found.set("labels_not_kept", judgeKeptLabels(this.#targets));
    found.set("behind", this.#lag.judge(blockedBy(flow, clock.now())));
    const read = files.filter((file) => file.state === "running").length;
    // Files that are there and quiet are nothing to be warned of soon after a start.
    flow.patienceMs = read > 0 ? QUIET_AFTER_MS : NO_FILES_AFTER_MS;
    const quietMs = clock.now() - Math.max(flow.lastSuccess, this.#begin);
    if (read > 0 && (quietMs > QUIET_AFTER_MS || flow.lastSuccess < this.#begin))
      found.set("quiet", quiet(read, quietMs));
  }

  /** That there are no files from the start on, the agent says of any flow; here it is about those that are gone. */
  #warnOfNothing(nothing: Judgement): void {
    const { clock, flow, log } = this.#ctx;
    if (nothing === undefined) this.#nothingSince = undefined;
    else if (this.#nothingSince === undefined) this.#nothingSince = clock.monotonic();
    else if (clock.monotonic() - this.#nothingSince >= NO_FILES_AFTER_MS) {
      if (flow.lastSuccess >= this.#begin) log.warn("no file is left to read", { cause: nothing.cause });
      this.#nothingSince = Infinity; // once
    }
  }

  #recentLoss() {
    const loss = this.#loss;
    return loss !== undefined && this.#ctx.clock.now() - loss.time < LOSS_SHOWN_MS ? loss : undefined;
  }
}

function quiet(files: number, ms: number): Judgement {
  const cause = `no new line in ${files} ${files === 1 ? "file" : "files"} for ${roughDuration(ms)}: are these the files that are written to?`;
  return { state: "idle", cause };
}

/** What opening and reading the files came to. */
function judgeFiles(files: readonly FollowedFile[], found: Map<Rule, Judgement>): void {
  const failed = files.filter((file) => file.problem !== undefined && file.state !== "waiting");
  const missing = files.filter((file) => file.problem !== undefined && file.state === "waiting");
  const cause = ([first, ...others]: readonly FollowedFile[]) =>
    first!.problem! + (others.length > 0 ? ` (and ${others.length} more)` : "");
  if (failed.length > 0) {
    const isUseful = failed.length + missing.length < files.length;
    found.set("unreadable_files", { state: isUseful ? "degraded" : "failing", cause: cause(failed) });
  }
  if (files.length > 0 && missing.length === files.length) {
    found.set("no_files", { state: "idle", cause: cause(missing) });
  }
}

function explainLoss({ path, bytes, reason }: { path: string; bytes: number; reason: string }): string {
  return (
    `${roughByteSize(bytes)} were ${reason} in the last 10 minutes before they were read, the last of ${path}: files are ` +
    "cut faster than lines are delivered; rotate them by renaming (logrotate: create, not copytruncate), or see what " +
    "holds the lines up"
  );
}

/** Who takes nothing of what this component hands on, in words. */
function blockedBy(flow: Flow, now: number): string {
  const waiting = [...flow.sent].filter(([, edge]) => edge.waiting > 0 && now - edge.waitingSince >= 5_000);
  return waiting
    .map(([to, edge]) => `${to} has taken nothing for ${roughDuration(now - edge.waitingSince)}`)
    .join(", ");
}
