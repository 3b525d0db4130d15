import { roughByteSize } from "#base/bytesize";
import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import type { Counter } from "#base/metrics";
import { MATCH_RULES, type MatchRule } from "#kits/tail/match-status";
import type { LossReason, Rotation, TailState } from "#kits/tail/tail-environment";
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
  /** Whether files that lost the name are still read. */
  readonly draining?: boolean;
  readonly size?: number;
  readonly current?: { readonly size: number } | undefined;
  /** Since when the oldest unread bytes have been there (epoch ms). */
  readonly oldestUnread?: number | undefined;
  observe?(now: number): Promise<void>;
}

/** What the status needs to know of whoever reads the files. */
export interface Follower {
  readonly tails: Iterable<FollowedFile>;
  /** How many there are. */
  readonly size: number;
  /** Those of which there may be news since the last call. */
  takeChanged(): Iterable<FollowedFile>;
}

/** Without a line for this long, the flow status says that nothing comes. */
const QUIET_AFTER_MS = 5 * 60_000;
/** Without a file for this long the log says so. */
const NO_FILES_AFTER_MS = 20_000;
/** Lost bytes stay in the status, and counters of a file that is gone on the metrics page, for this long. */
const LOSS_SHOWN_MS = 10 * 60_000;
/** Less than this is what a busy file has not read at any moment. */
const MUCH_UNREAD_BYTES = 1024 * 1024;
/** Rotations that outrun the reader are told of in the log this often. */
const OUTRUN_EACH_MS = 60_000;

const LOSS_REASONS = ["truncated", "deleted"] as const satisfies readonly LossReason[];
/** In the order in which they win over others that are as bad. */
const RULES = [
  ...MATCH_RULES,
  "no_targets",
  "positions",
  "bytes_lost",
  "rotation",
  "labels_not_kept",
  "behind",
  "quiet",
] as const;
type Rule = (typeof RULES)[number];

/** Self metrics and flow status of one loki.source.file. */
export class FileStatus {
  readonly #ctx: Context;
  readonly #known = new Map<FollowedFile, { lines: number; readonly counter: Counter }>();
  /** Paths that have series on the metrics page. */
  #paths = new Set<string>();
  /** Paths without a file, since when (epoch ms). */
  readonly #gone = new Map<string, number>();
  readonly #begin: number;
  readonly #lag = new LagWatch();
  positionsProblem: string | undefined;
  resetsProblem: string | undefined;
  #targets: readonly Labels[] = [];
  #matches: ReadonlyMap<MatchRule, Judgement> = new Map();
  #found: ReadonlyMap<Rule, Judgement> = new Map();
  #keptLabels: Judgement;
  /** What there is of the follower's files, as of the last news of any of them. */
  #follower: Follower | undefined;
  #files: readonly FollowedFile[] = [];
  /** One for each path; made when somebody asks for the metrics. */
  #byPath: ReadonlyMap<string, FollowedFile> | undefined;
  #read = 0;
  #fileFindings: ReadonlyMap<Rule, Judgement> = new Map();
  #nothingSince: number | undefined;
  #loss:
    | { readonly path: string; readonly bytes: number; readonly reason: LossReason; readonly time: number }
    | undefined;
  /** The last rotation that the reader did not keep up with. */
  #outrun: (Rotation & { readonly time: number }) | undefined;

