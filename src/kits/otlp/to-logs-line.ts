import { LogfmtReader } from "#formats/logfmt";
import { LOG, SCOPE } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { attributeText, compareUtf8, isFiniteValue, json } from "../ottl/value.ts";
import { idText } from "./id-text.ts";
import { logfmtLine } from "./logfmt.ts";

/** Lines for Loki made of log records. Matches encode.go of pkg/translator/loki of the Collector's contrib. */

/** What a line is made of: attributes are those that became no label. */
export interface LineSource {
  readonly record: OtlpRecord;
  readonly scope: OtlpRecord;
  readonly attributes: ReadonlyMap<string, AnyValue>;
  readonly resource: ReadonlyMap<string, AnyValue>;
}

/** A number that JSON has no form for. */
export class NotFiniteError extends Error {
  override readonly name = "NotFiniteError";
  constructor() {
    super("NaN and infinite numbers have no form in JSON");
  }
}

export function rawLine({ record }: LineSource): string {
  return attributeText(record.any(LOG.body).value);
}

/** Throws a NotFiniteError. */
export function jsonLine({ record, scope, attributes, resource }: LineSource): string {
  const fields: string[] = [];
  const add = (name: string, text: string) => fields.push(`"${name}":${text}`);
  const body = record.any(LOG.body).value;
  if (body !== undefined) add("body", finiteJson(body));
  const trace = idText(record.bytes(LOG.traceId));
  if (trace !== "") add("traceid", `"${trace}"`);
  const span = idText(record.bytes(LOG.spanId));
  if (span !== "") add("spanid", `"${span}"`);
  const severity = record.text(LOG.severityText);
  if (severity !== "") add("severity", json(severity));
  const flags = record.fixed32(LOG.flags);
  if (flags !== 0) add("flags", String(flags));
  if (attributes.size > 0) add("attributes", objectText(attributes));
  if (resource.size > 0) add("resources", objectText(resource));
  const name = scope.text(SCOPE.name);
  if (name !== "") add("instrumentation_scope", scopeText(name, scope));
  return `{${fields.join(",")}}`.replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function scopeText(name: string, scope: OtlpRecord): string {
  const fields = [`"name":${json(name)}`];
  const version = scope.text(SCOPE.version);
  if (version !== "") fields.push(`"version":${json(version)}`);
  const attributes = scope.map(SCOPE.attributes);
  if (attributes.size > 0) fields.push(`"attributes":${finiteJson(attributes)}`);
  return `{${fields.join(",")}}`;
}

function objectText(attributes: ReadonlyMap<string, AnyValue>): string {
  const keys = [...attributes.keys()].sort(compareUtf8);
  return `{${keys.map((key) => `${json(key)}:${finiteJson(attributes.get(key))}`).join(",")}}`;
}

function finiteJson(value: AnyValue): string {
  if (!isFiniteValue(value)) throw new NotFiniteError();
  return json(value);
}
type Pair = [key: string, value: AnyValue];

/** Throws a LogfmtKeyError. */
export function logfmtRecordLine({ record, scope, attributes, resource }: LineSource): string {
  const body = record.any(LOG.body).value;
  const pairs: Pair[] = [];
  // Keys of a body that is logfmt itself are never replaced by those of the record, as in the Collector.
  const fixed = typeof body === "string" ? logfmtPairs(body) : undefined;
  if (fixed === undefined) bodyPairs(body, pairs);
  const put = (key: string, value: AnyValue) => {
    const known = pairs.find((pair) => pair[0] === key);
    if (known === undefined) pairs.push([key, value]);
    else known[1] = value;
  };
  const trace = idText(record.bytes(LOG.traceId));
  if (trace !== "") put("traceID", trace);
  const span = idText(record.bytes(LOG.spanId));
  if (span !== "") put("spanID", span);
  const severity = record.text(LOG.severityText);
  if (severity !== "") put("severity", severity);
  const flags = record.fixed32(LOG.flags);
  if (flags !== 0) put("flags", flags);
  for (const [key, value] of attributes) flatten(`attribute_${key}`, value, pairs);
  for (const [key, value] of resource) flatten(`resource_${key}`, value, pairs);
  const name = scope.text(SCOPE.name);
  if (name !== "") {
    pairs.push(["instrumentation_scope_name", name]);
    const version = scope.text(SCOPE.version);
    if (version !== "") pairs.push(["instrumentation_scope_version", version]);
    const own = scope.map(SCOPE.attributes);
    for (let i = 0; i < own.size; i++) {
      flatten(`instrumentation_scope_attribute_${own.keyAt(i)}`, own.valueAt(i), pairs);
    }
  }
  return logfmtLine([...(fixed ?? []), ...pairs]);
}

function bodyPairs(body: AnyValue, pairs: Pair[]): void {
  if (body === undefined) return;
  if (body instanceof KeyValues) flatten("", body, pairs);
  else if (body instanceof ValueList) flatten("body", body, pairs);
  else pairs.push(["msg", body]);
}

/** Maps and lists as one pair for each of their members, whose keys are joined with underscores. */
function flatten(key: string, value: AnyValue, pairs: Pair[]): void {
  const prefix = key === "" ? "" : `${key}_`;
  if (value === undefined) return;
  if (value instanceof KeyValues) {
    for (let i = 0; i < value.size; i++) flatten(prefix + value.keyAt(i), value.valueAt(i), pairs);
  } else if (value instanceof ValueList) {
    for (const [i, item] of value.items.entries()) flatten(`${prefix}${i}`, item, pairs);
  } else pairs.push([key, value]);
}

/** A longer first line is no logfmt to Go's scanner. */
const LONGEST_LINE = 65_536;
const reader = new LogfmtReader();

/** The pairs of a body's first line; undefined if it is no logfmt. */
function logfmtPairs(body: string): Pair[] | undefined {
  const newline = body.indexOf("\n");
  const line = Buffer.from(newline < 0 ? body : body.slice(0, newline));
  if (line.length >= LONGEST_LINE) return undefined;
  const pairs: Pair[] = [];
  reader.reset(line, 0, line.length);
  // As bytes: other than a text, they are never taken for the word `null`.
  while (reader.next()) pairs.push([reader.key(), Buffer.from(reader.value())]);
  return reader.error === undefined ? pairs : undefined;
}
