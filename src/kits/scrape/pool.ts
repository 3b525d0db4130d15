import { hostname } from "node:os";
import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import type { InstrumentsOf } from "#base/metrics";
import { ExpositionParser } from "#formats/exposition/exposition";
import type { MetricBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { hashBytes } from "#pipeline/series-hash";
import { NewSeries } from "../new-series.ts";
import { NoTargets } from "../no-targets.ts";
import { PageBuffers } from "./body.ts";
import { ScrapeDirectory } from "./directory.ts";
import { TargetLimitError } from "./failure.ts";
import { type ScrapeEnvironment, ScrapeLoop, type ScrapeSettings } from "./loop.ts";
import { type scrapeMetricSpecs, scrapeMetrics } from "./metrics.ts";
import { addScrapeRules, ScrapeOutcomes } from "./rules.ts";
import { BatchColumns } from "./series.ts";
import { ScrapeTarget, type TargetDefaults } from "./target.ts";
import { Turns } from "./turns.ts";

export interface PoolConfiguration {
  readonly targets: readonly Labels[];
  readonly defaults: TargetDefaults;
  readonly settings: ScrapeSettings;
  /** More targets than this fail all scrapes; 0 stands for no limit. */
  readonly targetLimit: number;
}

type PoolContext = Pick<
  ComponentContext<unknown, typeof scrapeMetricSpecs>,
  "id" | "clock" | "log" | "services" | "signal" | "flow" | "rule" | "run" | "every" | "deadline" | "references"
> & { readonly metrics: InstrumentsOf<typeof scrapeMetricSpecs> };

/** Turns after which the series of a target that is gone become stale, as in Prometheus: it may come back before. */
const TURNS_BEFORE_END = 2.1;
/** The first samples may take this long, or the longest that a first scrape may, before that is worth a warning. */
const PATIENCE_MS = 60_000;

const SHOW_LABELS_MS = 15_000;

/** Scrapes a changing set of targets, each in a loop of its own that lives as long as its target. */
export class ScrapePool {
  readonly #ctx: PoolContext;
  readonly #environment: ScrapeEnvironment;
  readonly #directory: ScrapeDirectory;
  readonly #noTargets: NoTargets;
  readonly #loops = new Map<string, ScrapeLoop>();
  /** Loops of targets that are gone and whose series are not stale yet. */
  readonly #ending = new Map<string, { readonly loop: ScrapeLoop; readonly since: number }>();
  readonly #outcomes = new ScrapeOutcomes();
  /** Whether turns are given: not before the component is active. */
  #isRunning = false;
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
    this.#directory = ScrapeDirectory.of(ctx.services.series);
    this.#noTargets = new NoTargets(ctx);
    const newSeries = new NewSeries(() => ctx.clock.monotonic());
    ctx.metrics.pools.inc();
    const host = Buffer.from(hostname());
    const turns = new Turns(ctx.clock);
    this.#environment = {
      componentId: ctx.id,
      clock: ctx.clock,
      log: ctx.log,
      registry: ctx.services.series,
      metrics: scrapeMetrics(ctx.metrics, ctx.flow),
      parser: new ExpositionParser(),
      batches: new BatchColumns(ctx.services.series),
      buffers: new PageBuffers(),
      signal: ctx.signal,
      turns,
      offsetSeed: hashBytes(host, 0, host.length),
      deadline: (ms) => ctx.deadline(ms),
      consume,
      newSeries,
      scraped: (loop) => {
        if (this.#loops.get(loop.target.key) === loop) this.#outcomes.note(loop);
      },
      logFailure: (target, error) => {
        ctx.flow.failed(`${target.shownUrl}: ${errorText(error)}`);
        logFailure(target, error);
      },
    };
    addScrapeRules(ctx, this.#outcomes, {
      invalid_targets: () => (this.#invalid === "" ? undefined : { state: "degraded", cause: this.#invalid }),
      no_targets: () => this.#noTargets.judge(),
      duplicate_targets: () => this.#directory.judge(ctx.id),
      high_cardinality: () => newSeries.judge(),
    });
    ctx.run((signal) => {
      this.#isRunning = true;
      for (const loop of this.#loops.values()) loop.start();
      return turns.run(signal);
    });
    ctx.every(SHOW_LABELS_MS, () => newSeries.show(ctx.metrics.newLabelValues));
  }

  /** The loops of the present targets. */
  get loops(): Iterable<ScrapeLoop> {
    return this.#loops.values();
  }

  /** Ends all turns; resolves once what was scraped is handed on. */
  async drain(): Promise<void> {
    await Promise.all([...this.#loops.values()].map((each) => each.finish()));
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
        known.target = target;
        continue;
      }
      const ended = this.#ending.get(key);
      const loop = ended?.loop ?? new ScrapeLoop(target, settings, this.#environment);
      loop.settings = settings;
      loop.target = target;
      this.#ending.delete(key);
      this.#loops.set(key, loop);
      this.#directory.add(loop);
      if (loop.health !== "unknown") this.#outcomes.note(loop);
      if (this.#isRunning) loop.start();
    }
    this.#noTargets.update(configuration.targets.length);
    // The first scrapes are spread over the interval.
    this.#ctx.flow.patienceMs = Math.max(PATIENCE_MS, defaults.intervalMs + defaults.timeoutMs);
    metrics.poolTargets.labels(this.#job).set(this.#loops.size);
    const exceeded = targetLimit > 0 && this.#loops.size > targetLimit;
    if (exceeded) metrics.exceededTargetLimit.inc();
    for (const loop of this.#loops.values()) {
      loop.forcedError = exceeded ? new TargetLimitError(this.#loops.size, targetLimit) : undefined;
    }
    const seconds = (clock.monotonic() - began) / 1000;
    metrics.syncLength.labels(this.#job).observe(seconds);
    metrics.syncLengthHistogram.labels(this.#job).observe(seconds);
    this.#ctx.flow.judge();
  }

  /** Families of which metadata is known, and the characters that it takes. */
  get metadata(): { readonly families: number; readonly characters: number } {
    let families = 0;
    let characters = 0;
    for (const loop of this.#loops.values()) {
      families += loop.families.size;
      characters += loop.families.characters;
    }
    return { families, characters };
  }

  /** Lets go of all series; no loop may be running. */
  close(): void {
    for (const loop of this.#loops.values()) {
      this.#directory.remove(loop);
      loop.close();
    }
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
    this.#directory.remove(loop);
    this.#outcomes.forget(loop);
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

  #forgetJob(): void {
    const { poolTargets, poolTargetLimit, syncs, syncFailed, syncLength, syncLengthHistogram } = this.#ctx.metrics;
    for (const each of [poolTargets, poolTargetLimit, syncs, syncFailed, syncLength, syncLengthHistogram]) {
      each.remove(this.#job);
    }
  }
}
