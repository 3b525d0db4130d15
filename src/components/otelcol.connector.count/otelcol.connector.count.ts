import type { OtlpKind } from "#formats/otlp/otlp";
import { AttributeKey } from "#formats/otlp/values";
import { attempt, KINDS } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports } from "#kits/otelcol/schema";
import { valueFromConfig } from "#kits/otlp/config-value";
import { metricsOutputSchema } from "#kits/otlp/output";
import type { ContextName } from "#kits/ottl/contexts";
import type { Groups } from "#kits/ottl/processor";
import { compileConditions } from "#kits/ottl/programs";
import { ArgumentError, faultsOf, within } from "#lang/faults";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { type CountedAttribute, type CountMetric, RequestCounter } from "./counts.ts";

/** What is counted, and the metric of a block that names none, as of a component without blocks. */
const COUNTED = {
  spans: { context: "span", name: "trace.span.count", description: "The number of spans observed." },
  spanevents: {
    context: "spanevent",
    name: "trace.span.event.count",
    description: "The number of span events observed.",
  },
  metrics: { context: "metric", name: "metric.count", description: "The number of metrics observed." },
  datapoints: {
    context: "datapoint",
    name: "metric.datapoint.count",
    description: "The number of data points observed.",
  },
  logs: { context: "log", name: "log.record.count", description: "The number of log records observed." },
} as const satisfies Record<string, { context: ContextName; name: string; description: string }>;
type What = keyof typeof COUNTED;
const ALL = Object.keys(COUNTED) as What[];

const SIGNALS: Readonly<Record<OtlpKind, readonly What[]>> = {
  traces: ["spans", "spanevents"],
  metrics: ["metrics", "datapoints"],
  logs: ["logs"],
};

const attributeSchema = s.object({
  key: s.string().doc("Attribute of the item, its scope or its resource, whichever has it first."),
  default_value: s.any().optional().doc("Value for what lacks the attribute, which is not counted otherwise."),
});
const metricSchema = (what: What) =>
  s.blocks(
    s.object({
      name: s.string().default("").doc(`Name of the metric; \`${COUNTED[what].name}\` if there is none.`),
      description: s.string().default("").doc("Description of the metric."),
      conditions: s.list(s.string()).default([]).doc("Conditions of OTTL, one of which must hold for what is counted."),
      attributes: s.blocks(attributeSchema).doc("Attributes by whose values there are counts of their own."),
    }),
  );

const baseArgs = s.object({
  spans: metricSchema("spans").doc("Counts spans; without one there is `trace.span.count`."),
  spanevents: metricSchema("spanevents").doc("Counts span events; without one there is `trace.span.event.count`."),
  metrics: metricSchema("metrics").doc("Counts metrics; without one there is `metric.count`."),
  datapoints: metricSchema("datapoints").doc("Counts data points; without one there is `metric.datapoint.count`."),
  logs: metricSchema("logs").doc("Counts log records; without one there is `log.record.count`."),
  output: s.block(metricsOutputSchema).required().doc("Where the counts go."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});
type Arguments = Infer<typeof baseArgs>;
type MetricArguments = Arguments["spans"][number];

/** The metrics that count something; one that counts everything if there is no block. */
function metricsOf(what: What, given: Arguments): Groups<CountMetric> {
  const { name, description } = COUNTED[what];
  if (given[what].length === 0) return [() => ({ name, description, conditions: [], attributes: [] })];
  const names = given[what].map((metric) => metric.name || name);
  return given[what].map((metric, i) => {
    return () => within(`${what}[${i}]`, () => compileMetric(what, metric, names[i]!, names.indexOf(names[i]!) < i));
  });
}
/** Throws ArgumentError. */
function compileMetric(what: What, given: MetricArguments, name: string, isTaken: boolean): CountMetric {
  const { description, conditions, attributes } = given;
  if (isTaken) throw new ArgumentError(`has the metric \`${name}\` of another block; give each a \`name\` of its own`);
  if (what === "metrics" && attributes.length > 0) {
    throw new ArgumentError("is of no use: metrics have no attributes; count `datapoints` by them", "attributes[0]");
  }
  return {
    name,
    description,
    conditions: within("conditions", () => compileConditions(COUNTED[what].context, conditions)),
    attributes: attributes.map((each, i) => within(`attributes[${i}]`, () => compileAttribute(each, attributes, i))),
  };
}
type AttributeArguments = MetricArguments["attributes"][number];
function compileAttribute(
  { key, default_value: given }: AttributeArguments,
  all: readonly AttributeArguments[],
  i: number,
): CountedAttribute {
  if (key === "") throw new ArgumentError("is empty", "key");
  if (all.findIndex((each) => each.key === key) < i) throw new ArgumentError(`is there twice: ${quoted(key)}`, "key");
  if (given === undefined || given === null) return { key: new AttributeKey(key), fallback: undefined };
  return { key: new AttributeKey(key), fallback: { value: within("default_value", () => valueFromConfig(given)) } };
}
function quoted(text: string): string {
  return JSON.stringify(text);
}

export default defineComponent({
  name: "otelcol.connector.count",
  stability: "experimental",
  summary: "Counts spans, span events, metrics, data points and log records, and makes metrics of the counts.",
  example: `otelcol.connector.count "default" {
  spans {
    name       = "checkout.errors"
    conditions = [\`span.status.code == STATUS_CODE_ERROR\`]

    attributes {
      key           = "service.name"
      default_value = "unknown"
    }
  }

  output {
    metrics = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args: baseArgs.refuse((a) => ALL.flatMap((what) => faultsOf(metricsOf(what, a)))),
  exports: inputExports,

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.metrics);
    const counters = new Map<OtlpKind, RequestCounter>();
    for (const kind of KINDS) {
      const [outer, inner] = SIGNALS[kind];
      const metrics = [outer, inner].map((what) =>
        what === undefined ? [] : metricsOf(what, first).map((compile) => compile()),
      );
      counters.set(kind, new RequestCounter(kind, [metrics[0]!, metrics[1]!]));
    }

    /** The counts; undefined where there is nothing to count. */
    function count(batch: OtlpBatch): OtlpBatch | undefined {
      const now = BigInt(Math.trunc(ctx.clock.now())) * 1_000_000n;
      const counted = attempt(() => batch.parts.map((part) => counters.get(batch.kind)!.count(part, batch, now)));
      const parts = counted.map(({ bytes }) => bytes).filter((bytes) => bytes !== undefined);
      if (parts.length === 0) return undefined;
      return {
        ...batch,
        kind: "metrics",
        parts,
        items: counted.reduce((sum, { points }) => sum + points, 0),
        bytes: parts.reduce((sum, part) => sum + part.length, 0),
      };
    }

    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          const counts = count(batch);
          if (counts !== undefined) return out.consume(counts, signal);
          batch.acknowledgement.release();
          ctx.flow.ok(); // nothing in it is counted
        },
        { mutates: false },
      ),
    });
  },
});
