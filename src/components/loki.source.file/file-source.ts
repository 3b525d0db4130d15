import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { CompressedFiles } from "#kits/tail/compressed";
import { confirmed } from "#kits/tail/confirmations";
import { type FileEncoding, fileEncoding } from "#kits/tail/encoding";
import { judgeMatches, judgePaths } from "#kits/tail/match-status";
import { type PositionReset, takeResets } from "#kits/tail/position-resets";
import { Positions } from "#kits/tail/positions";
import type { TailTarget } from "#kits/tail/tail-environment";
import { Tailer } from "#kits/tail/tailer";
import { FileFacts, type MatchReport, matchTarget, PATH_LABEL, publicLabels } from "#kits/tail/targets";
import type { LogBatch } from "#pipeline/batch";
import type { Fanout } from "#pipeline/fanout";
import type { Arguments, Context } from "./arguments.ts";
import { FileStatus } from "./status.ts";

/** How often `invar positions reset` is looked for. */
const RESET_LOOK_MS = 1_000;

/** The life of one loki.source.file: reads as its latest arguments say, keeps positions, reports. */
export class FileSource {
  readonly #ctx: Context;
  readonly #out: Fanout<"logs">;
  readonly #positions: Positions;
  readonly status: FileStatus;
  #arguments: Arguments;
  #encoding: FileEncoding;
  #follower: Tailer | CompressedFiles;
  /** Ends the present follower; the loop in `run` then makes another one. */
  #restart = new AbortController();
  #stopReading = new AbortController();
  #wakeResolver = () => {};
  readonly #facts = new FileFacts();
  /** Taken over from `invar positions reset`, and not carried out yet. */
  readonly #resets: PositionReset[] = [];