  constructor(ctx: Context) {
    this.#ctx = ctx;
    this.#begin = ctx.clock.now();
    for (const rule of RULES) ctx.rule(rule, () => this.#found.get(rule));
    const { readBytes, totalBytes, lagBytes, lagSeconds: lagTime } = ctx.metrics;
    readBytes.readEach = () => this.#each((file) => file.readOffset);
    totalBytes.readEach = () => this.#each((file) => file.current?.size ?? file.size ?? 0);
    lagBytes.readEach = () => this.#each((file) => file.lagBytes);
    lagTime.readEach = () => this.#each((file) => lagSeconds(file, ctx.clock.now()));
  }

  /** A value for each path; of files with the same path, which differ in their labels, that of the last. */
  *#each(value: (file: FollowedFile) => number): Generator<readonly [labelValues: readonly string[], value: number]> {
    this.#byPath ??= new Map(this.#files.map((file) => [file.target.path, file]));
    for (const [path, file] of this.#byPath) yield [[path], value(file)];
  }

  /** Told after each look at the targets, with what the rules about their paths found. */
  targets(targets: readonly Labels[], matches: ReadonlyMap<MatchRule, Judgement>): void {
    if (targets !== this.#targets) this.#keptLabels = judgeKeptLabels(targets);
    this.#targets = targets;
    this.#matches = matches;
  }

  lost(path: string, bytes: number, reason: LossReason): void {
    if (bytes === 0) return;
    this.#ctx.metrics.lostBytes.labels(path, reason).inc(bytes);
    this.#paths.add(path);
    const before = this.#recentLoss()?.bytes ?? 0;
    this.#loss = { path, reason, bytes: before + bytes, time: this.#ctx.clock.now() };
    const what = reason === "truncated" ? "a file was cut" : "the agent stops and a deleted file goes";
    this.#ctx.log.warn(`${what} before it was read to its end`, { path, lost_bytes: bytes });
  }

  rotated(rotation: Rotation): void {
    const { metrics, clock, log } = this.#ctx;
    const { path, unreadBytes, unreadBefore } = rotation;
    metrics.rotations.labels(path).inc();
    this.#paths.add(path);
    if (unreadBytes > 0) metrics.unreadAtRotation.labels(path).inc(unreadBytes);
    if (unreadBytes === 0 || (unreadBytes < MUCH_UNREAD_BYTES && unreadBefore === 0)) return;
    const isNew = this.#outrun === undefined || clock.now() - this.#outrun.time >= OUTRUN_EACH_MS;
    this.#outrun = { ...rotation, time: isNew ? clock.now() : this.#outrun!.time };
    if (isNew) {
      log.warn("a file was rotated before it was read to its end; it is read on", {
        path,
        unread_bytes: unreadBytes,
        unread_files_before: unreadBefore,
      });
    }
  }

  /** Brings metrics and flow status up to date. */
  async update(follower: Follower): Promise<void> {
    const { metrics, flow, clock } = this.#ctx;
    const now = clock.now();
    const changed = [...follower.takeChanged()];
    for (const file of changed) {
      await file.observe?.(now);
      this.#countLines(file);
    }
    const isNews = changed.length > 0 || follower !== this.#follower || follower.size !== this.#files.length;
    if (isNews) this.#look(follower);
    this.#forgetAllBut(this.#files);
    this.#lag.take(changed, now);
    metrics.oldestUnread.set(this.#lag.oldestMs / 1_000);
    this.#judge();
    flow.judge();
  }

  /** Goes through all files, which are many: only when there is news. */
  #look(follower: Follower): void {
    this.#follower = follower;
    this.#files = [...follower.tails];
    this.#byPath = undefined;
    this.#read = this.#files.reduce((count, { state }) => (state === "running" ? count + 1 : count), 0);
    this.#ctx.metrics.filesActive.set(this.#read);
    this.#fileFindings = judgeFiles(this.#files);
  }

  #countLines(file: FollowedFile): void {
    const { path } = file.target;
    let known = this.#known.get(file);
    if (known === undefined) {
      this.#known.set(file, (known = { lines: 0, counter: this.#ctx.metrics.readLines.labels(path) }));
      this.#paths.add(path);
    }
    if (file.lines > known.lines) known.counter.inc(file.lines - known.lines);
    known.lines = file.lines;
  }

  /** Series go with their file; what was counted of it stays for a while, so that it is seen. */
  #forgetAllBut(present: readonly FollowedFile[]): void {
    if (this.#known.size === present.length && this.#paths.size === present.length) return;
    const { readLines, rotations, unreadAtRotation, lostBytes } = this.#ctx.metrics;
    const now = this.#ctx.clock.now();
    const files = new Set(present);
    const paths = new Set(present.map(({ target }) => target.path));
    for (const file of this.#known.keys()) if (!files.has(file)) this.#known.delete(file);
    for (const path of this.#paths) {
      if (paths.has(path)) {
        this.#gone.delete(path);
        continue;
      }
      const since = this.#gone.get(path);
      if (since === undefined) {
        this.#gone.set(path, now);
        readLines.remove(path);
      } else if (now - since >= LOSS_SHOWN_MS) {
        this.#gone.delete(path);
        this.#paths.delete(path);
        for (const each of [rotations, unreadAtRotation]) each.remove(path);
        for (const reason of LOSS_REASONS) lostBytes.remove(path, reason);
      }
    }
  }

  #judge(): void {
    const { flow, clock } = this.#ctx;
    const read = this.#read;
    const found = new Map<Rule, Judgement>(this.#matches);
    this.#found = found;
    if (this.#targets.length === 0) {
      found.set("no_targets", { state: "idle", cause: "`targets` is empty: what it refers to has found nothing" });
    }
    for (const [rule, judgement] of this.#fileFindings) found.set(rule, judgement);
    const problem = this.positionsProblem ?? this.resetsProblem;
    if (problem !== undefined) found.set("positions", { state: "degraded", cause: problem });
    const loss = this.#recentLoss();
    if (loss !== undefined) found.set("bytes_lost", { state: "degraded", cause: explainLoss(loss) });
    found.set("rotation", this.#judgeRotation(this.#files));
    this.#warnOfNothing(found.get("no_files"));
    found.set("labels_not_kept", this.#keptLabels);
    found.set("behind", this.#lag.judge(blockedBy(flow, clock.now())));
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

  /** While files that lost their name are behind, each further rotation adds one, and deleting them does not free the disk. */
  #judgeRotation(files: readonly FollowedFile[]): Judgement {
    if (this.#outrun === undefined) return undefined;
    const behind = files.filter((file) => file.draining === true && file.lagBytes > 0);
    if (behind.length === 0) {
      this.#outrun = undefined;
      return undefined;
    }
    const bytes = behind.reduce((sum, { lagBytes }) => sum + lagBytes, 0);
    const more = behind.length > 1 ? ` and ${behind.length - 1} more` : "";
    const cause =
      `${behind[0]!.target.path}${more}: rotated before it was read to its end, ${roughByteSize(bytes)} are unread. ` +
      "The rotated files are held open and read first, so nothing is lost while the agent runs; if one of them is deleted " +
      "and the agent stops before it is read, its rest is gone. Rotate later or keep more files, or see what holds the lines up";
    return { state: "degraded", cause };
  }

  #recentLoss() {
    const loss = this.#loss;
    return loss !== undefined && this.#ctx.clock.now() - loss.time < LOSS_SHOWN_MS ? loss : undefined;
  }
}

/** How long the oldest unread bytes of a file have been there. */
export function lagSeconds({ lagBytes, oldestUnread }: FollowedFile, now: number): number {
  return lagBytes === 0 || oldestUnread === undefined ? 0 : Math.max(0, now - oldestUnread) / 1_000;
}

function quiet(files: number, ms: number): Judgement {
  const cause = `no new line in ${files} ${files === 1 ? "file" : "files"} for ${roughDuration(ms)}: are these the files that are written to?`;
  return { state: "idle", cause };
}

/** What opening and reading the files came to. */
function judgeFiles(files: readonly FollowedFile[]): ReadonlyMap<Rule, Judgement> {
  const found = new Map<Rule, Judgement>();
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
  return found;
}

function explainLoss({ path, bytes, reason }: { path: string; bytes: number; reason: LossReason }): string {
  if (reason === "deleted") {
    return (
      `${roughByteSize(bytes)} of deleted files were not read when the agent or the component stopped, the last of ${path}: ` +
      "keep rotated files for longer, or see what holds the lines up"
    );
  }
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
