import { counter } from "#base/metrics";
import type { OtlpKind } from "#formats/otlp/otlp";
import { KINDS } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import type { ContextName } from "#kits/ottl/contexts";
import { Filter, type FilterGroup } from "#kits/ottl/filter";
import { type Groups, groupFaults, groupsInput } from "#kits/ottl/processor";
import {
  type CompiledCondition,
  compileConditions,
  inferCondition,
  noContext,
  SIGNAL_CONTEXTS,
} from "#kits/ottl/programs";
import { within } from "#lang/faults";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const conditionsSchema = s.object({
  context: s.string().default("").doc("What the conditions are about; without it, each condition's paths say it."),
  conditions: s.list(s.string()).doc("Conditions of OTTL; what one of them holds for is dropped."),
});
const unwanted = (what: string) => s.list(s.string()).optional().doc(`Conditions for ${what} to drop.`);

const baseArgs = s.object({
  error_mode: s
    .oneOf(["ignore", "silent", "propagate"], { ignoreCase: true })
    .default("ignore")
    .doc("What happens when a condition fails: log it and go on, go on in silence, or refuse the data."),
  traces: s
    .block(s.object({ span: unwanted("spans"), spanevent: unwanted("span events") }))
    .presentByDefault()
    .doc("Conditions for spans and span events; `trace_conditions` has more."),
  metrics: s
    .block(s.object({ metric: unwanted("metrics"), datapoint: unwanted("data points") }))
    .presentByDefault()
    .doc("Conditions for metrics and data points; `metric_conditions` has more."),
  logs: s
    .block(s.object({ log_record: unwanted("log records") }))
    .presentByDefault()
    .doc("Conditions for log records; `log_conditions` has more."),
  trace_conditions: s.blocks(conditionsSchema).doc("Conditions for what of traces to drop."),
  metric_conditions: s.blocks(conditionsSchema).doc("Conditions for what of metrics to drop."),
  log_conditions: s.blocks(conditionsSchema).doc("Conditions for what of logs to drop."),
  output: s.block(outputSchema).required().doc("Where the data goes that is left."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;
type Explicit = readonly (readonly [context: ContextName, field: string, texts: readonly string[]])[];

const SIGNALS = {
  traces: { block: "traces", groups: "trace_conditions" },
  metrics: { block: "metrics", groups: "metric_conditions" },
  logs: { block: "logs", groups: "log_conditions" },
} as const;

/** The conditions of the older blocks, whose names say the context. */
function explicitOf(kind: OtlpKind, { traces, metrics, logs }: Arguments): Explicit {
  const all: Readonly<Record<OtlpKind, Explicit>> = {
    traces: [
      ["span", "traces.span", traces.span ?? []],
      ["spanevent", "traces.spanevent", traces.spanevent ?? []],
    ],
    metrics: [
      ["metric", "metrics.metric", metrics.metric ?? []],
      ["datapoint", "metrics.datapoint", metrics.datapoint ?? []],
    ],
    logs: [["log", "logs.log_record", logs.log_record ?? []]],
  };
  return all[kind].filter(([, , texts]) => texts.length > 0);
}

/** Throws ArgumentError. */
function compileExplicit(explicit: Explicit): FilterGroup {
  return new Map(
    explicit.map(([context, field, texts]) => [context, within(field, () => compileConditions(context, texts))]),
  );
}
/** Throws ArgumentError. */
function compileGroup(
  kind: OtlpKind,
  { context, conditions: texts }: Arguments["trace_conditions"][number],
): FilterGroup {
  const contexts: readonly ContextName[] = SIGNAL_CONTEXTS[kind].filter((each) => each !== "exemplar");
  if (context !== "") {
    const known = contexts.find((each) => each === context.toLowerCase());
    if (known === undefined) throw noContext(kind, context, contexts);
    return new Map([[known, within("conditions", () => compileConditions(known, texts))]]);
  }
  const group = new Map<ContextName, CompiledCondition[]>();
  for (let i = 0; i < texts.length; i++) {
    const found = within("conditions", () => inferCondition(contexts, texts, i));
    const known = group.get(found.context);
    if (known === undefined) group.set(found.context, [found.condition]);
    else known.push(found.condition);
  }
  return group;
}
/** The groups of a signal, which run one after the other. */
function groupsOf(kind: OtlpKind, given: Arguments): Groups<FilterGroup> {
  const { groups } = SIGNALS[kind];
  if (given[groups].length > 0) {
    return given[groups].map((group, i) => () => within(`${groups}[${i}]`, () => compileGroup(kind, group)));
  }
  const explicit = explicitOf(kind, given);
  return explicit.length > 0 ? [() => compileExplicit(explicit)] : [];
}

const args = KINDS.reduce(
  (schema, kind) => {
    const { block, groups } = SIGNALS[kind];
    return schema.rule(
      groups,
      (a) => a[groups].length === 0 || explicitOf(kind, a).length === 0,
      `cannot be used together with the block \`${block}\`; move its conditions to \`${groups}\``,
    );
  },
  baseArgs.refuse((a) => groupFaults((kind) => groupsOf(kind, a))),
);

const filtered = (what: string, text: string) =>
  counter(`otelcol_processor_filter_${what}_filtered_total`, `Number of ${text} dropped by the filter processor.`, [
    "filter",
  ]);
const METRICS = {
  traces: filtered("spans", "spans"),
  metrics: filtered("datapoints", "metric data points"),
  logs: filtered("logs", "logs"),
};

export default defineComponent({
  name: "otelcol.processor.filter",
  stability: "generally-available",
  summary: "Drops traces, metrics and logs by conditions of the OpenTelemetry Transformation Language.",
  example: `otelcol.processor.filter "default" {
  trace_conditions {
    conditions = [
      \`span.attributes["url.path"] == "/health"\`,
      \`IsMatch(resource.attributes["service.name"], "^test-")\`,
    ]
  }

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
    const counted = (kind: OtlpKind) => ctx.metrics[kind].labels(`filter/${ctx.id}`);
    const input = groupsInput(
      ctx,
      first.output,
      (kind) => groupsOf(kind, first),
      (kind, groups, onFailure) => {
        counted(kind); // is 0 from the start
        return new Filter(kind, groups, first.error_mode, onFailure);
      },
      (kind, items) => {
        ctx.flow.drop("otlp", "filter_condition", items);
        counted(kind).inc(items);
      },
    );
    ctx.export({ input });
  },
});