  /** Throws an EncodingError for an encoding that is not known. */
  constructor(ctx: Context, initial: Arguments) {
    this.#ctx = ctx;
    this.#arguments = initial;
    this.#encoding = fileEncoding(initial.encoding);
    // Its rules go first: they say of a consumer that takes nothing what it means for the files.
    this.status = new FileStatus(ctx);
    this.#out = ctx.fanout("logs", initial.forward_to);
    this.#positions = new Positions({
      directory: ctx.dataPath,
      legacyFile: initial.legacy_positions_file,
      clock: ctx.clock,
      log: ctx.log,
      onProblem: (problem) => {
        this.status.positionsProblem = problem;
      },
    });
    this.#follower = this.#createFollower();
  }

  get follower(): Tailer | CompressedFiles {
    return this.#follower;
  }

  /** Takes other arguments; starts reading anew only if they say how to read. */
  update(next: Arguments): void {
    const encoding = fileEncoding(next.encoding);
    const before = this.#arguments;
    this.#arguments = next;
    this.#encoding = encoding;
    this.#out.set(next.forward_to);
    const how = ({ targets: _, forward_to: __, file_match: ___, ...rest }: Arguments) => JSON.stringify(rest);
    if (how(before) !== how(next)) this.#restart.abort(new Error("the arguments changed"));
    else this.#wakeResolver();
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#positions.load();
    await this.#takeResets();
    const saving = new AbortController();
    const saved = Promise.all([this.#positions.run(saving.signal), this.#watchResets(saving.signal)]);
    try {
      while (!signal.aborted && !this.#stopReading.signal.aborted) {
        this.#restart = new AbortController();
        this.#ctx.flow.forgetUnacknowledged(); // of the follower before: this one reads it again
        const follower = this.#createFollower();
        this.#follower = follower;
        using _ = forward([signal, this.#stopReading.signal], this.#restart);
        try {
          await Promise.all([follower.run(this.#restart.signal), this.#resolve(follower, this.#restart.signal)]);
        } finally {
          this.#restart.abort(); // if one of them failed, the other must not go on for ever
        }
      }
      if (!signal.aborted) await aborted(signal); // drained: confirmations still come
    } finally {
      saving.abort();
      await saved;
      await this.#positions.save();
    }
  }

  /** Stops reading and waits until what was handed on is safe, as long as confirmations come. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#stopReading.abort(new Error("the component stops"));
    await confirmed(this.#ctx.clock, () => this.#follower.outstanding, deadline);
    await this.#positions.save();
  }

  #createFollower(): Tailer | CompressedFiles {
    const { clock, log, flow: accounts } = this.#ctx;
    const { decompression, file_watch, tail_from_end, on_positions_file_error, legacy_positions_file } =
      this.#arguments;
    const consume = (batch: LogBatch, signal: AbortSignal) => {
      // A read that was under way when the stop began: nobody would wait for what becomes of it, so it is read again later.
      signal.throwIfAborted();
      return this.#out.consume(batch, signal);
    };
    const common = { clock, log, accounts, positions: this.#positions, encoding: this.#encoding, consume };
    if (decompression?.enabled) {
      return new CompressedFiles({
        ...common,
        format: decompression.format,
        initialDelayMs: decompression.initial_delay,
        onPositionError: on_positions_file_error,
        legacy: legacy_positions_file !== "",
      });
    }
    return new Tailer({
      ...common,
      tailFromEnd: tail_from_end,
      onPositionError: on_positions_file_error,
      legacy: legacy_positions_file !== "",
      minPollMs: Math.min(file_watch.min_poll_frequency, file_watch.max_poll_frequency),
      maxPollMs: file_watch.max_poll_frequency,
      lost: (path, bytes, reason) => this.status.lost(path, bytes, reason),
      rotated: (rotation) => this.status.rotated(rotation),
    });
  }

  /** Requests that are damaged are told of and left where they are. */
  async #takeResets(): Promise<void> {
    try {
      this.#resets.push(...(await takeResets(this.#ctx.dataPath)));
      this.status.resetsProblem = undefined;
    } catch (error) {
      this.status.resetsProblem = `positions cannot be reset: ${errorText(error)}`;
    }
  }

  async #watchResets(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#ctx.clock.sleep(RESET_LOOK_MS, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#takeResets();
      if (this.#resets.length > 0) this.#wakeResolver();
    }
  }

  /** Keeps the follower's files as the targets say, looking for files again each `sync_period` if they are patterns. */
  async #resolve(follower: Tailer | CompressedFiles, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pause = new AbortController();
      this.#wakeResolver = () => pause.abort();
      const { file_match } = this.#arguments;
      const targets = await this.#targets(follower);
      follower.setTargets(targets);
      // In the same breath: nothing is read before.
      await follower.reset(this.#resets.splice(0));
      using _ = forward([signal], pause);
      if (pause.signal.aborted) continue;
      if (file_match.enabled) await this.#ctx.clock.sleep(file_match.sync_period, pause.signal).catch(() => {});
      else await aborted(pause.signal);
    }
  }

  async #targets(follower: Tailer | CompressedFiles): Promise<TailTarget[]> {
    const { targets, file_match } = this.#arguments;
    const { status } = this;
    const files: TailTarget[] = [];
    /** Thousands of files have the same labels; one copy is kept. */
    const known = new Map<string, Labels>();
    const kept = (target: Labels) => {
      const labels = publicLabels(target);
      const text = labels.toString();
      const same = known.get(text);
      if (same === undefined) known.set(text, labels);
      return same ?? labels;
    };
    if (!file_match.enabled) {
      for (const target of targets) {
        const path = target.get(PATH_LABEL) ?? "";
        if (path !== "") files.push({ path, labels: kept(target) });
      }
      status.targets(targets, judgePaths(targets));
      return files;
    }
    const reports: MatchReport[] = [];
    for (const target of targets) {
      const report = await matchTarget(target, file_match.ignore_older_than, this.#ctx.clock.now(), this.#facts);
      const labels = kept(target);
      for (const { path } of report.files) files.push({ path, labels });
      // Age keeps files from being taken up, it does not end those that are followed.
      for (const old of report.tooOld) if (follower.follows({ path: old, labels })) files.push({ path: old, labels });
      reports.push(report);
    }
    this.#facts.endRound();
    status.targets(targets, judgeMatches(reports));
    return files;
  }
}

/** Aborts `to` with any of `from`, until it is disposed of. */
function forward(from: readonly AbortSignal[], to: AbortController): Disposable {
  const disposers = from.map((signal) => {
    const abort = () => to.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    return () => signal.removeEventListener("abort", abort);
  });
  return {
    [Symbol.dispose]() {
      for (const dispose of disposers) dispose();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
