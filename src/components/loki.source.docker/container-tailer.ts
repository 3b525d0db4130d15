import type { Clock } from "#base/clock";
import { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { Backoff } from "#kits/backoff";
import { type DockerEngine, DockerError, type DockerFailure } from "#kits/docker-engine";
import type { RelabelRules } from "#kits/relabel";
import { type BatchAccounts, CommitQueue } from "#kits/tail/commit-queue";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { LogReader, type LogStream } from "./log-reader.ts";
import { type ContainerPosition, type DockerPositions, Resumed, sinceOf } from "./positions.ts";

const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 15_000;
/** How often a stopped container is looked at: it may be started again. Alloy's interval. */
const LOOK_MS = 5_000;
const STREAM_LABEL = "__meta_docker_container_log_stream";

export type DropReason = "relabel_rule" | "line_too_long" | "no_timestamp" | "empty_line";

export interface TailerEnvironment {
  readonly clock: Clock;
  readonly accounts: BatchAccounts;
  readonly positions: DockerPositions;
  readonly engine: DockerEngine;
  readonly rules: RelabelRules;
  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  sent(lines: number): void;
  dropped(reason: DropReason): void;
  /** The tailer's problem is another one. */
  judge(): void;
}

/** Follows the log of one container, over its restarts, until it is removed. */
export class ContainerTailer {
  readonly id: string;
  readonly #environment: TailerEnvironment;
  readonly #commits: CommitQueue;
  readonly #builder = new LogBatchBuilder();
  /** Positions of batches that are on their way. */
  readonly #pending: { readonly sequence: number; readonly position: ContainerPosition }[] = [];
  #target: Labels;
  readonly #labels = new Map<LogStream, Labels | undefined>();
  #sequence = 0;
  #position: ContainerPosition = {};
  #isLeaving = false;
  #wake = new AbortController();
  name = "";
  isRunning = false;
  #problem: { readonly kind: DockerFailure; readonly cause: string } | undefined;

  constructor(id: string, target: Labels, environment: TailerEnvironment) {
    this.id = id;
    this.#target = target;
    this.#environment = environment;
    this.#commits = new CommitQueue(environment.accounts, () => {
      let confirmed: ContainerPosition | undefined;
      while (this.#pending.length > 0 && this.#pending[0]!.sequence <= this.#commits.committed) {
        confirmed = this.#pending.shift()!.position;
      }
      if (confirmed !== undefined) environment.positions.put(id, confirmed);
    });
  }

  get problem(): { readonly kind: DockerFailure; readonly cause: string } | undefined {
    return this.#problem;
  }
  #report(problem: { readonly kind: DockerFailure; readonly cause: string } | undefined): void {
    const isNew = problem?.cause !== this.#problem?.cause;
    this.#problem = problem;
    if (isNew) this.#environment.judge();
  }

  get outstanding(): number {
    return this.#commits.outstanding;
  }
  get target(): Labels {
    return this.#target;
  }
  /** The target's labels and those of the component, which count from the next line on. */
  set target(target: Labels) {
    if (target.equals(this.#target)) return;
    this.#target = target;
    this.#labels.clear();
  }

  /** Nobody asks for the container any more: if it has stopped its log is read to the end, else that ends now. */
  async leave(stop: AbortController): Promise<void> {
    try {
      const { State } = await this.#environment.engine.container(this.id, stop.signal);
      if (State?.Running === true) stop.abort(new Error("the container is no target any more"));
    } catch (error) {
      if (!(error instanceof DockerError) || error.kind !== "not_found") stop.abort(error);
    }
    this.#isLeaving = true;
    this.#wake.abort();
  }
  /** The container is a target again. */
  stay(): void {
    this.#isLeaving = false;
  }

  /** Resolves when `signal` is aborted, when the container is gone, or has ended and nobody asks for it any more. */
  async run(signal: AbortSignal): Promise<void> {
    const { engine, positions, clock } = this.#environment;
    const backoff = new Backoff(FIRST_PAUSE_MS, LAST_PAUSE_MS);
    this.#position = positions.get(this.id);
    let readToEnd: string | undefined;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const pause = AbortSignal.any([signal, this.#wake.signal]);
      let pauseMs = FIRST_PAUSE_MS;
      try {
        const { Name = "", Config, State } = await engine.container(this.id, signal);
        this.name = Name.replace(/^\//, "");
        const running = State?.Running === true;
        if (!running && readToEnd === (State?.StartedAt ?? "")) {
          if (this.#isLeaving) return;
          pauseMs = LOOK_MS;
        } else {
          this.isRunning = true;
          await this.#follow(Config?.Tty === true, signal);
          if (!running) readToEnd = State?.StartedAt ?? "";
        }
        this.#report(undefined);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof DockerError && error.kind === "not_found") {
          positions.remove(this.id);
          return;
        }
        this.#report({ kind: error instanceof DockerError ? error.kind : "refused", cause: errorText(error) });
        pauseMs = backoff.next();
      } finally {
        this.isRunning = false;
      }
      await clock.sleep(pauseMs, pause).catch(() => {});
    }
  }

  async #follow(isTerminal: boolean, signal: AbortSignal): Promise<void> {
    const { engine, dropped } = this.#environment;
    const builder = this.#builder;
    const resumed = { stdout: new Resumed(this.#position.stdout), stderr: new Resumed(this.#position.stderr) };
    const reader = new LogReader(isTerminal, {
      line: (stream, seconds, nanos, data, start, end) => {
        if (!resumed[stream].take(seconds, nanos)) return;
        if (start === end) {
          dropped("empty_line");
          return;
        }
        const labels = this.#labelsOf(stream);
        if (labels === undefined) {
          dropped("relabel_rule");
          return;
        }
        const ms = seconds * 1_000 + Math.floor(nanos / 1_000_000);
        builder.add(builder.streamId(labels), ms, nanos % 1_000_000, data, start, end);
      },
      bad: dropped,
    });
    const handOn = () => {
      const { stdout, stderr } = resumed;
      return this.#handOn(
        {
          ...(stdout.position && { stdout: stdout.position }),
          ...(stderr.position && { stderr: stderr.position }),
          ...(this.#position.since !== undefined && { since: this.#position.since }),
        },
        signal,
      );
    };
    builder.reset();
    const take = (chunk: Uint8Array) => {
      signal.throwIfAborted();
      this.#report(undefined);
      reader.push(chunk);
      return handOn();
    };
    await engine.logs(this.id, sinceOf(this.#position), take, signal);
    reader.end();
    await handOn();
  }

  /** Hands on the lines so far. Docker's stream is not read on before they are accepted. */
  async #handOn(position: ContainerPosition, signal: AbortSignal): Promise<void> {
    const { consume, sent } = this.#environment;
    const { stdout, stderr } = this.#position;
    if (position.stdout === stdout && position.stderr === stderr) return;
    const { count, bytes } = this.#builder;
    const sequence = ++this.#sequence;
    const { acknowledgement, cancel } = this.#commits.add(sequence, count, bytes);
    this.#pending.push({ sequence, position });
    if (count === 0) acknowledgement.release();
    else {
      try {
        await consume(this.#builder.build(acknowledgement), signal);
      } catch (error) {
        cancel();
        this.#pending.pop();
        throw error;
      }
      sent(count);
    }
    this.#position = position;
    this.#builder.reset();
  }

  #labelsOf(stream: LogStream): Labels | undefined {
    if (this.#labels.has(stream)) return this.#labels.get(stream);
    const all = this.#target.with(STREAM_LABEL, stream);
    const { rules } = this.#environment;
    const relabelled = rules.size === 0 ? all : rules.apply(all);
    const shown = relabelled?.filter((name, value) => !name.startsWith("__") && value !== "");
    this.#labels.set(stream, shown);
    return shown;
  }

  /** Whether lines of this container would come without any label. */
  get isUnlabelled(): boolean {
    return (this.#labels.get("stdout") ?? this.#labels.get("stderr"))?.equals(Labels.empty) === true;
  }
}
