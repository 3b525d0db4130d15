import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { errorText } from "#base/log";
import { Backoff } from "#kits/backoff";
import { CommitQueue } from "#kits/tail/commit-queue";
import { confirmed } from "#kits/tail/confirmations";
import type { Fanout } from "#pipeline/fanout";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { type Arguments, type Context, matchesOf } from "./arguments.ts";
import { EntryLabels, entryJson } from "./entry-labels.ts";
import { ExportReader, type JournalEntry } from "./export-format.ts";
import { explainEnd, explainHint, explainStart, type JournalProblem, judgeFolder } from "./journal-folder.ts";
import { cursorTime, JournalPosition, sameEntry } from "./position.ts";

const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 15_000;
const KILL_AFTER_MS = 2_000;
const RUNS_AFTER_MS = 2_000;
const FOLDER_LOOK_MS = 5_000;
/** What was confirmed since the last save is sent again after a crash. */
const SAVE_INTERVAL_MS = 250;
/** Words of journalctl that are kept for messages. */
const MAX_SAID = 4_096;

type Journalctl = ChildProcessByStdio<null, Readable, Readable>;

/** Reads the journal with `journalctl -o export`, one child at a time, which is started again where the last one ended. */
export class JournalSource {
  readonly #ctx: Context;
  readonly #out: Fanout<"logs">;
  readonly #position: JournalPosition;
  readonly #commits: CommitQueue;
  /** Cursors of batches that are on their way. */
  readonly #cursors: { readonly sequence: number; readonly cursor: string }[] = [];
  readonly #reader = new ExportReader();
  readonly #builder = new LogBatchBuilder();
  readonly #began: number;
  readonly #stopReading = new AbortController();
  #arguments: Arguments;
  #labels: EntryLabels;
  /** Ends the present child after a change of arguments. */
  #restart = new AbortController();
  #sequence = 0;
  /** Of the last entry that was handed on: where the next child begins. */
  #cursor = "";
  /** Of the last entry that was read. */
  #readCursor = "";
  /** Of the entry that the present child begins at and that was handed on before; empty once it is past. */
  #known = "";
  /** Where reading goes on if journalctl refuses the cursor (microseconds since 1970). */
  #from = 0;
  #entries = 0;
  #dropped = 0;
  #problem: JournalProblem | undefined;
  #folderProblem: JournalProblem | undefined;

