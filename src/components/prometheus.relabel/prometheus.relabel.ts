import { counter, gauge } from "#base/metrics";
import { MetricFanout, metricFanoutMetrics } from "#kits/metric-fanout";
import { RelabelRules } from "#kits/relabel";
import { RELABEL_RULES_CAPSULE, type RelabelRule, relabelRuleSchema } from "#kits/relabel-schema";
import { judgeMisplacedLabels, misplacedLabels } from "#kits/relabel-suspects";
import { type MapLabels, SeriesMapper } from "#kits/series-mapper";
import { s } from "#lang/schema";
import type { MetricBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

const LEAST_TTL_MS = 60_000;
/** Mappings that nobody used between two looks at them are forgotten, also without `cache_ttl`: that frees series for good. */
const SWEEP_MS = 600_000;

export default defineComponent({
  name: "prometheus.relabel",
  stability: "generally-available",
  summary: "Rewrites the labels of samples and drops samples by rules.",
  example: `prometheus.relabel "example" {
  forward_to = []
  rule {
    source_labels = ["__name__"]
    regex         = "go_.*"
    action        = "drop"
  }
}`,
  args: s
    .object({
      forward_to: s.list(s.consumer("metrics")).doc("Where samples go."),
      max_cache_size: s.int(0).default(100_000).doc("Series whose relabelled form is remembered; 0 with `cache_ttl`."),
      cache_ttl: s
        .duration()
        .min(0)
        .default("0s")
        .doc("How long an unused series is remembered, instead of `max_cache_size`."),
      rule: s.blocks(relabelRuleSchema).doc("Rules, applied in order."),
    })
    .rule(
      "cache_ttl",
      (args) => args.max_cache_size === 0 || args.cache_ttl === 0,
      "and `max_cache_size` exclude each other: set `max_cache_size = 0` to use `cache_ttl`",
    )
    .rule(
      "max_cache_size",
      (args) => args.max_cache_size > 0 || args.cache_ttl > 0,
      "must be greater than 0 unless `cache_ttl` is set",
    )
    .rule("cache_ttl", (args) => args.cache_ttl === 0 || args.cache_ttl >= LEAST_TTL_MS, "must be at least 1m")
    .suspect((args) => misplacedLabels(args.rule, "samples", "rule")),
  exports: s.object({
    receiver: s.consumer("metrics").doc("Takes samples to relabel."),
    rules: s.capsule<readonly RelabelRule[]>(RELABEL_RULES_CAPSULE).doc("The rules, for use by other components."),
  }),
  metrics: {
    processed: counter("alloy_prometheus_relabel_metrics_processed", "Total number of metrics processed"),
    written: counter("alloy_prometheus_relabel_metrics_written", "Total number of metrics written"),
    hits: counter("alloy_prometheus_relabel_cache_hits", "Total number of cache hits"),
    misses: counter("alloy_prometheus_relabel_cache_misses", "Total number of cache misses"),
    deletes: counter("alloy_prometheus_relabel_cache_deletes", "Total number of cache deletes"),
    evictions: counter(
      "alloy_prometheus_relabel_cache_ttl_evictions",
      "Number of relabel cache entries removed because nobody used them",
    ),
    size: gauge("alloy_prometheus_relabel_cache_size", "Total size of relabel cache."),
    ...metricFanoutMetrics,
  },

  start(ctx, args) {
    const { series } = ctx.services;
    const out = new MetricFanout(ctx, args.forward_to);
    let configured = args.rule;
    ctx.rule("misplaced_label", () => judgeMisplacedLabels(configured, "samples"));
    const mapper = new SeriesMapper(series, mapWith(args.rule), args.max_cache_size || Infinity);
    let ttlMs = args.cache_ttl;
    let swept = ctx.clock.monotonic();
    ctx.stack.defer(() => mapper[Symbol.dispose]());
    ctx.metrics.size.read = () => mapper.size;
    ctx.every(LEAST_TTL_MS / 4, () => {
      const now = ctx.clock.monotonic();
      if (now - swept < (ttlMs || SWEEP_MS)) return;
      swept = now;
      ctx.metrics.evictions.inc(mapper.sweep());
    });
    const receiver = ctx.receiver("metrics", consume);
    ctx.export({ receiver, rules: args.rule });

    return {
      update(next) {
        mapper.reset(mapWith(next.rule), next.max_cache_size || Infinity);
        configured = next.rule;
        ctx.flow.judge();
        ttlMs = next.cache_ttl;
        out.set(next.forward_to);
        ctx.export({ receiver, rules: next.rule });
      },
    };

    function consume(batch: MetricBatch, signal: AbortSignal): void | Promise<void> {
      const { count } = batch;
      return mapper.run(batch, ({ misses, dropped, ended }) => {
        ctx.metrics.processed.inc(count);
        ctx.metrics.misses.inc(misses);
        ctx.metrics.hits.inc(count - misses);
        ctx.metrics.written.inc(count - dropped);
        if (ended > 0) ctx.metrics.deletes.inc(ended);
        if (dropped > 0) ctx.flow.drop("metrics", "relabel_rule", dropped);
        if (batch.count > 0 || batch.metadata !== undefined) return out.consume(batch, signal);
        batch.acknowledgement.release();
        ctx.flow.ok();
      });
    }
  },
});

function mapWith(configured: readonly RelabelRule[]): MapLabels {
  const rules = new RelabelRules(configured);
  return (labels) => rules.apply(labels);
}
