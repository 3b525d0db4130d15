import type { Labels } from "#base/labels";
import { gauge } from "#base/metrics";
import { MetricFanout, metricFanoutMetrics } from "#kits/metric-fanout";
import { SeriesMapper } from "#kits/series-mapper";
import { enricherRules, TargetEnricher } from "#kits/target-enricher";
import { s } from "#lang/schema";
import type { MetricBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

/** Series without a sample for one to two times as long are forgotten. */
const SWEEP_MS = 600_000;

export default defineComponent({
  name: "prometheus.enrich",
  stability: "experimental",
  summary: "Adds labels of discovered targets to samples of the same host, container or the like.",
  example: `prometheus.enrich "example" {
  targets                = [{ __address__ = "10.0.0.7:9100", hostname = "web-1", rack = "r7" }]
  target_to_metric_match = { "hostname" = "host" }
  labels_to_copy         = ["rack"]
  forward_to             = []
}`,
  args: s
    .object({
      targets: s.targets().doc("Targets whose labels are copied."),
      target_to_metric_match: s
        .map(s.string())
        .optional()
        .doc("Labels of targets, each with the label of samples that must have the same value; all must match."),
      target_match_label: s
        .string()
        .default("")
        .doc("Label of the targets whose value must be that of the sample's; not used with `target_to_metric_match`.")
        .deprecated("use `target_to_metric_match`"),
      metrics_match_label: s
        .string()
        .default("")
        .doc("Label of the samples to compare; `target_match_label` when empty.")
        .deprecated("use `target_to_metric_match`"),
      labels_to_copy: s.list(s.string()).optional().doc("Labels to copy from the target; all when left out or empty."),
      forward_to: s.list(s.consumer("metrics")).doc("Where samples go."),
    })
    .rule(
      "target_to_metric_match",
      ({ target_to_metric_match: match, target_match_label, metrics_match_label }) =>
        (match?.size ?? 0) > 0 || target_match_label !== "" || metrics_match_label !== "",
      'must say which labels have to match, such as `{ "hostname" = "instance" }`',
    )
    .rule(
      "target_match_label",
      ({ target_to_metric_match: match, target_match_label, metrics_match_label }) =>
        (match?.size ?? 0) > 0 || target_match_label !== "" || metrics_match_label === "",
      "is required with `metrics_match_label`",
    ),
  exports: s.object({ receiver: s.consumer("metrics").doc("Takes samples to enrich.") }),
  metrics: {
    targets: gauge("alloy_prometheus_target_cache_size", "Total size of targets cache"),
    ...metricFanoutMetrics,
  },

  start(ctx, args) {
    const out = new MetricFanout(ctx, args.forward_to);
    let enricher = enricherFrom(args);
    const map = (labels: Labels) => enricher.enrich(labels);
    const mapper = new SeriesMapper(ctx.services.series, map);
    ctx.stack.defer(() => mapper[Symbol.dispose]());
    ctx.every(SWEEP_MS, () => void mapper.sweep());
    ctx.metrics.targets.read = () => enricher.size;
    const updated = enricherRules(ctx, () => enricher, "series", "target_to_metric_match");
    ctx.export({ receiver: ctx.receiver("metrics", consume) });

    return {
      update(next) {
        enricher = enricherFrom(next);
        mapper.reset(map);
        out.set(next.forward_to);
        updated();
      },
    };

    function consume(batch: MetricBatch, signal: AbortSignal): void | Promise<void> {
      return mapper.run(batch, () => out.consume(batch, signal));
    }
  },
});

interface EnricherArguments {
  readonly targets: readonly Labels[];
  readonly target_to_metric_match?: ReadonlyMap<string, string> | undefined;
  readonly target_match_label: string;
  readonly metrics_match_label: string;
  readonly labels_to_copy?: readonly string[] | undefined;
}

function enricherFrom(args: EnricherArguments): TargetEnricher {
  const { targets, target_match_label: own, metrics_match_label: theirs, labels_to_copy: copy = [] } = args;
  const given = args.target_to_metric_match;
  const match = given !== undefined && given.size > 0 ? given : new Map([[own, theirs === "" ? own : theirs]]);
  return new TargetEnricher({ targets, match, copy, emptyRemoves: true });
}
