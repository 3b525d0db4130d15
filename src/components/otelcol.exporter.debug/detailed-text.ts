/** `verbosity = "detailed"`: everything, a line per field. */

import type { OtlpObject } from "#formats/otlp/decode";
import type { OtlpKind } from "#formats/otlp/otlp";
import { child, fixed, list, number, text, timestamp, typed } from "./values.ts";

const SPAN_KINDS = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
const STATUS_CODES = ["Unset", "Ok", "Error"];
const TEMPORALITIES = ["Unspecified", "Delta", "Cumulative"];
const SEVERITIES = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];

/** A decoded request as text. Matches exporter/debugexporter/internal/otlptext of the OpenTelemetry Collector. */
export function detailedText(kind: OtlpKind, request: OtlpObject): string {
  const out = new Lines();
  switch (kind) {
    case "traces":
      groups(out, list(request, "resourceSpans"), "ResourceSpans", "scopeSpans", "ScopeSpans", "spans", span);
      break;
    case "metrics":
      groups(
        out,
        list(request, "resourceMetrics"),
        "ResourceMetrics",
        "scopeMetrics",
        "ScopeMetrics",
        "metrics",
        metric,
      );
      break;
    case "logs":
      groups(out, list(request, "resourceLogs"), "ResourceLog", "scopeLogs", "ScopeLogs", "logRecords", logRecord);
  }
  return out.text;
}

class Lines {
  text = "";

  add(line: string): void {
    this.text += `${line}\n`;
  }
  field(name: string, value: string): void {
    this.add(`    ${name.padEnd(15)}: ${value}`);
  }
  attributes(header: string, attributes: readonly OtlpObject[]): void {
    if (attributes.length === 0) return;
    this.add(`${header}:`);
    const indent = header.includes("->") ? header.split("->", 1)[0]! : "";
    for (const each of attributes) this.add(`${indent}     -> ${text(each, "key")}: ${typed(child(each, "value"))}`);
  }
}

function groups(
  out: Lines,
  resources: readonly OtlpObject[],
  resourceTitle: string,
  scopes: string,
  scopeTitle: string,
  items: string,
  item: (out: Lines, value: OtlpObject, index: number) => void,
): void {
  for (const [i, group] of resources.entries()) {
    out.add(`${resourceTitle} #${i}`);
    out.add(`Resource SchemaURL: ${text(group, "schemaUrl")}`);
    out.attributes("Resource attributes", list(child(group, "resource"), "attributes"));
    for (const [j, scoped] of list(group, scopes).entries()) {
      out.add(`${scopeTitle} #${j}`);
      out.add(`${scopeTitle} SchemaURL: ${text(scoped, "schemaUrl")}`);
      const scope = child(scoped, "scope");
      out.add(`InstrumentationScope ${text(scope, "name")} ${text(scope, "version")}`);
      out.attributes("InstrumentationScope attributes", list(scope, "attributes"));
      for (const [k, each] of list(scoped, items).entries()) item(out, each, k);
    }
  }
}

function span(out: Lines, value: OtlpObject, index: number): void {
  out.add(`Span #${index}`);
  out.field("Trace ID", text(value, "traceId"));
  out.field("Parent ID", text(value, "parentSpanId"));
  out.field("ID", text(value, "spanId"));
  out.field("Name", text(value, "name"));
  out.field("Kind", SPAN_KINDS[number(value, "kind")] ?? "");
  if (value.traceState !== undefined) out.field("TraceState", text(value, "traceState"));
  out.field("Start time", timestamp(value.startTimeUnixNano));
  out.field("End time", timestamp(value.endTimeUnixNano));
  const status = child(value, "status");
  out.field("Status code", STATUS_CODES[number(status, "code")] ?? "");
  out.field("Status message", text(status, "message"));
  for (const name of ["Attributes", "Events", "Links"]) {
    out.field(`Dropped${name}Count`, text(value, `dropped${name}Count`, "0"));
  }
  out.attributes("Attributes", list(value, "attributes"));
  if (list(value, "events").length > 0) out.add("Events:");
  for (const [i, event] of list(value, "events").entries()) {
    out.add(`SpanEvent #${i}`);
    out.add(`     -> Name: ${text(event, "name")}`);
    out.add(`     -> Timestamp: ${timestamp(event.timeUnixNano)}`);
    out.add(`     -> DroppedAttributesCount: ${text(event, "droppedAttributesCount", "0")}`);
    out.attributes("     -> Attributes:", list(event, "attributes"));
  }
  if (list(value, "links").length > 0) out.add("Links:");
  for (const [i, link] of list(value, "links").entries()) {
    out.add(`SpanLink #${i}`);
    out.add(`     -> Trace ID: ${text(link, "traceId")}`);
    out.add(`     -> ID: ${text(link, "spanId")}`);
    out.add(`     -> TraceState: ${text(link, "traceState")}`);
    out.add(`     -> DroppedAttributesCount: ${text(link, "droppedAttributesCount", "0")}`);
    out.attributes("     -> Attributes:", list(link, "attributes"));
  }
}

