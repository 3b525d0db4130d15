import { decodeRequest, type OtlpObject, type OtlpValue } from "#formats/otlp/decode";
import type { OtlpKind } from "#formats/otlp/otlp";
import { anyText, attributePairs, list, nanos, object, text } from "#formats/otlp/text";
import type { Stores } from "./stores.ts";

const KINDS = ["", "internal", "server", "client", "producer", "consumer"];

/** Puts a request's spans, points or log records into the stores. Returns how many there were and how many found no room. */
export function storeOtlp(
  kind: OtlpKind,
  body: Uint8Array,
  stores: Stores,
  now: number,
): { readonly items: number; readonly refused: number } {
  const request = decodeRequest(kind, [body]);
  const suffix = { traces: "Spans", metrics: "Metrics", logs: "Logs" }[kind];
  let items = 0;
  let refused = 0;
  for (const group of list(request[`resource${suffix}`])) {
    const resource = attributePairs(object(group.resource).attributes);
    const service = attribute(resource, "service.name") || "unknown_service";
    for (const scope of list(group[`scope${suffix}`])) {
      if (kind === "traces") {
        for (const span of list(scope.spans)) {
          storeSpan(span, service, stores, now);
          items += 1;
        }
      } else if (kind === "logs") {
        for (const entry of list(scope.logRecords)) {
          storeLog(entry, service, resource, stores, now);
          items += 1;
        }
      } else {
        for (const metric of list(scope.metrics)) {
          const stored = storeMetric(metric, service, stores, now);
          items += stored.items;
          refused += stored.refused;
        }
      }
    }
  }
  return { items, refused };
}

function storeSpan(span: OtlpObject, service: string, stores: Stores, now: number): void {
  const start = millis(span.startTimeUnixNano);
  const status = object(span.status);
  stores.traces.add(now, text(span.traceId), {
    id: text(span.spanId),
    parent: text(span.parentSpanId),
    name: text(span.name),
    service,
    kind: KINDS[Number(span.kind ?? 0)] ?? "",
    start,
    durationMs: Math.max(0, Number(nanos(span.endTimeUnixNano) - nanos(span.startTimeUnixNano)) / 1e6),
    failed: Number(status.code ?? 0) === 2,
    message: text(status.message),
    attributes: attributePairs(span.attributes),
  });
}

function storeLog(entry: OtlpObject, service: string, resource: readonly string[], stores: Stores, now: number): void {
  const time = millis(entry.timeUnixNano) || millis(entry.observedTimeUnixNano) || now;
  const labels = ["service_name", service];
  const severity = text(entry.severityText);
  if (severity !== "") labels.push("level", severity.toLowerCase());
  const metadata = attributePairs(entry.attributes);
  for (let i = 0; i < resource.length; i += 2) {
    if (resource[i] !== "service.name") metadata.push(resource[i]!, resource[i + 1]!);
  }
  if (text(entry.traceId) !== "") metadata.push("trace_id", text(entry.traceId));
  stores.logs.add(now, time, labels, metadata, anyText(entry.body));
}

function storeMetric(metric: OtlpObject, service: string, stores: Stores, now: number) {
  const name = text(metric.name);
  let items = 0;
  let refused = 0;
  const add = (suffix: string, point: OtlpObject, value: number) => {
    const labels = attributePairs(point.attributes);
    labels.push("service_name", service);
    const time = millis(point.timeUnixNano) || now;
    if (!stores.series.add(now, name + suffix, sorted(labels), time, value)) refused += 1;
  };
  for (const type of ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] as const) {
    const data = object(metric[type]);
    for (const point of list(data.dataPoints)) {
      items += 1;
      stores.series.setType(name, type === "sum" && data.isMonotonic === true ? "counter" : type);
      if (type === "gauge" || type === "sum") {
        add("", point, Number(point.asDouble ?? point.asInt ?? Number.NaN));
      } else {
        add("_count", point, Number(point.count ?? 0));
        add("_sum", point, Number(point.sum ?? 0));
      }
    }
  }
  return { items, refused };
}

/** Pairs in ascending order of names. */
function sorted(flat: readonly string[]): string[] {
  const pairs: [string, string][] = [];
  for (let i = 0; i < flat.length; i += 2) pairs.push([flat[i]!, flat[i + 1]!]);
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1)).flat();
}

function attribute(flat: readonly string[], name: string): string {
  const at = flat.findIndex((each, i) => i % 2 === 0 && each === name);
  return at < 0 ? "" : flat[at + 1]!;
}

function millis(value: OtlpValue | undefined): number {
  return Number(nanos(value)) / 1e6;
}
