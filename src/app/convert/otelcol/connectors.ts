import { quoteString } from "#lang/literal";
import { s } from "#lang/schema";
import { Body } from "../output.ts";
import type { BodyRules, Convert, Write } from "./body.ts";
import type { SettingsTree } from "./settings-tree.ts";
import { readValue } from "./values.ts";

const temporality: Convert = (section, name) => {
  const text = section.text(name);
  if (text?.fixed === undefined) return text;
  const fixed = text.fixed === "AGGREGATION_TEMPORALITY_DELTA" ? "DELTA" : "CUMULATIVE";
  if (!["AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE"].includes(text.fixed)) {
    section.add("Warning", name, "is no temporality that the Collector knows, so that it is cumulative");
  }
  return { expression: quoteString(fixed), fixed };
};

/** Histograms are explicit unless they are exponential. */
function histogram(around: SettingsTree): BodyRules {
  const isExponential = around.child("histogram")?.child("exponential") !== undefined;
  return {
    always: true,
    from: { dimension: "dimensions" },
    blocks: { explicit: { isSwitch: true, always: !isExponential }, exponential: { isSwitch: true } },
  };
}

export const SPAN_METRICS: BodyRules = {
  from: { dimension: "dimensions", calls_dimension: "calls_dimensions" },
  convert: { aggregation_temporality: temporality },
  blocks: { histogram, events: { from: { dimension: "dimensions" } } },
  missing: ["add_resource_attributes", "enable_metrics_sampling_method"],
};

export const SERVICE_GRAPH: BodyRules = { missing: ["metrics_timestamp_offset"] };

const TEXTS = s.list(s.string());

/** Metrics by name; the Collector has one of its own where there are none of a kind. */
function counted(kind: string, name: string, description: string): Write {
  return (tree, out) => {
    const metrics = tree.child(kind);
    const names = metrics?.section.names ?? [];
    if (metrics === undefined || names.length === 0) {
      const body = out.block(kind);
      body.attribute("name", quoteString(name));
      return body.attribute("description", quoteString(description));
    }
    // Sorted as Alloy's converter has them.
    for (const each of [...names].sort()) {
      const metric = metrics.child(each);
      if (metric === undefined) continue;
      const body = out.block(kind);
      body.attribute("name", quoteString(each));
      body.attribute("description", metric.section.text("description")?.expression);
      body.attribute("conditions", readValue(TEXTS, metric.section, "conditions")?.expression);
      for (const attribute of metric.children("attributes")) {
        const inner = new Body();
        inner.attribute("key", attribute.section.text("key")?.expression);
        inner.attribute("default_value", readValue(s.any(), attribute.section, "default_value")?.expression);
        body.attach("attributes", inner);
      }
    }
  };
}

export const COUNT: BodyRules = {
  write: {
    spans: counted("spans", "trace.span.count", "The number of spans observed."),
    spanevents: counted("spanevents", "trace.span.event.count", "The number of span events observed."),
    metrics: counted("metrics", "metric.count", "The number of metrics observed."),
    datapoints: counted("datapoints", "metric.datapoint.count", "The number of data points observed."),
    logs: counted("logs", "log.record.count", "The number of log records observed."),
  },
  missing: ["profiles"],
};
