import type { Counter } from "#base/metrics";
import type { TailState } from "#kits/tail/tail-environment";
import type { Judgement } from "#pipeline/flow";
import type { Context } from "./arguments.ts";

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
}

/** Without a line for this long, the flow status says that nothing comes. */
const QUIET_AFTER_MS = 5 * 60_000;
/** A pattern that matches nothing is warned about after so many looks at it. */
const WARN_AFTER_LOOKS = 2;

/** Self metrics and flow status of one loki.source.file. */
export class FileStatus {
  readonly #ctx: Context;
  readonly #known = new Map<string, { lines: number; counter: Counter }>();
  readonly #begin: number;
  positionsProblem: string | undefined;
  #targetCount = 0;
  #fileCount = 0;
  #resolveProblems: readonly string[] = [];
  #problemLooks = 0;
  #found: Judgement;
  #lossCause: string | undefined;

  constructor(ctx: Context) {
    this.#ctx = ctx;
    this.#begin = ctx.clock.now();
    ctx.rule("files", () => this.#found);
  }

  /** Told after each resolution of the targets. */
  resolved(targets: number, files: number, problems: readonly string[]): void {
    this.#targetCount = targets;
    this.#fileCount = files;
    this.#resolveProblems = problems;
    this.#problemLooks = problems.length === 0 ? 0 : this.#problemLooks + 1;
    if (this.#problemLooks === WARN_AFTER_LOOKS || (problems.length > 0 && files === 0 && this.#problemLooks === 1)) {
      this.#ctx.log.warn("targets without files", { cause: problems[0], more: problems.length - 1 });
    }
  }

  lost(path: string, bytes: number, reason: string): void {
    if (bytes === 0) return;
    this.#ctx.metrics.lostBytes.labels(path, reason).inc(bytes);
    this.#lossCause = `${bytes} bytes of ${path} were ${reason} before they were read: the file is rotated faster than lines are delivered`;
    this.#ctx.log.warn("a file was cut before it was read to its end", { path, bytes });
  }

  rotated(path: string): void {
    this.#ctx.metrics.rotations.labels(path).inc();
  }

  /** Brings metrics and flow status up to date. */
  update(files: Iterable<FollowedFile>): void {
    const { metrics, flow } = this.#ctx;
    const present = new Set<string>();
    const problems: string[] = [];
    let active = 0;
    let missing = 0;
    for (const file of files) {
      const { path } = file.target;
      present.add(path);
      if (file.state === "running") active += 1;
      if (file.problem !== undefined) {
        if (file.state === "waiting") missing += 1;
        problems.push(file.problem);
      }
      metrics.readBytes.labels(path).set(file.readOffset);
      metrics.totalBytes.labels(path).set(file.current?.size ?? file.size ?? 0);
      metrics.lagBytes.labels(path).set(file.lagBytes);
      let known = this.#known.get(path);
      if (known === undefined) this.#known.set(path, (known = { lines: 0, counter: metrics.readLines.labels(path) }));
      if (file.lines > known.lines) known.counter.inc(file.lines - known.lines);
      known.lines = file.lines;
    }
    metrics.filesActive.set(active);
    for (const path of [...this.#known.keys()].filter((each) => !present.has(each))) {
      this.#known.delete(path);
      for (const each of [metrics.readBytes, metrics.totalBytes, metrics.lagBytes, metrics.readLines])
        each.remove(path);
    }
    this.#found = this.#problem(present.size, problems, missing) ?? this.#silence(present.size, problems, missing);
    flow.judge();
    this.#lossCause = undefined;
  }

  #silence(files: number, problems: readonly string[], missing: number): Judgement {
    const { clock, flow } = this.#ctx;
    if (this.#targetCount === 0) return { state: "idle", cause: "`targets` is empty" };
    if (files === 0) return { state: "idle", cause: this.#resolveProblems[0] ?? "the targets stand for no file" };
    if (missing === files) return { state: "idle", cause: problems[0]! };
    if (clock.now() - Math.max(flow.lastSuccess, this.#begin) <= QUIET_AFTER_MS) return undefined;
    const cause = `no new line in any of ${files} files for 5 minutes: are these the files that are written to?`;
    return { state: "idle", cause };
  }

  #problem(files: number, problems: readonly string[], missing: number): Judgement {
    const all = [...problems, ...this.#resolveProblems];
    const cause = all[0];
    if (this.positionsProblem !== undefined) return { state: "degraded", cause: this.positionsProblem };
    if (this.#lossCause !== undefined) return { state: "degraded", cause: this.#lossCause };
    if (cause === undefined || (files > 0 && missing === files && this.#resolveProblems.length === 0)) return undefined;
    if (files === 0 && this.#resolveProblems.every((each) => each.startsWith("0 files for"))) return undefined;
    const more = all.length > 1 ? ` (and ${all.length - 1} more)` : "";
    const nothingWorks = problems.length + (this.#fileCount === 0 ? 1 : 0) >= Math.max(files, 1);
    return { state: nothingWorks ? "failing" : "degraded", cause: cause + more };
  }
}
