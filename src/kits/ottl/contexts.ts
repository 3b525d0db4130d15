import { KeyValues, ValueList } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import { type Field, type Fields, mapField, readOnly } from "./fields.ts";
import { logFields } from "./fields-log.ts";
import { exemplarFields, metricFields, pointFields, resourceFields, scopeFields } from "./fields-metric.ts";
import { eventFields, spanFields } from "./fields-trace.ts";
import { getIndexed } from "./keys.ts";

/** The contexts of OTTL: which paths and enums a statement may use. Matches pkg/ottl/contexts. */

export type ContextName = "resource" | "scope" | "span" | "spanevent" | "metric" | "datapoint" | "exemplar" | "log";

export interface ContextDefinition {
  readonly name: ContextName;
  /** What paths may begin with, and the fields behind it. */
  readonly fields: ReadonlyMap<string, Fields>;
  readonly enums: ReadonlyMap<string, bigint>;
}

const TRACE_ENUMS = numbered([
  ["SPAN_KIND_", ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]],
  ["STATUS_CODE_", ["UNSET", "OK", "ERROR"]],
]);
const METRIC_ENUMS = numbered([
  ["AGGREGATION_TEMPORALITY_", ["UNSPECIFIED", "DELTA", "CUMULATIVE"]],
  ["METRIC_DATA_TYPE_", ["NONE", "GAUGE", "SUM", "HISTOGRAM", "EXPONENTIAL_HISTOGRAM", "SUMMARY"]],
]);
const POINT_ENUMS = new Map([...METRIC_ENUMS, ["FLAG_NONE", 0n], ["FLAG_NO_RECORDED_VALUE", 1n]] as const);
const SEVERITIES = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((name) =>
  ["", "2", "3", "4"].map((step) => name + step),
);
const LOG_ENUMS = numbered([["SEVERITY_NUMBER_", ["UNSPECIFIED", ...SEVERITIES]]]);

function numbered(groups: readonly (readonly [string, readonly string[]])[]): ReadonlyMap<string, bigint> {
  return new Map(groups.flatMap(([prefix, names]) => names.map((name, i) => [prefix + name, BigInt(i)] as const)));
}

function texts(values: readonly string[] | undefined): ValueList | undefined {
  return values === undefined || values.length === 0 ? undefined : new ValueList([...values]);
}

/** Headers of the client's request, as `include_metadata` of a receiver keeps them. */
function metadataOf(c: OttlContext): KeyValues {
  const map = new KeyValues();
  for (const [name, values] of c.clientMetadata ?? []) map.append(name, texts(values) ?? new ValueList([]));
  return map;
}
const metadata: Field = {
  ...readOnly(metadataOf, "otelcol.client.metadata"),
  indexed: (keys, literal) =>
    readOnly((c) => {
      if (literal === undefined) return getIndexed(c, metadataOf(c), keys);
      return getIndexed(c, texts(c.clientMetadata?.get(literal.text.toLowerCase())), keys, 1);
    }, "otelcol.client.metadata"),
};
/** What authentication told of the client: texts only, of those authenticators that there are. */
function authAttributesOf(c: OttlContext): KeyValues {
  const map = new KeyValues();
  for (const [name, value] of c.clientAttributes ?? []) map.append(name, value);
  return map;
}
const authAttributes: Field = {
  ...readOnly(authAttributesOf, "otelcol.client.auth.attributes"),
  indexed: (keys) => readOnly((c) => getIndexed(c, authAttributesOf(c), keys), "otelcol.client.auth.attributes"),
};
const otelcolFields: Fields = { "client.metadata": metadata, "client.auth.attributes": authAttributes };

const COMMON: readonly (readonly [string, Fields])[] = [["otelcol", otelcolFields]];
const SCOPE: readonly (readonly [string, Fields])[] = [
  ["scope", scopeFields],
  ["instrumentation_scope", scopeFields],
];
const RESOURCE: readonly (readonly [string, Fields])[] = [["resource", resourceFields]];

const cacheField = mapField((c) => c.usedCache());

function define(
  name: ContextName,
  own: Fields,
  others: readonly (readonly [string, Fields])[],
  enums: ReadonlyMap<string, bigint> = new Map(),
): ContextDefinition {
  const withCache: Fields = { ...own, cache: cacheField };
  return { name, fields: new Map([[name, withCache], ...others, ...COMMON]), enums };
}

export const CONTEXTS: Readonly<Record<ContextName, ContextDefinition>> = {
  resource: define("resource", resourceFields, []),
  scope: define("scope", scopeFields, RESOURCE),
  span: define("span", spanFields, [...SCOPE, ...RESOURCE], TRACE_ENUMS),
  spanevent: define("spanevent", eventFields, [["span", spanFields], ...SCOPE, ...RESOURCE], TRACE_ENUMS),
  log: define("log", logFields, [...SCOPE, ...RESOURCE], LOG_ENUMS),
  metric: define("metric", metricFields, [...SCOPE, ...RESOURCE], METRIC_ENUMS),
  datapoint: define("datapoint", pointFields, [["metric", metricFields], ...SCOPE, ...RESOURCE], POINT_ENUMS),
  exemplar: define("exemplar", exemplarFields, [
    ["datapoint", pointFields],
    ["metric", metricFields],
    ...SCOPE,
    ...RESOURCE,
  ]),
};

/** From the one with the most details to the one with the least: which one a statement is meant for. */
export const PRIORITY: readonly string[] = [
  "log",
  "exemplar",
  "datapoint",
  "metric",
  "spanevent",
  "span",
  "profile",
  "scope",
  "instrumentation_scope",
  "resource",
];
