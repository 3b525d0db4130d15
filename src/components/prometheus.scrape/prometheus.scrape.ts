import { formatDuration, formatPrometheusDuration } from "#base/duration";
import { HttpClient } from "#kits/http/client";
import { MetricFanout } from "#kits/metric-fanout";
import type { ScrapeLoop } from "#kits/scrape/loop";
import { scrapeMetricSpecs } from "#kits/scrape/metrics";
import { type PoolConfiguration, ScrapePool } from "#kits/scrape/pool";
import { acceptHeader } from "#kits/scrape/protocol";
import { scrapeTransport } from "#kits/scrape/transport";
import { defineComponent } from "#pipeline/component";
import { offeredProtocols, readsNativeHistograms, type ScrapeArguments, scrapeArguments } from "./arguments.ts";
import { FailureLog } from "./failure-log.ts";

const METADATA_METRICS_MS = 15_000;

export default defineComponent({
  name: "prometheus.scrape",
  stability: "generally-available",
  summary: "Pulls metrics from targets over HTTP.",
  example: `prometheus.scrape "example" {
  targets    = [{ __address__ = "127.0.0.1:9100" }]
  forward_to = []
}`,
  args: scrapeArguments,
  metrics: scrapeMetricSpecs,

  start(ctx, args) {
    const out = new MetricFanout(ctx, args.forward_to);
    const failures = new FailureLog(ctx.log, () => ctx.clock.now());
    let job = args.job_name || ctx.id;
    let timeoutMs = args.scrape_timeout;
    // What begins within an interval before the agent does may not have been scraped by the one before it.
    const startsAfter = ctx.clock.now() - args.scrape_interval;
    const pool = new ScrapePool(
      ctx,
      (batch, signal) => out.consume(batch, signal),
      (target, error) => failures.write(job, target.shownUrl, error),
    );
    let client = newClient(args);
    ctx.stack.defer(async () => {
      pool.close();
      await client.close();
      await failures.close();
    });
    failures.path = args.scrape_failure_log_file;
    ctx.rule("failure_log", () => failures.judge());
    pool.sync(configuration(args, client));
    ctx.every(METADATA_METRICS_MS, () => {
      const { families, characters } = pool.metadata;
      ctx.metrics.metadataEntries.labels(job).set(families);
      ctx.metrics.metadataBytes.labels(job).set(characters);
    });

    return {
      update(next) {
        const began = ctx.clock.monotonic();
        const fresh = newClient(next);
        const old = client;
        client = fresh;
        if (job !== (next.job_name || ctx.id)) {
          ctx.metrics.metadataEntries.remove(job);
          ctx.metrics.metadataBytes.remove(job);
        }
        job = next.job_name || ctx.id;
        out.set(next.forward_to);
        failures.path = next.scrape_failure_log_file;
        pool.sync(configuration(next, client));
        ctx.metrics.reloads.inc();
        const interval = formatPrometheusDuration(next.scrape_interval);
        ctx.metrics.reloadLength.labels(interval).observe((ctx.clock.monotonic() - began) / 1000);
        const longest = Math.max(timeoutMs, next.scrape_timeout);
        timeoutMs = next.scrape_timeout;
        // Scrapes under way keep the old client until the longest of them must have ended.
        ctx.run(async (signal) => {
          await ctx.clock.sleep(longest, signal).catch(() => {});
          await old.close();
        });
      },
      // What is scraped is gone otherwise: nobody can ask a target for the past.
      drain: () => pool.drain(),
      debugInfo: () => ({ target: [...pool.loops].map((loop) => targetInfo(loop, job)) }),
    };

    function newClient(from: ScrapeArguments): HttpClient {
      return HttpClient.create(from, {
        userAgent: `Invar/${ctx.services.version}`,
        usePlain: 'set scheme = "http"',
        useTls: 'set scheme = "https"',
      });
    }

    function configuration(from: ScrapeArguments, over: HttpClient): PoolConfiguration {
      const escaping =
        from.metric_name_escaping_scheme ||
        (from.metric_name_validation_scheme === "utf8" ? "allow-utf-8" : "underscores");
      return {
        targets: from.targets,
        targetLimit: from.target_limit,
        defaults: {
          jobName: from.job_name || ctx.id,
          intervalMs: from.scrape_interval,
          timeoutMs: from.scrape_timeout,
          metricsPath: from.metrics_path,
          scheme: from.scheme,
          params: from.params ?? new Map(),
        },
        settings: {
          transport: scrapeTransport(ctx.services, over),
          accept: acceptHeader(offeredProtocols(from), escaping),
          compression: from.enable_compression,
          fallbackProtocol: from.scrape_fallback_protocol || undefined,
          bodySizeLimit: from.body_size_limit,
          extraMetrics: from.extra_metrics,
          sampleLimit: from.sample_limit,
          page: {
            honorTimestamps: from.honor_timestamps,
            trackTimestampsStaleness: from.track_timestamps_staleness,
            nativeHistograms: readsNativeHistograms(from),
            classicHistograms: from.scrape_classic_histograms,
            convertHistograms: from.convert_classic_histograms_to_nhcb,
            bucketLimit: from.native_histogram_bucket_limit,
            minBucketFactor: from.native_histogram_min_bucket_factor,
            typeAndUnitLabels: from.enable_type_and_unit_labels,
            startTimestamps: from.start_timestamp_zero_ingestion,
            startsAfter,
            labels: {
              honorLabels: from.honor_labels,
              legacyNames: from.metric_name_validation_scheme === "legacy",
              labelLimit: from.label_limit,
              nameLengthLimit: from.label_name_length_limit,
              valueLengthLimit: from.label_value_length_limit,
            },
          },
        },
      };
    }
  },
});

function targetInfo(loop: ScrapeLoop, job: string) {
  return {
    job,
    url: loop.target.shownUrl,
    health: loop.health,
    labels: Object.fromEntries(loop.target.labels),
    last_error: loop.lastError?.message ?? "",
    last_scrape: new Date(loop.lastScrape).toISOString(),
    last_scrape_duration: formatDuration(loop.lastDurationMs),
  };
}
