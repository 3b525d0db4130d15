import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import { errorText, type Logger } from "#base/log";
import type { ExpositionMetadata } from "#formats/exposition/metadata";
import type { MetricBatch, MetricMetadata, MetricOrigin } from "#pipeline/batch";
import type { Deadline } from "#pipeline/component";
import { selectSamples } from "#pipeline/metric-batch";
import { BodySizeError, HARD_BODY_LIMIT, type Page, type PageBuffers, readPage } from "./body.ts";
import type { ScrapedTarget } from "./directory.ts";
import { RequestError, StatusError, scrapeRule } from "./failure.ts";
import type { ScrapeMetrics } from "./metrics.ts";
import { pageSyntax, type ScrapeProtocol } from "./protocol.ts";
import { type PageResult, type PageRules, ScrapeSeries, type SeriesEnvironment } from "./series.ts";
import type { ScrapeTarget } from "./target.ts";
import type { Turns, TurnTaker } from "./turns.ts";

/** How far a scrape may be behind its turn and still carry the turn's timestamp. */
const ALIGN_TOLERANCE_MS = 2;

/** Go's words for a scrape that took too long. */
export const DEADLINE_EXCEEDED = "context deadline exceeded";

export interface ScrapeResponse {
  readonly status: number;
  readonly statusText: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ScrapeRequest {
  readonly url: URL;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Asks a target and hands its answer to `read`. Rejects when it cannot be asked, and with what `read` rejects with. */
export type ScrapeTransport = (
  request: ScrapeRequest,
  read: (response: ScrapeResponse) => Promise<void>,
  signal: AbortSignal,
) => Promise<void>;

/** What may change between two scrapes of a target without forgetting its series. */
export interface ScrapeSettings {
  readonly transport: ScrapeTransport;
  readonly accept: string;
  readonly compression: boolean;
  readonly fallbackProtocol: ScrapeProtocol | undefined;
  /** Unpacked bytes, 0 for no limit. */
  readonly bodySizeLimit: number;
  readonly extraMetrics: boolean;
  /** More samples than this fail a page; 0 stands for no limit. */
  readonly sampleLimit: number;
  readonly page: PageRules;
}

/** What all loops of a pool share. */
export interface ScrapeEnvironment extends SeriesEnvironment {
  readonly componentId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: ScrapeMetrics;
  readonly buffers: PageBuffers;
  readonly turns: Turns;
  /** Aborted when the component stops. */
  readonly signal: AbortSignal;
  /** Moves the turns of all targets, so that those of different machines differ. */
  readonly offsetSeed: number;
  deadline(ms: number): Deadline;
  consume(batch: MetricBatch, signal: AbortSignal): void | Promise<void>;
  /** Told after each scrape. */
  scraped(loop: ScrapeLoop): void;
  /** Writes to `scrape_failure_log_file`. */
  logFailure(target: ScrapeTarget, error: Error): void;
}

/** Samples and exemplars of a page that were dropped, by why. */
export interface PageTroubles {
  /** Samples of series that were there twice. */
  readonly duplicates: number;
  /** Samples of times that cannot be. */
  readonly outOfBounds: number;
  /** Samples of histograms that could not be converted, and why not. */
  readonly unconverted: number;
  readonly conversionError: string;
  readonly invalidExemplars: number;
}

const NO_TROUBLES: PageTroubles = {
  duplicates: 0,
  outOfBounds: 0,
  unconverted: 0,
  conversionError: "",
  invalidExemplars: 0,
};

export type TargetHealth = "unknown" | "up" | "down";

/**
 * Scrapes one target again and again and remembers its series in between. There may be tens of thousands: one that waits
 * for its turn is this object and what it knows of its page, no timer and no promise.
 */
export class ScrapeLoop implements TurnTaker, ScrapedTarget, MetricOrigin {
  /** Another one with the same key may take its place. */
  target: ScrapeTarget;
  settings: ScrapeSettings;
  /** Why the target is not asked although its turn comes. */
  forcedError: Error | undefined;
  health: TargetHealth = "unknown";
  lastError: Error | undefined;
  /** Of the last answer, if it was no page: what failed may be explained by it. */
  contentType: string | undefined;
  /** Epoch milliseconds; 0 before the first scrape. */
  lastScrape = 0;
  lastDurationMs = 0;
  /** Of the last page. */
  troubles: PageTroubles = NO_TROUBLES;
  due = NaN;
  readonly #environment: ScrapeEnvironment;
  readonly #series: ScrapeSeries;
  /** What the wall clock should show at the turn that is due. */
  #aligned = NaN;
  #isStopped = false;
  #scraping: Promise<void> | undefined;
  #handingOn: Promise<void> | undefined;
  /** Of the last page. */
  #receivedBytes = 0;

  constructor(target: ScrapeTarget, settings: ScrapeSettings, environment: ScrapeEnvironment) {
    this.target = target;
    this.settings = settings;
    this.#environment = environment;
    const { histograms, labels } = target;
    const hasOwn = Object.keys(histograms).length > 0;
    const page = hasOwn ? { ...settings.page, ...histograms } : settings.page;
    this.#series = new ScrapeSeries(environment, labels, page, settings.extraMetrics);
  }

  get componentId(): string {
    return this.#environment.componentId;
  }
  get href(): string {
    return this.target.href;
  }
  get shownUrl(): string {
    return this.target.shownUrl;
  }
  get labels(): Labels {
    return this.target.labels;
  }
  get discovered(): Labels {
    return this.target.discovered;
  }
  metadata(family: string): MetricMetadata | undefined {
    return this.#series.metadata.get(family);
  }
  get families(): ExpositionMetadata {
    return this.#series.metadata;
  }
  get memoryBytes(): number {
    return this.#series.memoryBytes;
  }

  /** Scrapes at the target's turns until `stop`. */
  start(): void {
    this.#isStopped = false;
    if (this.#scraping !== undefined) return; // it goes on with the turns when it has ended
    const { clock, offsetSeed, turns } = this.#environment;
    const offset = this.target.offsetMs(clock.now(), offsetSeed);
    this.#aligned = clock.now() + offset;
    turns.add(this, clock.monotonic() + offset);
  }

  /** Ends the turns; resolves when a scrape under way has come to its end. */
  async stop(): Promise<void> {
    this.finish();
    await this.#scraping;
  }

  /** Ends the turns, without waiting for a page that is asked for; gives what is being handed on, if something is. */
  finish(): Promise<void> | undefined {
    this.#isStopped = true;
    this.due = NaN;
    return this.#handingOn;
  }

  /** One turn. Never rejects. */
  async take(due: number): Promise<void> {
    const { clock, signal, turns } = this.#environment;
    const { intervalMs } = this.target;
    let now = Math.round(clock.now());
    // A jump of the wall clock moves the turns' timestamps with it.
    if (Math.abs(now - this.#aligned) <= Math.min(intervalMs / 100, ALIGN_TOLERANCE_MS))
      now = Math.round(this.#aligned);
    else this.#aligned = now;
    this.#scraping = this.scrape(now);
    await this.#scraping;
    this.#scraping = undefined;
    if (this.#isStopped || signal.aborted) return;
    let next = due;
    do {
      next += intervalMs;
      this.#aligned += intervalMs;
    } while (next <= clock.monotonic());
    turns.add(this, next);
  }

  /** Asks the target once and hands on what it says, its report, and stale markers. Never rejects. */
  async scrape(now: number): Promise<void> {
    const { clock, metrics, registry, batches, buffers, log, signal } = this.#environment;
    const { settings } = this;
    const began = clock.monotonic();
    if (this.lastScrape > 0) metrics.intervalLength(this.target.intervalMs, (clock.now() - this.lastScrape) / 1000);
    let error = this.forcedError;
    let bodyBytes = 0;
    let result: PageResult | undefined;
    let batch: MetricBatch | undefined;
    if (error === undefined) {
      try {
        const { page, syntax } = await this.#ask();
        bodyBytes = page.size;
        if (page.received > 0) this.#receivedBytes = page.received;
        if (page.length > 0) {
          const kind = syntax();
          const length = kind === "protobuf" ? page.size : page.length; // without the newline added to text
          ({ batch, result } = this.#series.page(page.buffer, length, kind, now, this.target, settings.sampleLimit));
          error = result.error;
        }
        buffers.give(page.buffer);
      } catch (cause) {
        if (signal.aborted) return;
        error = cause instanceof Error ? cause : new Error(String(cause));
        if (error instanceof BodySizeError) bodyBytes = -1;
      }
    }
    batch ??= this.#series.nothing(now);
    const durationMs = clock.monotonic() - began;
    this.#note(now, durationMs, error, result);
    const { timeoutMs } = this.target;
    const { scraped = 0, relabelled = 0, added = 0 } = result ?? {};
    const report = [error === undefined ? 1 : 0, durationMs / 1000, scraped, relabelled, added];
    if (settings.extraMetrics) report.push(timeoutMs / 1000, settings.sampleLimit, bodyBytes);
    this.#series.report(batch, now, report);
    batch.origin = this;
    const pin = registry.pin();
    try {
      const handingOn = this.#environment.consume(batch, signal);
      if (handingOn !== undefined) {
        this.#handingOn = handingOn.catch(() => {});
        await handingOn;
      }
    } catch (cause) {
      if (!signal.aborted) log.error("samples were not handed on", { target: this.target.shownUrl, error: cause });
    } finally {
      this.#handingOn = undefined;
      batches.give(batch);
      this.#series.settle();
      registry.unpin(pin);
      if (settings.extraMetrics) metrics.scrapeDuration.observe((clock.monotonic() - began) / 1000);
    }
  }

  /** Marks every series stale that `others` do not emit, some time after the last scrape, and lets go of them. */
  async end(now: number, others: readonly ScrapeLoop[]): Promise<void> {
    const { registry, batches, signal } = this.#environment;
    const batch = this.#series.nothing(now);
    this.#series.report(batch, now, undefined);
    for (const other of others) {
      const emitted = other.#series.emitted();
      selectSamples(batch, (i) => !emitted.has(batch.ref[i]!));
    }
    batch.origin = this;
    const pin = registry.pin();
    try {
      if (batch.count > 0) await this.#environment.consume(batch, signal);
    } catch {
      // Only when the component stops, and then the series are not stale.
    } finally {
      batches.give(batch);
      registry.unpin(pin);
    }
  }

  /** Lets go of all series. The loop must have been stopped. */
  close(): void {
    this.#series.close();
  }

  async #ask() {
    const { settings, target } = this;
    using deadline = this.#environment.deadline(target.timeoutMs);
    try {
      const headers = {
        accept: settings.accept,
        "accept-encoding": settings.compression ? "gzip" : "identity",
        "x-prometheus-scrape-timeout-seconds": String(target.timeoutMs / 1000),
      };
      const limit = settings.bodySizeLimit || HARD_BODY_LIMIT;
      const request = { url: target.url, headers, timeoutMs: target.timeoutMs };
      let page: Page | undefined;
      await settings.transport(
        request,
        async (response) => {
          const { status, statusText, contentEncoding, body } = response;
          this.contentType = response.contentType;
          if (status !== 200) {
            await discard(body);
            throw new StatusError(status, statusText);
          }
          page = await readPage(body, contentEncoding, limit, this.#receivedBytes, this.#environment.buffers);
        },
        deadline.signal,
      );
      return { page: page!, syntax: () => pageSyntax(this.contentType, settings.fallbackProtocol) };
    } catch (error) {
      if (error instanceof StatusError || error instanceof BodySizeError) throw error;
      const isTimeout = deadline.signal.aborted || (error as Error).message === DEADLINE_EXCEEDED;
      const why = isTimeout ? DEADLINE_EXCEEDED : errorText(error);
      throw new RequestError(`Get ${JSON.stringify(target.shownUrl)}: ${why}`, isTimeout);
    }
  }

  #note(now: number, durationMs: number, error: Error | undefined, result: PageResult | undefined): void {
    const { metrics, log } = this.#environment;
    this.health = error === undefined ? "up" : "down";
    if (error === undefined) this.contentType = undefined;
    this.lastScrape = now;
    this.lastDurationMs = durationMs;
    if (error !== undefined) {
      if (error.message !== this.lastError?.message) {
        log.debug("scrape failed", { target: this.target.shownUrl, error });
      }
      this.#environment.logFailure(this.target, error);
      const rule = scrapeRule(error);
      if (rule === "body_size_limit") metrics.exceededBodySize.inc();
      if (rule === "sample_limit") metrics.exceededSampleLimit.inc();
      if (rule === "label_limit") metrics.exceededLabelLimits.inc();
      if (rule === "bucket_limit") metrics.exceededBucketLimit.inc();
      // What else the page had is not known: it was not read to its end, or not understood.
      if (rule !== "scrape_failed" && result !== undefined) metrics.drop(rule, result.scraped);
    }
    this.lastError = error;
    this.#noteTroubles(result);
    this.#environment.scraped(this);
  }

  #noteTroubles(result: PageResult | undefined): void {
    const { metrics, log } = this.#environment;
    const before = this.troubles;
    this.troubles = NO_TROUBLES;
    if (result === undefined) return;
    const { duplicates, outOfBounds, unconverted, conversionError, invalidExemplars, oldExemplars } = result;
    if (oldExemplars > 0) metrics.exemplarsOutOfOrder.inc(oldExemplars);
    if (duplicates + outOfBounds + unconverted + invalidExemplars === 0) return;
    this.troubles = { duplicates, outOfBounds, unconverted, conversionError, invalidExemplars };
    const fields = (dropped: number) => ({ target: this.target.shownUrl, num_dropped: dropped });
    if (duplicates > 0) {
      metrics.duplicates.inc(duplicates);
      metrics.drop("duplicate_sample", duplicates);
      if (before.duplicates === 0) {
        log.warn("Error on ingesting samples with different value but same timestamp", fields(duplicates));
      }
    }
    if (outOfBounds > 0) {
      metrics.outOfBounds.inc(outOfBounds);
      metrics.drop("timestamp_out_of_bounds", outOfBounds);
      if (before.outOfBounds === 0) {
        log.warn("Error on ingesting samples that are too old or are too far into the future", fields(outOfBounds));
      }
    }
    if (unconverted > 0) metrics.drop("histogram_not_converted", unconverted);
    if (invalidExemplars > 0) metrics.drop("invalid_exemplar", invalidExemplars);
  }
}

async function discard(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of body) void _;
}