  constructor(ctx: Context, args: Arguments) {
    this.#ctx = ctx;
    this.#began = ctx.clock.now();
    this.#arguments = args;
    this.#labels = labelsOf(ctx, args);
    ctx.rule("journal_unreadable", () => this.#problem);
    ctx.rule("journal_empty", () => (this.#entries === 0 ? this.#folderProblem : undefined));
    ctx.rule("position", () => {
      const cause = this.#position.problem;
      return cause === undefined ? undefined : { state: "degraded", cause };
    });
    ctx.rule("all_dropped", () => {
      if (this.#entries === 0 || this.#dropped < this.#entries) return undefined;
      const cause = `all ${this.#entries} entries so far were dropped: \`relabel_rules\` keep none, or they have no MESSAGE`;
      return { state: "idle", cause };
    });
    this.#out = ctx.fanout("logs", args.forward_to);
    const { legacy_position: legacy } = args;
    this.#position = new JournalPosition({ directory: ctx.dataPath, componentId: ctx.id, legacy, log: ctx.log });
    this.#commits = new CommitQueue(ctx.flow, () => {
      while (this.#cursors.length > 0 && this.#cursors[0]!.sequence <= this.#commits.committed) {
        this.#position.cursor = this.#cursors.shift()!.cursor;
      }
    });
  }

  get position(): string {
    return this.#position.cursor;
  }

  update(next: Arguments): void {
    const before = this.#arguments;
    this.#labels = labelsOf(this.#ctx, next);
    this.#arguments = next;
    this.#out.set(next.forward_to);
    this.#entries = 0;
    this.#dropped = 0;
    const how = ({ path, matches, max_age }: Arguments) => JSON.stringify([path, matches, max_age]);
    if (how(before) !== how(next)) this.#restart.abort(new Error("the arguments changed"));
  }

  /** Resolves when `signal` is aborted. Rejects if the stored position cannot be read. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#position.load();
    } catch (error) {
      this.#report({ state: "failing", cause: errorText(error) });
      throw error;
    }
    if (this.#position.cursor !== "" && cursorTime(this.#position.cursor) === undefined) {
      this.#ctx.log.warn("the stored cursor is not one of a journal and is passed over", {
        cursor: this.#position.cursor,
      });
      this.#position.cursor = "";
    }
    this.#cursor = this.#position.cursor;
    const stop = AbortSignal.any([signal, this.#stopReading.signal]);
    await Promise.all([this.#readOn(stop), this.#lookAtFolder(stop), this.#saveOn(signal)]);
  }

  /** Stops reading and waits until what was handed on is safe, as long as confirmations come. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#stopReading.abort(new Error("the component stops"));
    await confirmed(this.#ctx.clock, () => this.#commits.outstanding, deadline);
    await this.#position.save();
  }

  async #saveOn(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    let tookMs = 0;
    while (!signal.aborted) {
      // On a slow disk it is rarer, so that saving stays below 2 % of the time.
      await clock.sleep(Math.max(SAVE_INTERVAL_MS, 50 * tookMs), signal).catch(() => {});
      const began = clock.monotonic();
      await this.#position.save();
      tookMs = clock.monotonic() - began;
    }
  }

  async #lookAtFolder(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const found = await judgeFolder(this.#arguments.path);
      this.#folderProblem = found?.state === "degraded" ? found : undefined;
      this.#ctx.flow.judge();
      await this.#ctx.clock.sleep(FOLDER_LOOK_MS, stop).catch(() => {});
    }
  }

  /** Keeps a child running. The system's journal is first read to its end, since only that shows earlier boots. */
  async #readOn(stop: AbortSignal): Promise<void> {
    const backoff = new Backoff(FIRST_PAUSE_MS, LAST_PAUSE_MS);
    let follow = false;
    while (!stop.aborted) {
      this.#restart = new AbortController();
      const until = AbortSignal.any([stop, this.#restart.signal]);
      const before = this.#sequence;
      const { path } = this.#arguments;
      const folder = await judgeFolder(path);
      let problem = folder?.state === "failing" ? folder : undefined;
      let ended = false;
      if (problem === undefined) {
        const outcome = await this.#runChild(path !== "" || follow, until);
        ended = outcome === "end" && path === "" && !follow;
        if (typeof outcome !== "string") problem = outcome;
      }
      follow = ended;
      if (ended || until.aborted) continue;
      if (this.#sequence > before) backoff.reset();
      this.#report(problem);
      await this.#ctx.clock.sleep(backoff.next(), until).catch(() => {});
    }
  }

  #report(problem: JournalProblem | undefined): void {
    const before = this.#problem;
    this.#problem = problem;
    this.#ctx.health(problem?.state === "failing" ? problem.cause : undefined);
    if (problem !== undefined && problem.cause !== before?.cause) {
      this.#ctx.log.error("the journal cannot be read", { cause: problem.cause });
    }
    this.#ctx.flow.judge();
  }

  #words(follow: boolean): string[] {
    const { path, max_age, matches } = this.#arguments;
    const words = ["--output=export", "--no-pager"];
    if (follow) words.push("--follow", "--no-tail");
    // A folder may hold the journals of many machines and boots; without --merge only the last boot is followed.
    if (path !== "") words.push(`--directory=${path}`, "--merge");
    const cutoff = Math.max(this.#from, max_age > 0 ? Math.round((this.#began - max_age) * 1_000) : 0);
    const at = cursorTime(this.#cursor);
    if (at !== undefined && at >= cutoff) {
      // Not --after-cursor: that would pass over the first entry left if the cursor's own is gone.
      words.push(`--cursor=${this.#cursor}`);
    } else if (cutoff > 0) {
      if (at !== undefined) {
        this.#ctx.log.warn("the stored position is older than `max_age`: entries in between are not read", {
          position: new Date(at / 1_000).toISOString(),
        });
      }
      words.push(`--since=@${Math.floor(cutoff / 1e6)}.${String(cutoff % 1e6).padStart(6, "0")}`);
    }
    return [...words, "--", ...matchesOf(matches)];
  }

  /** Runs one child to its end: "end" if it has read everything, "stopped" if it was told to end, else what is wrong. */
  async #runChild(follow: boolean, until: AbortSignal): Promise<"end" | "stopped" | JournalProblem> {
    if (until.aborted) return "stopped";
    const child: Journalctl = spawn("journalctl", this.#words(follow), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C", SYSTEMD_COLORS: "0" },
    });
    let failed: NodeJS.ErrnoException | undefined;
    const closed = once(child, "close").catch((error) => {
      failed = error;
    });
    let said = "";
    child.stderr.on("data", (data: Buffer) => {
      said = (said + data.toString()).slice(-MAX_SAID);
    });
    const kill = () => {
      child.kill("SIGTERM");
      const insist = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
      child.once("exit", () => clearTimeout(insist));
      child.stdout.destroy();
    };
    until.addEventListener("abort", kill, { once: true });
    this.#reader.reset();
    this.#readCursor = this.#cursor;
    this.#known = this.#cursor;
    // A journal may be quiet for long: a child that goes on running is a sign that it can be read.
    const lives = setTimeout(() => this.#report(explainHint(said)), RUNS_AFTER_MS);
    try {
      for await (const chunk of child.stdout) {
        if (this.#problem !== undefined) this.#report(explainHint(said));
        await this.#take(chunk as Buffer, until);
      }
    } catch (error) {
      if (!until.aborted) throw error;
    } finally {
      clearTimeout(lives);
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await closed;
      until.removeEventListener("abort", kill);
    }
    if (until.aborted) return "stopped";
    if (failed !== undefined) return explainStart(failed);
    if (/Failed to seek to cursor/.test(said)) {
      this.#ctx.log.warn("journalctl refuses the cursor; reading goes on by time", { cursor: this.#cursor });
      this.#from = cursorTime(this.#cursor) ?? 0;
      this.#cursor = "";
    } else if (child.exitCode === 0 && !follow) return "end";
    return explainEnd(child.exitCode, child.signalCode, said);
  }

  /** Hands on what the chunk completes. While consumers do not take it, the child's pipe is not read. */
  async #take(chunk: Uint8Array, signal: AbortSignal): Promise<void> {
    const { flow, metrics } = this.#ctx;
    const builder = this.#builder;
    builder.reset();
    this.#reader.push(chunk, (entry) => this.#add(entry, builder));
    if (this.#readCursor === this.#cursor) return;
    const { count, bytes } = builder;
    const sequence = ++this.#sequence;
    const { acknowledgement, cancel } = this.#commits.add(sequence, count, bytes);
    this.#cursors.push({ sequence, cursor: this.#readCursor });
    if (count === 0) acknowledgement.release();
    else {
      try {
        await this.#out.consume(builder.build(acknowledgement), signal);
      } catch (error) {
        cancel();
        this.#cursors.pop();
        throw error;
      }
      metrics.lines.inc(count);
    }
    this.#cursor = this.#readCursor;
    if (count === 0) flow.judge();
  }

  #add(entry: JournalEntry, builder: LogBatchBuilder): void {
    let message = -1;
    let cursor = "";
    let micros = 0;
    for (let i = 0; i < entry.count; i++) {
      const name = entry.name(i);
      if (name === "MESSAGE") message = i;
      else if (name === "__CURSOR") cursor = entry.value(i);
      else if (name === "__REALTIME_TIMESTAMP") micros = Number(entry.value(i));
    }
    const known = this.#known;
    this.#known = "";
    if (cursor === "" || (known !== "" && sameEntry(cursor, known))) return;
    this.#readCursor = cursor;
    this.#entries += 1;
    const json = this.#arguments.format_as_json;
    if (!json && (message < 0 || entry.start(message) === entry.end(message))) {
      this.#drop(entry.messageTooLarge ? "message_too_large" : "no_message", "no_message");
      return;
    }
    const labels = this.#labels.of(entry);
    if (labels === undefined) {
      this.#drop("relabel_rule", "empty_labels");
      return;
    }
    const stream = builder.streamId(labels);
    const ms = Math.floor(micros / 1_000);
    const ns = (micros % 1_000) * 1_000;
    if (json) builder.addText(stream, ms, ns, entryJson(entry));
    else builder.add(stream, ms, ns, entry.data, entry.start(message), entry.end(message));
  }

  #drop(reason: string, error: string): void {
    this.#dropped += 1;
    this.#ctx.metrics.errors.labels(error).inc();
    this.#ctx.flow.drop("logs", reason, 1);
  }
}

function labelsOf(ctx: Context, args: Arguments): EntryLabels {
  return new EntryLabels(args.labels, ctx.id, args.relabel_rules ?? []);
}