function logRecord(out: Lines, value: OtlpObject, index: number): void {
  const severity = number(value, "severityNumber");
  const step = severity > 0 ? (severity - 1) % 4 : 0;
  const name =
    severity === 0 ? "Unspecified" : `${SEVERITIES[Math.floor((severity - 1) / 4)] ?? ""}${step === 0 ? "" : step + 1}`;
  out.add(`LogRecord #${index}`);
  out.add(`ObservedTimestamp: ${timestamp(value.observedTimeUnixNano)}`);
  out.add(`Timestamp: ${timestamp(value.timeUnixNano)}`);
  out.add(`SeverityText: ${text(value, "severityText")}`);
  out.add(`SeverityNumber: ${name}(${severity})`);
  if (value.eventName !== undefined) out.add(`EventName: ${text(value, "eventName")}`);
  out.add(`Body: ${typed(child(value, "body"))}`);
  out.attributes("Attributes", list(value, "attributes"));
  out.add(`Trace ID: ${text(value, "traceId")}`);
  out.add(`Span ID: ${text(value, "spanId")}`);
  out.add(`Flags: ${text(value, "flags", "0")}`);
}

const METRIC_TYPES = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] as const;
const TYPE_NAMES = {
  gauge: "Gauge",
  sum: "Sum",
  histogram: "Histogram",
  exponentialHistogram: "ExponentialHistogram",
  summary: "Summary",
};

function metric(out: Lines, value: OtlpObject, index: number): void {
  const type = METRIC_TYPES.find((each) => value[each] !== undefined);
  out.add(`Metric #${index}`);
  out.add("Descriptor:");
  out.add(`     -> Name: ${text(value, "name")}`);
  out.add(`     -> Description: ${text(value, "description")}`);
  out.add(`     -> Unit: ${text(value, "unit")}`);
  out.add(`     -> DataType: ${type === undefined ? "Empty" : TYPE_NAMES[type]}`);
  out.attributes("     -> Metadata", list(value, "metadata"));
  if (type === undefined) return;
  const data = child(value, type)!;
  if (type === "sum") out.add(`     -> IsMonotonic: ${text(data, "isMonotonic", "false")}`);
  if (type !== "gauge" && type !== "summary") {
    out.add(`     -> AggregationTemporality: ${TEMPORALITIES[number(data, "aggregationTemporality")] ?? ""}`);
  }
  const title = type === "gauge" || type === "sum" ? "Number" : TYPE_NAMES[type];
  for (const [i, point] of list(data, "dataPoints").entries()) {
    out.add(`${title}DataPoints #${i}`);
    out.attributes("Data point attributes", list(point, "attributes"));
    out.add(`StartTimestamp: ${timestamp(point.startTimeUnixNano)}`);
    out.add(`Timestamp: ${timestamp(point.timeUnixNano)}`);
    if (title === "Number") {
      if (point.asInt !== undefined) out.add(`Value: ${point.asInt}`);
      else if (point.asDouble !== undefined) out.add(`Value: ${fixed(point.asDouble)}`);
    } else distribution(out, type, point);
    exemplars(out, list(point, "exemplars"));
  }
}

function distribution(out: Lines, type: (typeof METRIC_TYPES)[number], point: OtlpObject): void {
  out.add(`Count: ${text(point, "count", "0")}`);
  if (type === "summary") {
    out.add(`Sum: ${fixed(point.sum)}`);
    for (const [i, each] of list(point, "quantileValues").entries()) {
      out.add(`QuantileValue #${i}: Quantile ${fixed(each.quantile)}, Value ${fixed(each.value)}`);
    }
    return;
  }
  if (point.sum !== undefined) out.add(`Sum: ${fixed(point.sum)}`);
  if (point.min !== undefined) out.add(`Min: ${fixed(point.min)}`);
  if (point.max !== undefined) out.add(`Max: ${fixed(point.max)}`);
  for (const [i, bound] of ((point.explicitBounds ?? []) as number[]).entries())
    out.add(`ExplicitBounds #${i}: ${fixed(bound)}`);
  for (const [i, count] of ((point.bucketCounts ?? []) as string[]).entries())
    out.add(`Buckets #${i}, Count: ${count}`);
  if (type !== "exponentialHistogram") return;
  const factor = Math.LN2 * 2 ** -number(point, "scale");
  const negative = (child(point, "negative")?.bucketCounts ?? []) as string[];
  const negativeOffset = number(child(point, "negative"), "offset");
  for (let i = negative.length - 1; i >= 0; i--) {
    const [low, high] = [Math.exp((negativeOffset + i) * factor), Math.exp((negativeOffset + i + 1) * factor)];
    out.add(`Bucket [${fixed(-high)}, ${fixed(-low)}), Count: ${negative[i]}`);
  }
  if (number(point, "zeroCount") !== 0) out.add(`Bucket [0, 0], Count: ${text(point, "zeroCount")}`);
  const offset = number(child(point, "positive"), "offset");
  for (const [i, count] of ((child(point, "positive")?.bucketCounts ?? []) as string[]).entries()) {
    out.add(
      `Bucket (${fixed(Math.exp((offset + i) * factor))}, ${fixed(Math.exp((offset + i + 1) * factor))}], Count: ${count}`,
    );
  }
}

function exemplars(out: Lines, values: readonly OtlpObject[]): void {
  if (values.length > 0) out.add("Exemplars:");
  for (const [i, each] of values.entries()) {
    out.add(`Exemplar #${i}`);
    out.add(`     -> Trace ID: ${text(each, "traceId")}`);
    out.add(`     -> Span ID: ${text(each, "spanId")}`);
    out.add(`     -> Timestamp: ${timestamp(each.timeUnixNano)}`);
    if (each.asInt !== undefined) out.add(`     -> Value: ${each.asInt}`);
    else if (each.asDouble !== undefined) out.add(`     -> Value: ${fixed(each.asDouble)}`);
    out.attributes("     -> FilteredAttributes", list(each, "filteredAttributes"));
  }
}
