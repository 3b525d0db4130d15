/**
 * The messages of OTLP 1.x (opentelemetry-proto: trace, metrics, logs, common, resource) as tables, from which the
 * validator, the decoder and the JSON codec work. Profiles are not among them.
 */

export type OtlpKind = "traces" | "metrics" | "logs";

export type ScalarType =
  | "string"
  | "bytes"
  /** `bytes` of 16 or 8 bytes, hexadecimal in JSON. */
  | "traceId"
  | "spanId"
  | "bool"
  | "int32"
  | "uint32"
  | "sint32"
  | "int64"
  | "uint64"
  | "fixed32"
  | "fixed64"
  | "sfixed64"
  | "double"
  | "enum";

export interface OtlpField {
  readonly number: number;
  /** lowerCamelCase, as in JSON. */
  readonly name: string;
  /** As in the .proto files. */
  readonly protoName: string;
  readonly type: ScalarType | "message";
  readonly message: OtlpMessage | undefined;
  /** Names of enum values that JSON may use. */
  readonly values: ReadonlyMap<string, number> | undefined;
  readonly repeated: boolean;
  /** Written even with its default value: members of a oneof and `optional` fields. */
  readonly presence: boolean;
}

export interface OtlpMessage {
  readonly name: string;
  readonly fields: readonly OtlpField[];
  /** By field number. */
  readonly byNumber: readonly (OtlpField | undefined)[];
  /** By either name. */
  readonly byName: ReadonlyMap<string, OtlpField>;
}

interface FieldOptions {
  readonly repeated?: boolean;
  readonly presence?: boolean;
  readonly values?: Readonly<Record<string, number>>;
}
type FieldSpec = readonly [
  number: number,
  protoName: string,
  type: ScalarType | (() => OtlpMessage),
  options?: FieldOptions,
];

const MANY: FieldOptions = { repeated: true };
const PRESENT: FieldOptions = { presence: true };

/** Fields are resolved in `link`, since AnyValue contains itself. */
function message(name: string, specs: readonly FieldSpec[]): OtlpMessage & { link(): void } {
  const fields: OtlpField[] = [];
  const byNumber: (OtlpField | undefined)[] = new Array(32).fill(undefined);
  const byName = new Map<string, OtlpField>();
  return {
    name,
    fields,
    byNumber,
    byName,
    link() {
      for (const [number, protoName, type, options = {}] of specs) {
        const field: OtlpField = {
          number,
          protoName,
          name: protoName.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
          type: typeof type === "function" ? "message" : type,
          message: typeof type === "function" ? type() : undefined,
          values: options.values === undefined ? undefined : new Map(Object.entries(options.values)),
          repeated: options.repeated ?? false,
          presence: options.presence ?? false,
        };
        fields.push(field);
        byNumber[number] = field;
        byName.set(field.name, field);
        byName.set(protoName, field);
      }
    },
  };
}

const SPAN_KINDS = {
  SPAN_KIND_UNSPECIFIED: 0,
  SPAN_KIND_INTERNAL: 1,
  SPAN_KIND_SERVER: 2,
  SPAN_KIND_CLIENT: 3,
  SPAN_KIND_PRODUCER: 4,
  SPAN_KIND_CONSUMER: 5,
};
const STATUS_CODES = { STATUS_CODE_UNSET: 0, STATUS_CODE_OK: 1, STATUS_CODE_ERROR: 2 };
const TEMPORALITIES = {
  AGGREGATION_TEMPORALITY_UNSPECIFIED: 0,
  AGGREGATION_TEMPORALITY_DELTA: 1,
  AGGREGATION_TEMPORALITY_CUMULATIVE: 2,
};
const SEVERITIES: Record<string, number> = { SEVERITY_NUMBER_UNSPECIFIED: 0 };
for (const [i, name] of ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].entries()) {
  for (let step = 1; step <= 4; step++) SEVERITIES[`SEVERITY_NUMBER_${name}${step === 1 ? "" : step}`] = i * 4 + step;
}

