/** `verbosity = "normal"`: about one line per item. */

import type { OtlpObject } from "#formats/otlp/decode";
import type { OtlpKind } from "#formats/otlp/otlp";
import { child, fixed, float, list, number, plain, text } from "./values.ts";

const GROUPS: Readonly<Record<OtlpKind, readonly [string, string, string, string, string]>> = {
  traces: ["resourceSpans", "scopeSpans", "spans", "ResourceTraces", "ScopeTraces"],
  metrics: ["resourceMetrics", "scopeMetrics", "metrics", "ResourceMetrics", "ScopeMetrics"],
  logs: ["resourceLogs", "scopeLogs", "logRecords", "ResourceLog", "ScopeLog"],
};

/** A decoded request as text. Matches exporter/debugexporter/internal/normal of the OpenTelemetry Collector. */
export function normalText(kind: OtlpKind, request: OtlpObject): string {
  const [resources, scopes, items, resourceTitle, scopeTitle] = GROUPS[kind];
  const lines: string[] = [];
  for (const [i, group] of list(request, resources).entries()) {
    const schema = text(group, "schemaUrl");
    lines.push(`${resourceTitle} #${i}${schema === "" ? "" : ` [${schema}]`}${spaced(child(group, "resource"))}`);
    for (const [j, scoped] of list(group, scopes).entries()) {
      lines.push(`${scopeTitle} #${j}${scopeDetails(scoped)}${spaced(child(scoped, "scope"))}`);
      for (const item of list(scoped, items)) {
        if (kind === "metrics") lines.push(...metricLines(item));
        else if (kind === "logs") lines.push(`${plain(child(item, "body"))} ${attributes(item).join(" ")}`);
        else lines.push(`${text(item, "name")} ${text(item, "traceId")} ${text(item, "spanId")}${spaced(item)}`);
      }
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

function attributes(object: OtlpObject | undefined): string[] {
  return list(object, "attributes").map((each) => `${text(each, "key")}=${plain(child(each, "value"))}`);
}

function spaced(object: OtlpObject | undefined): string {
  return attributes(object)
    .map((each) => ` ${each}`)
    .join("");
}

function scopeDetails(scoped: OtlpObject): string {
  const scope = child(scoped, "scope");
  const version = text(scope, "version");
  const schema = text(scoped, "schemaUrl");
  const name = `${text(scope, "name")}${version === "" ? "" : `@${version}`}`;
  const details = [name, schema === "" ? "" : `[${schema}]`].filter((each) => each !== "");
  return details.length === 0 ? "" : ` ${details.join(" ")}`;
}

function metricLines(metric: OtlpObject): string[] {
  const line = (point: OtlpObject, value: string) => `${text(metric, "name")}{${attributes(point).join(",")}} ${value}`;
  const points = (name: string) => list(child(metric, name), "dataPoints");
  return [
    ...[...points("gauge"), ...points("sum")].map((point) =>
      line(
        point,
        point.asInt === undefined ? (point.asDouble === undefined ? "" : float(point.asDouble)) : String(point.asInt),
      ),
    ),
    ...points("histogram").map((point) => line(point, `${totals(point)}${bucketTexts(point)}`)),
    ...points("exponentialHistogram").map((point) => line(point, `${totals(point)}${exponentialTexts(point)}`)),
    ...points("summary").map((point) => {
      const quantiles = list(point, "quantileValues").map((each) => ` q${float(each.quantile)}=${float(each.value)}`);
      return line(point, `count=${text(point, "count", "0")} sum=${fixed(point.sum)}${quantiles.join("")}`);
    }),
  ];
}

function totals(point: OtlpObject): string {
  const optional = ["sum", "min", "max"].filter((name) => point[name] !== undefined);
  return `count=${text(point, "count", "0")}${optional.map((name) => ` ${name}=${float(point[name])}`).join("")}`;
}

function bucketTexts(point: OtlpObject): string {
  const bounds = (point.explicitBounds ?? []) as number[];
  const counts = (point.bucketCounts ?? []) as string[];
  return counts.map((count, i) => ` ${i < bounds.length ? `le${float(bounds[i])}=` : ""}${count}`).join("");
}

function exponentialTexts(point: OtlpObject): string {
  const factor = Math.LN2 * 2 ** -number(point, "scale");
  const texts: string[] = [];
  const negative = (child(point, "negative")?.bucketCounts ?? []) as string[];
  const negativeOffset = number(child(point, "negative"), "offset");
  for (let j = negative.length - 1; j >= 0; j--) {
    texts.push(` le${float(-Math.exp((negativeOffset + j) * factor))}=${negative[j]}`);
  }
  if (number(point, "zeroCount") !== 0) texts.push(` zero=${text(point, "zeroCount")}`);
  const positive = (child(point, "positive")?.bucketCounts ?? []) as string[];
  const offset = number(child(point, "positive"), "offset");
  for (const [j, count] of positive.entries()) texts.push(` le${float(Math.exp((offset + j + 1) * factor))}=${count}`);
  return texts.join("");
}
