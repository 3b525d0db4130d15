import { counter, histogram } from "#base/metrics";
import type { OtlpKind } from "#formats/otlp/otlp";
import { AttributeKey } from "#formats/otlp/values";
import { LATENCY_BUCKETS as DEFAULT_BUCKETS } from "#kits/otelcol/metrics";
import { editingInput, outputsOf, type RequestEdit } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { type Infer, s } from "#lang/schema";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { Regrouping } from "./regrouping.ts";

const args = s.object({
  keys: s
    .list(s.string())
    .default([])
    .doc(
      "Attributes of spans, log records and data points that become attributes of their resource; without any, equal resources are put together.",
    ),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

const metricsOf = (name: string, text: string, group: string) => ({
  grouped: counter(
    `otelcol_processor_groupbyattrs_num_grouped_${name}_total`,
    `Number of ${text} that had attributes grouped.`,
  ),
  notGrouped: counter(
    `otelcol_processor_groupbyattrs_num_non_grouped_${name}_total`,
    `Number of ${text} that did not have attributes grouped.`,
  ),
  groups: histogram(
    `otelcol_processor_groupbyattrs_${group}_groups`,
    `Distribution of groups extracted for ${text}.`,
    DEFAULT_BUCKETS,
  ),
});
const [SPANS, LOGS, POINTS] = [
  metricsOf("spans", "spans", "span"),
  metricsOf("logs", "logs", "log"),
  metricsOf("metrics", "metrics", "metric"),
];
const METRICS = {
  groupedTraces: SPANS.grouped,
  notGroupedTraces: SPANS.notGrouped,
  traceGroups: SPANS.groups,
  groupedLogs: LOGS.grouped,
  notGroupedLogs: LOGS.notGrouped,
  logGroups: LOGS.groups,
  groupedMetrics: POINTS.grouped,
  notGroupedMetrics: POINTS.notGrouped,
  metricGroups: POINTS.groups,
};

export default defineComponent({
  name: "otelcol.processor.groupbyattrs",
  stability: "generally-available",
  summary:
    "Moves attributes of spans, log records and data points to their resource, and puts equal resources together.",
  example: `otelcol.processor.groupbyattrs "default" {
  keys = ["host.name"]

  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: METRICS,

  start(ctx, first) {
    const keys = [...new Set(first.keys)].filter((key) => key !== "").map((key) => new AttributeKey(key));
    const edits = {
      traces: regroupingEdit(ctx, "traces", keys),
      metrics: regroupingEdit(ctx, "metrics", keys),
      logs: regroupingEdit(ctx, "logs", keys),
    };
    ctx.export({ input: editingInput(ctx, outputsOf(ctx, first.output), edits) });
  },
});

type Context = ComponentContext<Infer<typeof inputExports>, typeof METRICS>;

function regroupingEdit({ metrics }: Context, kind: OtlpKind, keys: readonly AttributeKey[]): RequestEdit {
  const regrouping = new Regrouping(kind, keys);
  const counts = {
    traces: [metrics.groupedTraces, metrics.notGroupedTraces, metrics.traceGroups] as const,
    logs: [metrics.groupedLogs, metrics.notGroupedLogs, metrics.logGroups] as const,
    metrics: [metrics.groupedMetrics, metrics.notGroupedMetrics, metrics.metricGroups] as const,
  }[kind];
  return (request) => {
    const { bytes, groups, grouped, notGrouped } = regrouping.run(request);
    counts[0].inc(grouped);
    counts[1].inc(notGrouped);
    counts[2].observe(groups);
    request.replace(bytes);
  };
}