const anyValue = message("AnyValue", [
  [1, "string_value", "string", PRESENT],
  [2, "bool_value", "bool", PRESENT],
  [3, "int_value", "int64", PRESENT],
  [4, "double_value", "double", PRESENT],
  [5, "array_value", () => arrayValue],
  [6, "kvlist_value", () => keyValueList],
  [7, "bytes_value", "bytes", PRESENT],
]);
const arrayValue = message("ArrayValue", [[1, "values", () => anyValue, MANY]]);
const keyValueList = message("KeyValueList", [[1, "values", () => keyValue, MANY]]);
const keyValue = message("KeyValue", [
  [1, "key", "string"],
  [2, "value", () => anyValue],
]);
const entityRef = message("EntityRef", [
  [1, "schema_url", "string"],
  [2, "type", "string"],
  [3, "id_keys", "string", MANY],
  [4, "description_keys", "string", MANY],
]);
const resource = message("Resource", [
  [1, "attributes", () => keyValue, MANY],
  [2, "dropped_attributes_count", "uint32"],
  [3, "entity_refs", () => entityRef, MANY],
]);
const scope = message("InstrumentationScope", [
  [1, "name", "string"],
  [2, "version", "string"],
  [3, "attributes", () => keyValue, MANY],
  [4, "dropped_attributes_count", "uint32"],
]);

const spanEvent = message("Span.Event", [
  [1, "time_unix_nano", "fixed64"],
  [2, "name", "string"],
  [3, "attributes", () => keyValue, MANY],
  [4, "dropped_attributes_count", "uint32"],
]);
const spanLink = message("Span.Link", [
  [1, "trace_id", "traceId"],
  [2, "span_id", "spanId"],
  [3, "trace_state", "string"],
  [4, "attributes", () => keyValue, MANY],
  [5, "dropped_attributes_count", "uint32"],
  [6, "flags", "fixed32"],
]);
const spanStatus = message("Status", [
  [2, "message", "string"],
  [3, "code", "enum", { values: STATUS_CODES }],
]);
const span = message("Span", [
  [1, "trace_id", "traceId"],
  [2, "span_id", "spanId"],
  [3, "trace_state", "string"],
  [4, "parent_span_id", "spanId"],
  [5, "name", "string"],
  [6, "kind", "enum", { values: SPAN_KINDS }],
  [7, "start_time_unix_nano", "fixed64"],
  [8, "end_time_unix_nano", "fixed64"],
  [9, "attributes", () => keyValue, MANY],
  [10, "dropped_attributes_count", "uint32"],
  [11, "events", () => spanEvent, MANY],
  [12, "dropped_events_count", "uint32"],
  [13, "links", () => spanLink, MANY],
  [14, "dropped_links_count", "uint32"],
  [15, "status", () => spanStatus],
  [16, "flags", "fixed32"],
]);

const logRecord = message("LogRecord", [
  [1, "time_unix_nano", "fixed64"],
  [2, "severity_number", "enum", { values: SEVERITIES }],
  [3, "severity_text", "string"],
  [5, "body", () => anyValue],
  [6, "attributes", () => keyValue, MANY],
  [7, "dropped_attributes_count", "uint32"],
  [8, "flags", "fixed32"],
  [9, "trace_id", "traceId"],
  [10, "span_id", "spanId"],
  [11, "observed_time_unix_nano", "fixed64"],
  [12, "event_name", "string"],
]);

