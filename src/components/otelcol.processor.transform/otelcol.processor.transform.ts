import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { countItems } from "#formats/otlp/walk";
import { attempt, KINDS, outputsOf, withParts } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { StatementFailures } from "#kits/ottl/failures";
import {
  compileConditions,
  compileStatements,
  inferStatements,
  OttlProgramError,
  SIGNAL_CONTEXTS,
} from "#kits/ottl/programs";
import { type StatementGroup, Transformer } from "#kits/ottl/transform";
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

/** The groups of a signal, in order: those with a context, then the one without. Throws OttlProgramError. */
function compileGroups(kind: OtlpKind, given: Arguments): StatementGroup[] {
  const { groups, inferred } = SIGNALS[kind];
  const compiled = given[groups].map((group) => compileGroup(kind, group, given));
  const texts = given.statements[inferred];
  if (texts.length > 0) {
    const { context, statements } = inferStatements(SIGNAL_CONTEXTS[kind], texts);
    compiled.push({ context, conditions: [], statements, errorMode: given.error_mode });
  }
  return compiled;
}
function compileGroup(kind: OtlpKind, group: GroupArguments, given: Arguments): StatementGroup {
  const { context } = group;
  if (!(SIGNAL_CONTEXTS[kind] as readonly string[]).includes(context)) {
    throw new OttlProgramError(
      `${kind} have no context ${context}, but ${SIGNAL_CONTEXTS[kind].join(", ")}`,
      undefined,
    );
  }
  return {
    context,
    conditions: compileConditions(context, group.conditions ?? []),
    statements: compileStatements(context, group.statements),
    errorMode: group.error_mode ?? given.error_mode,
  };
}

/** What is wrong with the statements in a field; undefined if nothing is. */
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
  const { groups, inferred } = SIGNALS[kind];
  const faultOfGroups = (a: Arguments) =>
    a[groups].map((group) => faultOf(() => compileGroup(kind, group, a))).find((fault) => fault !== undefined);
  const faultOfInferred = (a: Arguments) => {
    const texts = a.statements[inferred];
    return texts.length === 0 ? undefined : faultOf(() => inferStatements(SIGNAL_CONTEXTS[kind], texts));
  };
  args = args
    .rule(
      groups,
      (a) => faultOfGroups(a) === undefined,
      (a) => `has an error: ${faultOfGroups(a)}`,
    )
    .rule(
      `statements.${inferred}`,
      (a) => faultOfInferred(a) === undefined,
      (a) => `has an error: ${faultOfInferred(a)}`,
    );
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
  args,
  exports: inputExports,

  start(ctx, first) {
    const outputs = outputsOf(ctx, first.output);
    const failures = new StatementFailures(ctx);
    ctx.rule("statements_fail", () => failures.judge());
    const transformers = new Map<OtlpKind, Transformer>();
    for (const kind of KINDS) {
      const groups = compileGroups(kind, first);
      if (groups.length > 0)
        transformers.set(kind, new Transformer(kind, groups, (text, error) => failures.add(text, error)));
    }
    const counted = new OtlpRecord();
    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          const transformer = transformers.get(batch.kind);
          if (transformer === undefined) return outputs[batch.kind].consume(batch, signal);
          const parts = attempt(() => batch.parts.map((part) => transformer.run(part, batch.clientMetadata)));
          if (parts.every((part, i) => part === batch.parts[i])) return outputs[batch.kind].consume(batch, signal);
          // Only functions of metrics make items of others.
          const items =
            batch.kind === "metrics"
              ? parts.reduce((sum, part) => sum + countItems("metrics", counted.reset(part)), 0)
              : batch.items;
          return outputs[batch.kind].consume(withParts(batch, parts, items), signal);
        },
        { mutates: false },
      ),
    });
  },
});
