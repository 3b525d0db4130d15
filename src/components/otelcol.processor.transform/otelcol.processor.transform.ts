import type { OtlpKind } from "#formats/otlp/otlp";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { type Groups, groupFaults, groupsInput } from "#kits/ottl/processor";
import { compileConditions, compileStatements, inferStatements, noContext, SIGNAL_CONTEXTS } from "#kits/ottl/programs";
import { type StatementGroup, Transformer } from "#kits/ottl/transform";
import { within } from "#lang/faults";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const ERROR_MODES = ["ignore", "silent", "propagate"] as const;
const CONTEXT_NAMES = ["resource", "scope", "span", "spanevent", "metric", "datapoint", "log"] as const;

const groupSchema = s.object({
  context: s.oneOf(CONTEXT_NAMES, { ignoreCase: true }).doc("What the statements run on."),
  conditions: s.list(s.string()).optional().doc("The statements run where one of these holds; always without any."),
  statements: s.list(s.string()).doc("Statements of OTTL, run in order."),
  error_mode: s
    .oneOf(ERROR_MODES, { ignoreCase: true })
    .optional()
    .doc("What happens when a statement fails, instead of the component's `error_mode`."),
});
type GroupArguments = Infer<typeof groupSchema>;

const inferredSchema = s.object({
  trace: s.list(s.string()).default([]).doc("Statements for traces."),
  metric: s.list(s.string()).default([]).doc("Statements for metrics."),
  log: s.list(s.string()).default([]).doc("Statements for logs."),
});

const baseArgs = s.object({
  error_mode: s
    .oneOf(ERROR_MODES, { ignoreCase: true })
    .default("ignore")
    .doc("What happens when a statement fails: log it and go on, go on in silence, or refuse the data."),
  statements: s.block(inferredSchema).presentByDefault().doc("Statements whose paths say on what they run."),
  trace_statements: s.blocks(groupSchema).doc("Statements for traces that run on one context."),
  metric_statements: s.blocks(groupSchema).doc("Statements for metrics that run on one context."),
  log_statements: s.blocks(groupSchema).doc("Statements for logs that run on one context."),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;

const SIGNALS = {
  traces: { groups: "trace_statements", inferred: "trace" },
  metrics: { groups: "metric_statements", inferred: "metric" },
  logs: { groups: "log_statements", inferred: "log" },
} as const;

/** The groups of a signal, in order: those with a context, then the one without. */
function groupsOf(kind: OtlpKind, given: Arguments): Groups<StatementGroup> {
  const { groups, inferred } = SIGNALS[kind];
  const steps = given[groups].map(
    (group, i) => () => within(`${groups}[${i}]`, () => compileGroup(kind, group, given)),
  );
  const texts = given.statements[inferred];
  if (texts.length > 0) steps.push(() => within(`statements.${inferred}`, () => compileInferred(kind, texts, given)));
  return steps;
}
/** Throws ArgumentError. */
function compileGroup(kind: OtlpKind, group: GroupArguments, given: Arguments): StatementGroup {
  const { context } = group;
  const contexts: readonly string[] = SIGNAL_CONTEXTS[kind];
  if (!contexts.includes(context)) throw noContext(kind, context, contexts);
  return {
    context,
    conditions: within("conditions", () => compileConditions(context, group.conditions ?? [])),
    statements: within("statements", () => compileStatements(context, group.statements)),
    errorMode: group.error_mode ?? given.error_mode,
  };
}
function compileInferred(kind: OtlpKind, texts: readonly string[], given: Arguments): StatementGroup {
  return { ...inferStatements(SIGNAL_CONTEXTS[kind], texts), conditions: [], errorMode: given.error_mode };
}

export default defineComponent({
  name: "otelcol.processor.transform",
  stability: "generally-available",
  summary: "Changes traces, metrics and logs with statements of the OpenTelemetry Transformation Language.",
  example: `otelcol.processor.transform "default" {
  statements {
    trace = [
      \`set(span.attributes["deployment.environment"], "production")\`,
      \`replace_pattern(span.name, "^GET /users/\\\\\\\\d+", "GET /users/{id}")\`,
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
  args: baseArgs.refuse((a) => groupFaults((kind) => groupsOf(kind, a))),
  exports: inputExports,

  start(ctx, first) {
    const input = groupsInput(
      ctx,
      first.output,
      (kind) => groupsOf(kind, first),
      (kind, groups, onFailure) => new Transformer(kind, groups, onFailure),
    );
    ctx.export({ input });
  },
});
