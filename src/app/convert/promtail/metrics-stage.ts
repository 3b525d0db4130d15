import { quoteString } from "#lang/literal";
import { copyFields, field, texts } from "../fields.ts";
import { Body } from "../output.ts";
import type { Section } from "../settings.ts";

const KINDS = ["counter", "gauge", "histogram"];

/** Promtail's metrics are named `promtail_custom_…` unless a metric says otherwise; the component's default is another. */
const PREFIX = '"promtail_custom_"';

/** The `metrics` stage: each metric a block, in the order of their names as Alloy's converter writes them. */
export function metricsStage(section: Section, body: Body): void {
  const stage = body.block("stage.metrics");
  for (const name of [...section.names].sort()) {
    const metric = section.section(name);
    if (metric === undefined) continue;
    const kind = metric.text("type")?.fixed?.toLowerCase();
    if (kind === undefined || !KINDS.includes(kind)) {
      metric.report.add("Error", metric.place, `the type must be ${KINDS.join(" or ")}; the metric is left out`);
      continue;
    }
    const block = metricBody(name, kind, metric);
    if (block !== undefined) stage.attach(`metric.${kind}`, block);
    metric.rest();
  }
}

/** Undefined, and told, if it lacks what it cannot be without. */
function metricBody(name: string, kind: string, metric: Section): Body | undefined {
  const block = new Body();
  block.attribute("name", quoteString(name));
  copyFields(metric, block, [
    ...texts("description", "source"),
    field("prefix", "text", undefined, PREFIX),
    field("max_idle_duration", "duration", 300_000),
  ]);
  const needed = kind === "histogram" ? "buckets" : "action";
  const config = metric.section("config");
  if (config?.has(needed) !== true) {
    metric.report.add("Error", metric.place, `a ${kind} needs config with ${needed}; the metric is left out`);
    return undefined;
  }
  copyFields(config, block, texts("value"));
  if (kind === "histogram") {
    block.attribute("buckets", config.numbers("buckets")?.expression);
    config.tell("action", "Info", "has no meaning for a histogram, which takes every value");
  } else {
    block.attribute("action", config.rawText("action")?.map((part) => part.toLowerCase()).expression);
  }
  if (kind === "counter") {
    copyFields(config, block, [field("match_all", "flag", false), field("count_entry_bytes", "flag", false)]);
  }
  config.rest();
  return block;
}
