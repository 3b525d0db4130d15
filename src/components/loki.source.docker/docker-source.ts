import { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { DockerEngine } from "#kits/docker-engine";
import { NoTargets } from "#kits/no-targets";
import { RelabelRules } from "#kits/relabel";
import { confirmed } from "#kits/tail/confirmations";
import { Secret } from "#lang/value";
import type { Fanout } from "#pipeline/fanout";
import type { Judgement } from "#pipeline/flow";
import type { Arguments, Context } from "./arguments.ts";
import { ContainerTailer, type DropReason } from "./container-tailer.ts";
import { DockerPositions } from "./positions.ts";

const ID_LABEL = "__meta_docker_container_id";
/** What was confirmed since the last save is sent again after a crash. */
const SAVE_INTERVAL_MS = 250;
/** What Alloy counts as an error of parsing. */
const PARSE_ERRORS = new Set<DropReason>(["line_too_long", "no_timestamp"]);

interface Followed {
  readonly tailer: ContainerTailer;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** The life of one loki.source.docker: a tailer for each container among its targets. */
export class DockerSource {
  readonly #ctx: Context;
  readonly #out: Fanout<"logs">;
  readonly #positions: DockerPositions;
  readonly #noTargets: NoTargets;
  readonly #followed = new Map<string, Followed>();
  readonly #stopReading = new AbortController();
  #arguments: Arguments;
  #engine: DockerEngine;
  #rules: RelabelRules;
  #isReady = false;
  #withoutId = 0;
  #loadProblem: string | undefined;

  constructor(ctx: Context, args: Arguments) {
    this.#ctx = ctx;
    this.#arguments = args;
    this.#engine = this.#createEngine(args);
    this.#rules = new RelabelRules(args.relabel_rules ?? []);
    this.#positions = new DockerPositions(ctx.dataPath, ctx.log);
    this.#noTargets = new NoTargets(ctx);
    ctx.stack.defer(() => this.#engine.close());
    ctx.rule("containers", () => this.#judgeContainers());
    ctx.rule("position", () => {
      if (this.#loadProblem !== undefined) return { state: "failing", cause: this.#loadProblem };
      const cause = this.#positions.problem;
      return cause === undefined ? undefined : { state: "degraded", cause };
    });
    ctx.rule("no_container_id", () => this.#judgeIds());
    ctx.rule("no_labels", () => this.#judgeLabels());
    ctx.rule("no_targets", () => this.#noTargets.judge());
    this.#out = ctx.fanout("logs", args.forward_to);
  }

  get tailers(): readonly ContainerTailer[] {
    return [...this.#followed.values()].map((each) => each.tailer);
  }

  /** Resolves when `signal` is aborted. Rejects if the stored positions cannot be read. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#positions.load();
    } catch (error) {
      this.#loadProblem = errorText(error);
      this.#ctx.flow.judge();
      throw error;
    }
    this.#isReady = true;
    this.#reconcile();
    const { clock } = this.#ctx;
    let tookMs = 0;
    while (!signal.aborted) {
      // On a slow disk it is rarer, so that saving stays below 2 % of the time.
      await clock.sleep(Math.max(SAVE_INTERVAL_MS, 50 * tookMs), signal).catch(() => {});
      const began = clock.monotonic();
      await this.#positions.save();
      tookMs = clock.monotonic() - began;
    }
    await this.#stopAll();
  }

  async update(next: Arguments): Promise<void> {
    const changed = how(this.#arguments) !== how(next);
    const engine = changed ? this.#createEngine(next) : this.#engine;
    const rules = new RelabelRules(next.relabel_rules ?? []);
    this.#arguments = next;
    this.#out.set(next.forward_to);
    if (changed) {
      const before = this.#engine;
      await this.#stopAll();
      this.#engine = engine;
      this.#rules = rules;
      await before.close();
    }
    this.#reconcile();
  }

  /** Stops reading and waits until what was handed on is safe, as long as confirmations come. */
  async drain(deadline: AbortSignal): Promise<void> {
    const { tailers } = this;
    this.#stopReading.abort(new Error("the component stops"));
    const outstanding = () => tailers.reduce((sum, each) => sum + each.outstanding, 0);
    await confirmed(this.#ctx.clock, outstanding, deadline);
    await this.#positions.save();
  }

  async #stopAll(): Promise<void> {
    const all = [...this.#followed.values()];
    for (const { stop } of all) stop.abort(new Error("the component stops or its arguments changed"));
    await Promise.all(all.map((each) => each.ended));
  }

  #reconcile(): void {
    if (!this.#isReady || this.#stopReading.signal.aborted) return;
    const { targets, labels } = this.#arguments;
    const more = Labels.from(labels);
    const wanted = new Map<string, Labels>();
    this.#withoutId = 0;
    // In a fixed order, so that of several targets of one container it is always the same that counts.
    for (const each of [...targets].sort((a, b) => (a.toString() < b.toString() ? -1 : 1))) {
      const id = each.get(ID_LABEL) ?? "";
      if (id === "") this.#withoutId += 1;
      else if (!wanted.has(id)) wanted.set(id, each.merge(more));
    }
    this.#noTargets.update(targets.length);
    for (const [id, { tailer, stop }] of this.#followed) if (!wanted.has(id)) void tailer.leave(stop);
    for (const [id, target] of wanted) {
      const known = this.#followed.get(id);
      if (known === undefined || known.stop.signal.aborted) this.#follow(id, target, known?.ended);
      else {
        known.tailer.target = target;
        known.tailer.stay();
      }
    }
    this.#ctx.flow.judge();
  }

  /** `before` is the end of an earlier tailer of the container, which must not read beside the new one. */
  #follow(id: string, target: Labels, before: Promise<void> = Promise.resolve()): void {
    const { clock, flow, log, metrics } = this.#ctx;
    const tailer = new ContainerTailer(id, target, {
      clock,
      accounts: flow,
      positions: this.#positions,
      engine: this.#engine,
      rules: this.#rules,
      consume: (batch, signal) => this.#out.consume(batch, signal),
      sent: (lines) => metrics.entries.inc(lines),
      dropped: (reason) => {
        if (PARSE_ERRORS.has(reason)) metrics.errors.inc();
        flow.drop("logs", reason, 1);
      },
      judge: () => flow.judge(),
    });
    const stop = new AbortController();
    const until = AbortSignal.any([stop.signal, this.#ctx.signal, this.#stopReading.signal]);
    const ended = before
      .then(() => tailer.run(until))
      .catch((error) => {
        if (!until.aborted) log.error("reading a container's log failed", { container: id, error });
      })
      .finally(() => {
        if (this.#followed.get(id)?.tailer === tailer) this.#followed.delete(id);
        flow.judge();
      });
    this.#followed.set(id, { tailer, stop, ended });
  }

  #createEngine({ host, http_client_config, refresh_interval }: Arguments): DockerEngine {
    const userAgent = `Invar/${this.#ctx.services.version}`;
    return new DockerEngine({ host, http: http_client_config, userAgent, timeoutMs: refresh_interval });
  }

  #judgeContainers(): Judgement {
    const { tailers } = this;
    const failed = tailers.filter((each) => each.problem !== undefined);
    const [first] = failed;
    if (first === undefined) return undefined;
    const { kind, cause } = first.problem!;
    if (failed.length === tailers.length && kind === "unreachable") {
      return { state: "failing", cause: `no container's log can be read: ${cause}` };
    }
    const name = first.name === "" ? first.id.slice(0, 12) : first.name;
    const which = `${failed.length} of ${tailers.length} containers`;
    const hint = /logging driver/.test(cause)
      ? ". Docker can show logs of the drivers json-file, local and journald only; set one of them for the container"
      : "";
    return { state: "degraded", cause: `the log of ${which} cannot be read, such as ${name}'s: ${cause}${hint}` };
  }

  #judgeIds(): Judgement {
    if (this.#withoutId === 0) return undefined;
    const cause = `${this.#withoutId} of ${this.#arguments.targets.length} targets have no label ${ID_LABEL}, by which containers are known: use targets of discovery.docker, and keep the label in discovery.relabel`;
    return { state: "degraded", cause };
  }

  #judgeLabels(): Judgement {
    const bare = this.tailers.filter((each) => each.isUnlabelled);
    if (bare.length === 0) return undefined;
    const cause =
      `lines of ${bare.length} containers have no label, and Loki refuses such: set \`labels\`, or give \`relabel_rules\` a rule such as ` +
      'rule { source_labels = ["__meta_docker_container_name"], regex = "/(.*)", target_label = "container" }';
    return { state: "degraded", cause };
  }
}

/** The arguments that say how to read, as a text that differs when they do; secrets included, since it goes nowhere. */
function how({ host, http_client_config, refresh_interval, relabel_rules }: Arguments): string {
  const all = { host, http_client_config, refresh_interval, relabel_rules };
  return JSON.stringify(all, (_, value) => {
    if (value instanceof Secret) return value.reveal();
    return value instanceof Map ? [...value] : value;
  });
}
