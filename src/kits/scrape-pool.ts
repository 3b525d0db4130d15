import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import type { InstrumentsOf } from "#base/metrics";
import { ExpositionColumns } from "#formats/exposition";
import type { MetricBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";
import { PageBuffers } from "./scrape-body.ts";
import { type ScrapeEnvironment, ScrapeLoop, type ScrapeSettings } from "./scrape-loop.ts";
import { type scrapeMetricSpecs, scrapeMetrics } from "./scrape-metrics.ts";
import { BatchColumns } from "./scrape-series.ts";
import { ScrapeTarget, type TargetDefaults } from "./scrape-target.ts";

export interface PoolConfiguration {
  readonly targets: readonly Labels[];
  readonly defaults: TargetDefaults;
  readonly settings: ScrapeSettings;
  /** More targets than this fail all scrapes; 0 stands for no limit. */
  readonly targetLimit: number;
}

type PoolContext = Pick<
  ComponentContext<unknown, typeof scrapeMetricSpecs>,
  "clock" | "log" | "services" | "signal" | "flow" | "rule" | "run" | "deadline"
> & { readonly metrics: InstrumentsOf<typeof scrapeMetricSpecs> };

/** Turns after which the series of a target that is gone become stale, as in Prometheus: it may come back before. */
const TURNS_BEFORE_END = 2.1;

/** Scrapes a changing set of targets, each in a loop of its own that lives as long as its target. */
export class ScrapePool {
  readonly #ctx: PoolContext;
  readonly #environment: ScrapeEnvironment;
  readonly #loops = new Map<string, ScrapeLoop>();
  /** Loops of targets that are gone and whose series are not stale yet. */
  readonly #ending = new Map<string, { readonly loop: ScrapeLoop; readonly since: number }>();
  /** What the series of a loop depend on; loops are not taken over when it changes. */
  #identity = "";
  #job = "";
  #invalid = "";

  constructor(
    ctx: PoolContext,
    consume: (batch: MetricBatch, signal: AbortSignal) => void | Promise<void>,
    logFailure: (target: ScrapeTarget, error: Error) => void,
  ) {
    this.#ctx = ctx;
    ctx.metrics.pools.inc();
    const sleepers = new Set<() => void>();
    ctx.signal.addEventListener("abort", () => {
      for (const wake of [...sleepers]) wake();
    });
    this.#environment = {
      clock: ctx.clock,
      log: ctx.log,
      registry: ctx.services.series,
      metrics: scrapeMetrics(ctx.metrics, ctx.flow),
      columns: new ExpositionColumns(),
      batches: new BatchColumns(ctx.services.series),
      buffers: new PageBuffers(),
      signal: ctx.signal,
      sleepers,
      deadline: (ms) => ctx.deadline(ms),
      consume,
      scraped: () => this.#ctx.flow.judge(),
      logFailure,
    };
    ctx.rule("targets", () => this.#problem());
  }

  /** The loops of the present targets. */
  get loops(): Iterable<ScrapeLoop> {
    return this.#loops.values();
  }

  /** Takes over targets and settings: loops of targets that stay keep running and keep their series. */
  sync(configuration: PoolConfiguration): void {
    const { settings, defaults, targetLimit } = configuration;
    const { metrics, clock } = this.#ctx;
    const began = clock.monotonic();
    if (this.#job !== defaults.jobName) this.#forgetJob();
    this.#job = defaults.jobName;
    metrics.syncs.labels(this.#job).inc();
    metrics.poolTargetLimit.labels(this.#job).set(targetLimit);
    metrics.targets.set(configuration.targets.length);
    const identity = JSON.stringify([settings.page, settings.extraMetrics]);
    const keepsSeries = identity === this.#identity || this.#identity === "";
    this.#identity = identity;

    const targets = this.#targets(configuration);
    for (const [key, loop] of this.#loops) {
      if (targets.has(key) && keepsSeries) continue;
      this.#loops.delete(key);
      this.#end(keepsSeries ? key : `${key} ${this.#ctx.clock.monotonic()}`, loop);
    }
    for (const [key, target] of targets) {
      const known = this.#loops.get(key);
      if (known !== undefined) {
        known.settings = settings;
        continue;
      }
      const ended = this.#ending.get(key);
      const loop = ended?.loop ?? new ScrapeLoop(target, settings, this.#environment);
      loop.settings = settings;
      this.#ending.delete(key);
      this.#loops.set(key, loop);
      this.#ctx.run(() => loop.run());
    }
    metrics.poolTargets.labels(this.#job).set(this.#loops.size);
    const exceeded = targetLimit > 0 && this.#loops.size > targetLimit;
    if (exceeded) metrics.exceededTargetLimit.inc();
    for (const loop of this.#loops.values()) {
      loop.forcedError = exceeded
        ? new Error(`target_limit exceeded (number of targets: ${this.#loops.size}, limit: ${targetLimit})`)
        : undefined;
    }
    metrics.syncLength.labels(this.#job).observe((clock.monotonic() - began) / 1000);
    this.#ctx.flow.judge();
  }

  /** Families of which metadata is known. */
  get families(): number {
    let sum = 0;
    for (const loop of this.#loops.values()) sum += loop.families;
    return sum;
  }

  /** Lets go of all series; no loop may be running. */
  close(): void {
    for (const loop of this.#loops.values()) loop.close();
    for (const { loop } of this.#ending.values()) loop.close();
    this.#loops.clear();
    this.#ending.clear();
  }

  #targets({ targets, defaults }: PoolConfiguration): Map<string, ScrapeTarget> {
    const { log, metrics } = this.#ctx;
    const byKey = new Map<string, ScrapeTarget>();
    let first = "";
    let failed = 0;
    for (const labels of targets) {
      try {
        const target = new ScrapeTarget(labels, defaults);
        if (!byKey.has(target.key)) byKey.set(target.key, target);
      } catch (error) {
        failed += 1;
        first ||= `${errorText(error)} in ${labels}`;
      }
    }
    this.#invalid = failed === 0 ? "" : `${failed} of ${targets.length} targets cannot be scraped: ${first}`;
    if (failed > 0) {
      metrics.syncFailed.labels(this.#job).inc(failed);
      log.error("creating targets failed", { failed, first });
    }
    return byKey;
  }

  #end(key: string, loop: ScrapeLoop): void {
    const { clock } = this.#ctx;
    const ending = { loop, since: clock.now() };
    this.#ending.set(key, ending);
    this.#ctx.run(async (signal) => {
      await loop.stop();
      const neverScraped = loop.lastScrape === 0;
      if (!neverScraped) await clock.sleep(loop.target.intervalMs * TURNS_BEFORE_END, signal);
      if (this.#ending.get(key) !== ending) return; // the target came back
      this.#ending.delete(key);
      if (!neverScraped) {
        const others = [...this.#loops.values()].filter((each) => each.target.labels.equals(loop.target.labels));
        await loop.end(Math.round(ending.since + loop.target.intervalMs), others);
      }
      loop.close();
    });
  }

  #problem(): Judgement {
    let down = 0;
    let judged = 0;
    let example: ScrapeLoop | undefined;
    for (const loop of this.#loops.values()) {
      if (loop.health === "unknown") continue;
      judged += 1;
      if (loop.health === "up") continue;
      down += 1;
      example ??= loop;
    }
    if (down > 0) {
      const what =
        judged === 1
          ? "the scrape of"
          : down === judged
            ? `every scrape of ${judged} targets fails, such as`
            : `${down} of ${judged} targets fail, such as`;
      const cause = `${what} ${example!.target.shownUrl}${judged === 1 ? " fails" : ""}: ${example!.lastError!.message}`;
      return { state: down === judged ? "failing" : "degraded", cause };
    }
    if (this.#invalid !== "") return { state: "degraded", cause: this.#invalid };
    return this.#loops.size > 0 ? undefined : { state: "idle", cause: "`targets` is empty: nothing is scraped" };
  }

  #forgetJob(): void {
    const { poolTargets, poolTargetLimit, syncs, syncFailed, syncLength } = this.#ctx.metrics;
    for (const each of [poolTargets, poolTargetLimit, syncs, syncFailed, syncLength]) each.remove(this.#job);
  }
}