const exemplar = message("Exemplar", [
  [2, "time_unix_nano", "fixed64"],
  [3, "as_double", "double", PRESENT],
  [4, "span_id", "spanId"],
  [5, "trace_id", "traceId"],
  [6, "as_int", "sfixed64", PRESENT],
  [7, "filtered_attributes", () => keyValue, MANY],
]);
const numberDataPoint = message("NumberDataPoint", [
  [2, "start_time_unix_nano", "fixed64"],
  [3, "time_unix_nano", "fixed64"],
  [4, "as_double", "double", PRESENT],
  [5, "exemplars", () => exemplar, MANY],
  [6, "as_int", "sfixed64", PRESENT],
  [7, "attributes", () => keyValue, MANY],
  [8, "flags", "uint32"],
]);
const histogramDataPoint = message("HistogramDataPoint", [
  [2, "start_time_unix_nano", "fixed64"],
  [3, "time_unix_nano", "fixed64"],
  [4, "count", "fixed64"],
  [5, "sum", "double", PRESENT],
  [6, "bucket_counts", "fixed64", MANY],
  [7, "explicit_bounds", "double", MANY],
  [8, "exemplars", () => exemplar, MANY],
  [9, "attributes", () => keyValue, MANY],
  [10, "flags", "uint32"],
  [11, "min", "double", PRESENT],
  [12, "max", "double", PRESENT],
]);
const buckets = message("ExponentialHistogramDataPoint.Buckets", [
  [1, "offset", "sint32"],
  [2, "bucket_counts", "uint64", MANY],
]);
const exponentialDataPoint = message("ExponentialHistogramDataPoint", [
  [1, "attributes", () => keyValue, MANY],
  [2, "start_time_unix_nano", "fixed64"],
  [3, "time_unix_nano", "fixed64"],
  [4, "count", "fixed64"],
  [5, "sum", "double", PRESENT],
  [6, "scale", "sint32"],
  [7, "zero_count", "fixed64"],
  [8, "positive", () => buckets],
  [9, "negative", () => buckets],
  [10, "flags", "uint32"],
  [11, "exemplars", () => exemplar, MANY],
  [12, "min", "double", PRESENT],
  [13, "max", "double", PRESENT],
  [14, "zero_threshold", "double"],
]);
const valueAtQuantile = message("SummaryDataPoint.ValueAtQuantile", [
  [1, "quantile", "double"],
  [2, "value", "double"],
]);
const summaryDataPoint = message("SummaryDataPoint", [
  [2, "start_time_unix_nano", "fixed64"],
  [3, "time_unix_nano", "fixed64"],
  [4, "count", "fixed64"],
  [5, "sum", "double"],
  [6, "quantile_values", () => valueAtQuantile, MANY],
  [7, "attributes", () => keyValue, MANY],
  [8, "flags", "uint32"],
]);
const gauge = message("Gauge", [[1, "data_points", () => numberDataPoint, MANY]]);
const sum = message("Sum", [
  [1, "data_points", () => numberDataPoint, MANY],
  [2, "aggregation_temporality", "enum", { values: TEMPORALITIES }],
  [3, "is_monotonic", "bool"],
]);
const histogram = message("Histogram", [
  [1, "data_points", () => histogramDataPoint, MANY],
  [2, "aggregation_temporality", "enum", { values: TEMPORALITIES }],
]);
const exponentialHistogram = message("ExponentialHistogram", [
  [1, "data_points", () => exponentialDataPoint, MANY],
  [2, "aggregation_temporality", "enum", { values: TEMPORALITIES }],
]);
const summary = message("Summary", [[1, "data_points", () => summaryDataPoint, MANY]]);
const metric = message("Metric", [
  [1, "name", "string"],
  [2, "description", "string"],
  [3, "unit", "string"],
  [5, "gauge", () => gauge],
  [7, "sum", () => sum],
  [9, "histogram", () => histogram],
  [10, "exponential_histogram", () => exponentialHistogram],
  [11, "summary", () => summary],
  [12, "metadata", () => keyValue, MANY],
]);

/** The Metric fields that hold data points, each in a field 1. */
export const METRIC_DATA_FIELDS: readonly number[] = [5, 7, 9, 10, 11];

const all = [anyValue, arrayValue, keyValueList, keyValue, entityRef, resource, scope, spanEvent, spanLink, spanStatus];
all.push(span, logRecord, exemplar, numberDataPoint, histogramDataPoint, buckets, exponentialDataPoint);
all.push(valueAtQuantile, summaryDataPoint, gauge, sum, histogram, exponentialHistogram, summary, metric);

function request(name: string, items: string, item: OtlpMessage): OtlpMessage {
  const scopeItems = message(`Scope${name}`, [
    [1, "scope", () => scope],
    [2, items, () => item, MANY],
    [3, "schema_url", "string"],
  ]);
  const suffix = name.toLowerCase();
  const resourceItems = message(`Resource${name}`, [
    [1, "resource", () => resource],
    [2, `scope_${suffix}`, () => scopeItems, MANY],
    [3, "schema_url", "string"],
  ]);
  const top = message(`Export${name}ServiceRequest`, [[1, `resource_${suffix}`, () => resourceItems, MANY]]);
  all.push(scopeItems, resourceItems, top);
  return top;
}

/** The request messages; each is resource groups of scope groups of items, under the same field numbers. */
export const REQUESTS: Readonly<Record<OtlpKind, OtlpMessage>> = {
  traces: request("Spans", "spans", span),
  metrics: request("Metrics", "metrics", metric),
  logs: request("Logs", "log_records", logRecord),
};
for (const each of all) each.link();

/** What one repeats in a scope group: spans, metrics or log records. */
export const ENTRY_MESSAGES: Readonly<Record<OtlpKind, OtlpMessage>> = {
  traces: span,
  metrics: metric,
  logs: logRecord,
};

/** How deep messages may nest (attribute values contain values): the limit that protobuf's own readers have. */
export const MAX_NESTING = 100;
