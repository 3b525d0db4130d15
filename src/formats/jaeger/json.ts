import { htmlJson } from "../otlp/value-text.ts";
import { asBuffer, ProtoReader } from "../protobuf.ts";
import { JAEGER_KEY_VALUE, JAEGER_LOG, JAEGER_PROCESS, JAEGER_REFERENCE, JAEGER_SPAN, JAEGER_TIME } from "./model.ts";

/**
 * Messages of Jaeger's model in JSON, byte for byte as github.com/gogo/protobuf/jsonpb writes them: ids in base64, enums by
 * name, 64-bit numbers as texts. They are read from the protobuf that JaegerEncoder writes: fields in their order, those
 * of a list one after the other.
 */

/** Reads the value of the field at hand and gives its text; "" for what is left out. */
type Value = (reader: ProtoReader) => string;
interface Field {
  readonly name: string;
  readonly value: Value;
  readonly repeated?: boolean;
  /** A list that is shown without members too. */
  readonly always?: boolean;
}
type Fields = readonly (Field | undefined)[];

const TYPE_NAMES = ["STRING", "BOOL", "INT64", "FLOAT64", "BINARY"];
const REFERENCE_NAMES = ["CHILD_OF", "FOLLOWS_FROM"];
const ZERO_SPAN_ID = `"${Buffer.alloc(8).toString("base64")}"`;

/** The text of a Span without a process, with that of its process. */
export function jaegerSpanJson(span: Uint8Array, process: string): string {
  return `${objectText(new ProtoReader(span), SPAN).slice(0, -1)},"process":${process}}`;
}

/** The text of a Process. */
export function jaegerProcessJson(process: Uint8Array): string {
  return objectText(new ProtoReader(process), PROCESS);
}

function fieldsOf<N extends string>(
  numbers: Readonly<Record<N, number>>,
  fields: Readonly<Partial<Record<N, Field>>>,
): Fields {
  const list: (Field | undefined)[] = [];
  for (const name in fields) list[numbers[name]] = fields[name];
  return list;
}

function objectText(reader: ProtoReader, fields: Fields): string {
  let text = "{";
  let open: Field | undefined;
  const close = () => (open?.repeated ? "]" : "");
  while (!reader.done) {
    const field = fields[reader.tag() >>> 3]!;
    const value = field.value(reader);
    if (value === "") continue;
    const separator = text === "{" ? "" : ",";
    if (field === open) text += `,${value}`;
    else text += `${close()}${separator}"${field.name}":${field.repeated ? "[" : ""}${value}`;
    open = field;
  }
  text += close();
  for (const field of fields) if (field?.always && field !== open) text += `,"${field.name}":[]`;
  return `${text}}`;
}

const message =
  (fields: Fields): Value =>
  (reader) => {
    const outer = reader.enter();
    const text = objectText(reader, fields);
    reader.leave(outer);
    return text;
  };
const base64: Value = (reader) => `"${asBuffer(reader.lengthDelimited()).toString("base64")}"`;
const string: Value = (reader) => htmlJson(reader.string());
const number: Value = (reader) => String(reader.int32());
const nameOf =
  (names: readonly string[]): Value =>
  (reader) =>
    `"${names[reader.int32()]}"`;

const spanId: Value = (reader) => {
  const text = base64(reader);
  return text === ZERO_SPAN_ID ? "" : text;
};

const double: Value = (reader) => {
  const value = reader.double();
  return Number.isFinite(value) ? String(value) : `"${value}"`;
};

/** Seconds and nanoseconds of a Timestamp or Duration. */
function readSeconds(reader: ProtoReader): [number, number] {
  let seconds = 0;
  let nanos = 0;
  const outer = reader.enter();
  while (!reader.done) {
    if (reader.tag() >>> 3 === JAEGER_TIME.seconds) seconds = reader.int64Number();
    else nanos = reader.int32();
  }
  reader.leave(outer);
  return [seconds, nanos];
}

/** None, three, six or nine digits. */
function fraction(nanos: number): string {
  if (nanos === 0) return "";
  return `.${String(Math.abs(nanos)).padStart(9, "0")}`.replace(/(000){1,2}$/, "");
}

const time: Value = (reader) => {
  const [seconds, nanos] = readSeconds(reader);
  return `"${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction(nanos)}Z"`;
};

const duration: Value = (reader) => {
  const [seconds, nanos] = readSeconds(reader);
  if (seconds === 0 && nanos === 0) return "";
  const sign = seconds < 0 || nanos < 0 ? "-" : "";
  return `"${sign}${Math.abs(seconds)}${fraction(nanos)}s"`;
};

const KEY_VALUE = message(
  fieldsOf(JAEGER_KEY_VALUE, {
    key: { name: "key", value: string },
    type: { name: "vType", value: nameOf(TYPE_NAMES) },
    string: { name: "vStr", value: string },
    bool: { name: "vBool", value: (reader) => String(reader.bool()) },
    int: { name: "vInt64", value: (reader) => `"${reader.int64()}"` },
    double: { name: "vFloat64", value: double },
    binary: { name: "vBinary", value: base64 },
  }),
);
const PROCESS = fieldsOf(JAEGER_PROCESS, {
  serviceName: { name: "serviceName", value: string },
  tags: { name: "tags", value: KEY_VALUE, repeated: true },
});
const REFERENCE = fieldsOf(JAEGER_REFERENCE, {
  traceId: { name: "traceId", value: base64 },
  spanId: { name: "spanId", value: spanId },
  type: { name: "refType", value: nameOf(REFERENCE_NAMES) },
});
const LOG = fieldsOf(JAEGER_LOG, {
  timestamp: { name: "timestamp", value: time },
  fields: { name: "fields", value: KEY_VALUE, repeated: true, always: true },
});
const SPAN = fieldsOf(JAEGER_SPAN, {
  traceId: { name: "traceId", value: base64 },
  spanId: { name: "spanId", value: spanId },
  operationName: { name: "operationName", value: string },
  references: { name: "references", value: message(REFERENCE), repeated: true },
  flags: { name: "flags", value: number },
  startTime: { name: "startTime", value: time },
  duration: { name: "duration", value: duration },
  tags: { name: "tags", value: KEY_VALUE, repeated: true },
  logs: { name: "logs", value: message(LOG), repeated: true },
});
