import { counter } from "#base/metrics";
import type { OtlpKind } from "#formats/otlp/otlp";
import { attempt, KINDS, outputsOf, withParts } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import type { ContextName } from "#kits/ottl/contexts";
import { StatementFailures } from "#kits/ottl/failures";
import { Filter, type FilterGroup } from "#kits/ottl/filter";
import {
  type CompiledCondition,
  compileConditions,
  inferCondition,
  OttlProgramError,
  SIGNAL_CONTEXTS,
} from "#kits/ottl/programs";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
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
type Explicit = readonly (readonly [context: ContextName, texts: readonly string[] | undefined])[];

const SIGNALS = {
  traces: { block: "traces", groups: "trace_conditions" },
  metrics: { block: "metrics", groups: "metric_conditions" },
  logs: { block: "logs", groups: "log_conditions" },
} as const;

/** The conditions of the older blocks, whose names say the context. */
function explicitOf(kind: OtlpKind, given: Arguments): Explicit {
  const { traces, metrics, logs } = given;
  const all: Readonly<Record<OtlpKind, Explicit>> = {
    traces: [
      ["span", traces.span],
      ["spanevent", traces.spanevent],
    ],
    metrics: [
      ["metric", metrics.metric],
      ["datapoint", metrics.datapoint],
    ],
    logs: [["log", logs.log_record]],
  };
  return all[kind].filter(([, texts]) => texts !== undefined && texts.length > 0);
}

/** Throws OttlProgramError. */
function compileExplicit(explicit: Explicit): FilterGroup {
  return new Map(explicit.map(([context, texts]) => [context, compileConditions(context, texts ?? [])]));
}
function compileGroup(
  kind: OtlpKind,
  { context, conditions: texts }: Arguments["trace_conditions"][number],
): FilterGroup {
  const contexts: readonly ContextName[] = SIGNAL_CONTEXTS[kind].filter((each) => each !== "exemplar");
  if (context !== "") {
    const known = contexts.find((each) => each === context.toLowerCase());
    if (known === undefined) {
      throw new OttlProgramError(
        `${kind} have no context ${JSON.stringify(context)}, but ${contexts.join(", ")}`,
        undefined,
      );
    }
    return new Map([[known, compileConditions(known, texts)]]);
  }
  const group = new Map<ContextName, CompiledCondition[]>();
  for (let i = 0; i < texts.length; i++) {
    const found = inferCondition(contexts, texts, i);
    const known = group.get(found.context);
    if (known === undefined) group.set(found.context, [found.condition]);
    else known.push(found.condition);
  }
  return group;
}
/** The groups of a signal, which run one after the other. Throws OttlProgramError. */
function compileGroups(kind: OtlpKind, given: Arguments): FilterGroup[] {
  const groups = given[SIGNALS[kind].groups];
  if (groups.length > 0) return groups.map((group) => compileGroup(kind, group));
  const explicit = explicitOf(kind, given);
  return explicit.length > 0 ? [compileExplicit(explicit)] : [];
}

/** What is wrong with conditions; undefined if nothing is. */
function faultOf(compile: () => unknown): string | undefined {
  try {
    compile();
    return undefined;
  } catch (error) {
    if (error instanceof OttlProgramError) return error.message;
    throw error;
  }
}

let args = baseArgs;
for (const kind of KINDS) {
  const { block, groups } = SIGNALS[kind];
  const ofBlock = (a: Arguments) => faultOf(() => compileExplicit(explicitOf(kind, a)));
  const ofGroups = (a: Arguments) =>
    a[groups].map((group) => faultOf(() => compileGroup(kind, group))).find((fault) => fault !== undefined);
  args = args
    .rule(
      block,
      (a) => ofBlock(a) === undefined,
      (a) => `has an error: ${ofBlock(a)}`,
    )
    .rule(
      groups,
      (a) => ofGroups(a) === undefined,
      (a) => `has an error: ${ofGroups(a)}`,
    )
    .rule(
      groups,
      (a) => a[groups].length === 0 || explicitOf(kind, a).length === 0,
      `cannot be used together with the block \`${block}\`; move its conditions to \`${groups}\``,
    );
}

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
    const outputs = outputsOf(ctx, first.output);
    const failures = new StatementFailures(ctx);
    ctx.rule("statements_fail", () => failures.judge());
    const filters = new Map<OtlpKind, Filter>();
    for (const kind of KINDS) {
      const groups = compileGroups(kind, first);
      if (groups.length === 0) continue;
      filters.set(kind, new Filter(kind, groups, first.error_mode, (text, error) => failures.add(text, error)));
      ctx.metrics[kind].labels(`filter/${ctx.id}`);
    }

    /** The batch without what is dropped; undefined if nothing is left. */
    function filterBatch(filter: Filter, batch: OtlpBatch): OtlpBatch | undefined {
      const parts: Uint8Array[] = [];
      let before = 0;
      let after = 0;
      attempt(() => {
        for (const part of batch.parts) {
          const result = filter.run(part, batch.clientMetadata);
          before += result.before;
          after += result.after;
          if (!result.isEmpty) parts.push(result.bytes);
        }
      });
      if (before > after) {
        ctx.flow.drop("otlp", "filter_condition", before - after);
        ctx.metrics[batch.kind].labels(`filter/${ctx.id}`).inc(before - after);
      }
      if (parts.length === 0) return undefined;
      if (parts.length === batch.parts.length && parts.every((part, i) => part === batch.parts[i])) return batch;
      return withParts(batch, parts, after);
    }

    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          const filter = filters.get(batch.kind);
          const left = filter === undefined ? batch : filterBatch(filter, batch);
          if (left !== undefined) return outputs[batch.kind].consume(left, signal);
          batch.acknowledgement.release();
        },
        { mutates: false },
      ),
    });
  },
});
