import { Labels } from "#base/labels";
import { labelName } from "#formats/otlp/metrics-names";
import { type AnyValue, AttributeKey, type KeyValues } from "#formats/otlp/values";
import { attributeText } from "../ottl/value.ts";

/** Labels of what a request has. Matches convert.go of internal/component/otelcol/exporter/prometheus of Alloy. */

const SERVICE_NAME = new AttributeKey("service.name");
const SERVICE_NAMESPACE = new AttributeKey("service.namespace");
const SERVICE_INSTANCE = new AttributeKey("service.instance.id");
const IDENTITY = new Set([SERVICE_NAME.text, SERVICE_NAMESPACE.text, SERVICE_INSTANCE.text]);

export type Pairs = readonly (readonly [name: string, value: string])[];

/** Where samples come from: `job` and `instance`; empty where the resource does not say them. */
export interface Source {
  readonly job: string;
  readonly instance: string;
}

export function sourceOf(attributes: KeyValues): Source {
  const text = (key: AttributeKey) => (attributes.has(key) ? attributeText(attributes.get(key)) : undefined);
  const name = text(SERVICE_NAME);
  const namespace = text(SERVICE_NAMESPACE);
  const job = name === undefined ? "" : namespace === undefined ? name : `${namespace}/${name}`;
  return { job, instance: text(SERVICE_INSTANCE) ?? "" };
}

/** The labels of `target_info`; the attributes that are `job` and `instance` already are left out unless `keepsIdentity`. */
export function targetInfoLabels(source: Source, attributes: KeyValues, keepsIdentity: boolean): Labels {
  const labels = labelMap("target_info", source);
  for (const [key, value] of entries(attributes)) {
    if (keepsIdentity || !IDENTITY.has(key)) set(labels, labelName(key), attributeText(value));
  }
  return Labels.from(labels);
}

export interface Scope {
  readonly name: string;
  readonly version: string;
}

export function scopeInfoLabels(source: Source, scope: Scope, attributes: KeyValues): Labels {
  const labels = labelMap("otel_scope_info", source);
  set(labels, "otel_scope_name", scope.name);
  set(labels, "otel_scope_version", scope.version);
  for (const [key, value] of entries(attributes)) set(labels, labelName(key), attributeText(value));
  return Labels.from(labels);
}

/** What labels of a data point's series are made from, beside its name and its bucket or quantile. */
export interface PointSource {
  readonly source: Source;
  /** Undefined where scopes make no labels. */
  readonly scope: Scope | undefined;
  /** Resource attributes that become labels too, and win over the point's own; undefined for none. */
  readonly resource: KeyValues | undefined;
  readonly attributes: KeyValues;
}

/** The labels of a series; `extra` is a bucket's `le` or a quantile. An attribute whose name is taken wins, an empty one removes. */
export function pointLabels(name: string, point: PointSource, extra?: readonly [name: string, value: string]): Labels {
  const labels = labelMap(name, point.source);
  if (extra !== undefined) set(labels, extra[0], extra[1]);
  if (point.scope !== undefined) {
    set(labels, "otel_scope_name", point.scope.name);
    set(labels, "otel_scope_version", point.scope.version);
  }
  for (const [key, value] of joined(point.attributes, point.resource))
    set(labels, labelName(key), attributeText(value));
  return Labels.from(labels);
}

function* entries(attributes: KeyValues): Generator<readonly [string, AnyValue]> {
  for (let i = 0; i < attributes.size; i++) yield [attributes.keyAt(i), attributes.valueAt(i)];
}

function joined(own: KeyValues, resource: KeyValues | undefined): Iterable<readonly [string, AnyValue]> {
  if (resource === undefined) return entries(own);
  const all = new Map(entries(own));
  for (const [key, value] of entries(resource)) all.set(key, value);
  return all;
}

function labelMap(name: string, { job, instance }: Source): Map<string, string> {
  const labels = new Map<string, string>();
  set(labels, "__name__", name);
  set(labels, "job", job);
  set(labels, "instance", instance);
  return labels;
}

function set(labels: Map<string, string>, name: string, value: string): void {
  if (value === "") labels.delete(name);
  else labels.set(name, value);
}
