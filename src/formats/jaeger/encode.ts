import { SPAN_KIND, STATUS_CODE } from "../otlp/fields.ts";
import { ProtoWriter } from "../protobuf.ts";
import { AttributeView, EventView, HOLDS, LinkView, type Ranges, TraceView } from "../trace-view.ts";
import { jaegerProcessJson, jaegerSpanJson } from "./json.ts";
import { JAEGER_KEY_VALUE, JAEGER_LOG, JAEGER_PROCESS, JAEGER_REFERENCE, JAEGER_SPAN, JAEGER_TIME } from "./model.ts";
import { CHILD_OF, isZero, KINDS, REFERENCE } from "./span.ts";
import { KNOWN_KEYS, knownKey, NO_SERVICE, TAG_TYPES } from "./tags.ts";

/** A Span of protobuf, or the same in JSON as jsonpb writes it. */
export type JaegerFormat = "proto" | "json";
/** Takes a span and the text of its trace id: 32 hexadecimal digits, or 16 if the others are zeros. */
export type JaegerSink = (traceId: string, span: Uint8Array) => void;

const [SERVICE_NAME, EVENT_NAME, REF_TYPE, RESPONSE_STATUS] = (
  ["service.name", "event", "opentracing.ref_type", "http.response.status_code"] as const
).map((key) => KNOWN_KEYS.indexOf(key)) as [number, number, number, number];
const STATUS_KEY = Buffer.from("http.status_code");
const CHILD_OF_BYTES = Buffer.from(CHILD_OF);
const KIND_NAMES: ReadonlyMap<number, string> = new Map([...KINDS].map(([name, kind]) => [kind, name]));
/** The types of tags, by what an attribute holds. Lists and maps become texts. */
const TYPES: readonly number[] = Object.values(HOLDS).map((holds) => Math.max(0, TAG_TYPES.indexOf(holds)));
const BOOL_TYPE = TYPES[HOLDS.bool]!;
const SAMPLED = 1;
const BILLION = 1_000_000_000;
const TWO_32 = 2 ** 32;
const NOTHING = new Uint8Array(0);
const MAX_INT64 = 2n ** 63n - 1n;
/** A buffer that grew beyond this is not kept. */
const LARGEST_KEPT = 1 << 20;

/**
 * Spans of OTLP as Jaeger's model has them (model.proto of jaeger-idl), each with its process: as ProtoFromTraces of
 * pkg/translator/jaeger makes them with its feature gates at their defaults, and the marshalers of the Collector's
 * kafkaexporter write them. One is used again for many requests.
 */
export class JaegerEncoder {
  readonly #trace = new TraceView();
  readonly #attribute = new AttributeView(this.#trace);
  readonly #event = new EventView(this.#trace);
  readonly #link = new LinkView(this.#trace);
  #writer = new ProtoWriter(4096);

  /** Hands each span to `sink`. Throws ProtobufError for what is no request, before any span. */
  encode(request: Uint8Array, format: JaegerFormat, sink: JaegerSink): void {
    if (format === "json") this.#encodeJson(request, sink);
    else this.#encodeProto(request, sink);
    if (this.#writer.length > LARGEST_KEPT) this.#writer = new ProtoWriter(4096);
  }

  /** All spans are in one buffer, of which each is a part: buffers of their own would take longer than writing them. */
  #encodeProto(request: Uint8Array, sink: JaegerSink): void {
    const writer = this.#writer;
    let process: Uint8Array = NOTHING;
    const traceIds: string[] = [];
    const ends: number[] = [];
    writer.reset();
    this.#trace.visit(request, {
      resource: () => {
        process = this.#encodeProcess();
      },
      scope: () => {},
      span: () => {
        this.#writeSpan(writer);
        writer.bytes(JAEGER_SPAN.process, process);
        traceIds.push(traceIdText(this.#trace.span.traceId));
        ends.push(writer.length);
      },
    });
    const spans = writer.finish();
    for (const [i, traceId] of traceIds.entries()) sink(traceId, spans.subarray(i === 0 ? 0 : ends[i - 1], ends[i]));
  }

  #encodeJson(request: Uint8Array, sink: JaegerSink): void {
    const writer = this.#writer;
    let process = "";
    this.#trace.visit(request, {
      resource: () => {
        process = jaegerProcessJson(this.#encodeProcess());
      },
      scope: () => {},
      span: () => {
        writer.reset();
        this.#writeSpan(writer);
        sink(traceIdText(this.#trace.span.traceId), Buffer.from(jaegerSpanJson(writer.view(), process)));
      },
    });
  }

  #encodeProcess(): Uint8Array {
    const { resourceAttributes: attributes, bytes } = this.#trace;
    const writer = new ProtoWriter(1024);
    const name = this.#find(attributes, SERVICE_NAME);
    if (attributes.count === 0) writer.string(JAEGER_PROCESS.serviceName, NO_SERVICE);
    else if (name !== undefined && name.holds === HOLDS.string && name.high > name.low) {
      writer.bytes(JAEGER_PROCESS.serviceName, bytes, name.low, name.high);
    }
    for (let i = 0; i < attributes.count; i++) {
      const attribute = this.#read(attributes, i);
      if (this.#keyOf(attribute) !== SERVICE_NAME) {
        this.#writeTag(writer, JAEGER_PROCESS.tags, attribute, undefined);
      }
    }
    return writer.finish();
  }

  #writeSpan(writer: ProtoWriter): void {
    const { span, bytes } = this.#trace;
    writer.bytes(JAEGER_SPAN.traceId, span.traceId);
    writer.bytes(JAEGER_SPAN.spanId, span.spanId);
    if (!span.name.isEmpty) writer.bytes(JAEGER_SPAN.operationName, bytes, span.name.from, span.name.to);
    this.#writeReferences(writer);
    if ((span.flags & SAMPLED) !== 0) writer.uint32(JAEGER_SPAN.flags, SAMPLED);
    writeTime(writer, JAEGER_SPAN.startTime, span.startLow, span.startHigh);
    this.#writeDuration(writer);
    this.#writeTags(writer);
    for (let i = 0; i < span.events.count; i++) {
      this.#event.read(span.events.from(i), span.events.to(i));
      this.#writeLog(writer);
    }
  }

  /** The parent comes first, since backends look for it there, with the type that a link to it has. */
  #writeReferences(writer: ProtoWriter): void {
    const { parentId, traceId, links } = this.#trace.span;
    const link = this.#link;
    const hasParent = !isZero(parentId);
    const isParent = () => hasParent && link.spanId.equals(parentId) && link.traceId.equals(traceId);
    if (hasParent) {
      let type: number = REFERENCE.childOf;
      for (let i = 0; i < links.count; i++) {
        link.read(links.from(i), links.to(i));
        if (isParent()) type = this.#referenceType();
      }
      writeReference(writer, traceId, parentId, type);
    }
    for (let i = 0; i < links.count; i++) {
      link.read(links.from(i), links.to(i));
      if (!isParent()) writeReference(writer, link.traceId, link.spanId, this.#referenceType());
    }
  }
  #referenceType(): number {
    const found = this.#find(this.#link.attributes, REF_TYPE);
    if (found === undefined || found.holds !== HOLDS.string) return REFERENCE.followsFrom;
    const isChild = CHILD_OF_BYTES.compare(this.#trace.bytes, found.low, found.high) === 0;
    return isChild ? REFERENCE.childOf : REFERENCE.followsFrom;
  }

  #writeDuration(writer: ProtoWriter): void {
    const { startLow, startHigh, endLow, endHigh } = this.#trace.span;
    const mark = writer.begin(JAEGER_SPAN.duration);
    const nanos = ((endHigh | 0) - (startHigh | 0)) * TWO_32 + (endLow - startLow);
    if (Number.isSafeInteger(nanos)) writeSeconds(writer, Math.trunc(nanos / BILLION), nanos % BILLION);
    else {
      // As time.Time.Sub, which gives the longest duration for what is longer.
      const exact = int64(endLow, endHigh) - int64(startLow, startHigh);
      const fitting = exact > MAX_INT64 ? MAX_INT64 : exact < -MAX_INT64 - 1n ? -MAX_INT64 - 1n : exact;
      writeSeconds(writer, Number(fitting / BigInt(BILLION)), Number(fitting % BigInt(BILLION)));
    }
    writer.end(mark);
  }

  #writeTags(writer: ProtoWriter): void {
    const { span, bytes, scopeName, scopeVersion } = this.#trace;
    const field = JAEGER_SPAN.tags;
    if (!scopeName.isEmpty) writeText(writer, field, "otel.scope.name", scopeName.text(bytes));
    if (!scopeVersion.isEmpty) writeText(writer, field, "otel.scope.version", scopeVersion.text(bytes));
    this.#writeAttributes(writer, field, span.attributes);
    const kind = span.kind === SPAN_KIND.unspecified ? undefined : KIND_NAMES.get(span.kind);
    if (kind !== undefined) writeText(writer, field, "span.kind", kind);
    if (span.statusCode === STATUS_CODE.ok) writeText(writer, field, "otel.status_code", "OK");
    if (span.statusCode === STATUS_CODE.error) {
      writeText(writer, field, "otel.status_code", "ERROR");
      const mark = writer.begin(field);
      writer.string(JAEGER_KEY_VALUE.key, "error");
      writer.int32(JAEGER_KEY_VALUE.type, BOOL_TYPE);
      writer.bool(JAEGER_KEY_VALUE.bool, true);
      writer.end(mark);
    }
    const { statusMessage, state } = span;
    if (!statusMessage.isEmpty) writeText(writer, field, "otel.status_description", statusMessage.text(bytes));
    if (!state.isEmpty) writeText(writer, field, "w3c.tracestate", state.text(bytes));
  }

  #writeLog(writer: ProtoWriter): void {
    const { name, attributes, timeLow, timeHigh } = this.#event;
    const mark = writer.begin(JAEGER_SPAN.logs);
    writeTime(writer, JAEGER_LOG.timestamp, timeLow, timeHigh);
    if (!name.isEmpty && this.#find(attributes, EVENT_NAME) === undefined) {
      writeText(writer, JAEGER_LOG.fields, "event", name.text(this.#trace.bytes));
    }
    this.#writeAttributes(writer, JAEGER_LOG.fields, attributes);
    writer.end(mark);
  }

  #writeAttributes(writer: ProtoWriter, field: number, attributes: Ranges): void {
    for (let i = 0; i < attributes.count; i++) {
      const attribute = this.#read(attributes, i);
      // Both names of the status come out as the older one, as long as the feature gates are as they are.
      const isStatus = this.#keyOf(attribute) === RESPONSE_STATUS;
      this.#writeTag(writer, field, attribute, isStatus ? STATUS_KEY : undefined);
    }
  }

  /** Writes a tag; `other` is a key in the place of the attribute's. */
  #writeTag(writer: ProtoWriter, field: number, attribute: AttributeView, other: Buffer | undefined): void {
    const { bytes } = this.#trace;
    const { key, holds, low, high } = attribute;
    const mark = writer.begin(field);
    if (other !== undefined) writer.bytes(JAEGER_KEY_VALUE.key, other);
    else if (!key.isEmpty) writer.bytes(JAEGER_KEY_VALUE.key, bytes, key.from, key.to);
    const type = TYPES[holds]!;
    if (type !== 0) writer.int32(JAEGER_KEY_VALUE.type, type);
    switch (holds) {
      case HOLDS.string:
        if (high > low) writer.bytes(JAEGER_KEY_VALUE.string, bytes, low, high);
        break;
      case HOLDS.bool:
        if (low !== 0) writer.bool(JAEGER_KEY_VALUE.bool, true);
        break;
      case HOLDS.int:
        if ((low | high) !== 0) {
          writer.tag(JAEGER_KEY_VALUE.int, 0);
          writer.rawVarint64(low, high);
        }
        break;
      case HOLDS.double:
        // Minus zero equals zero.
        if ((low | (high & 0x7fffffff)) !== 0) writer.fixed64(JAEGER_KEY_VALUE.double, low, high);
        break;
      case HOLDS.bytes:
        if (high > low) writer.bytes(JAEGER_KEY_VALUE.binary, bytes, low, high);
        break;
      case HOLDS.list:
      case HOLDS.map: {
        const text = attribute.text();
        if (text !== "") writer.string(JAEGER_KEY_VALUE.string, text);
      }
    }
    writer.end(mark);
  }

  /** Attribute i, until the next is read. */
  #read(attributes: Ranges, i: number): AttributeView {
    this.#attribute.read(attributes.from(i), attributes.to(i));
    return this.#attribute;
  }
  /** The first attribute with this key, by its index in `KNOWN_KEYS`. */
  #find(attributes: Ranges, key: number): AttributeView | undefined {
    for (let i = 0; i < attributes.count; i++) {
      const attribute = this.#read(attributes, i);
      if (this.#keyOf(attribute) === key) return attribute;
    }
    return undefined;
  }
  #keyOf({ key }: AttributeView): number {
    return knownKey(this.#trace.bytes, key.from, key.to);
  }
}

/** Without the upper half if that is zero. */
export function traceIdText(id: Buffer): string {
  for (let i = 0; i < 8; i++) if (id[i] !== 0) return id.toString("hex");
  return id.toString("hex", 8);
}

function writeText(writer: ProtoWriter, field: number, key: string, text: string): void {
  const mark = writer.begin(field);
  writer.string(JAEGER_KEY_VALUE.key, key);
  writer.string(JAEGER_KEY_VALUE.string, text);
  writer.end(mark);
}

function writeReference(writer: ProtoWriter, traceId: Buffer, spanId: Buffer, type: number): void {
  const mark = writer.begin(JAEGER_SPAN.references);
  writer.bytes(JAEGER_REFERENCE.traceId, traceId);
  writer.bytes(JAEGER_REFERENCE.spanId, spanId);
  if (type !== 0) writer.int32(JAEGER_REFERENCE.type, type);
  writer.end(mark);
}

/** A Timestamp of nanoseconds in halves, signed as time.Unix takes them. */
function writeTime(writer: ProtoWriter, field: number, low: number, high: number): void {
  const mark = writer.begin(field);
  if (high < 2 ** 31) {
    // In steps of 16 bits, so that nothing is beyond 2^53.
    const upper = (high % BILLION) * 0x10000 + (low >>> 16);
    const lower = (upper % BILLION) * 0x10000 + (low & 0xffff);
    const seconds = Math.floor(high / BILLION) * TWO_32 + Math.floor(upper / BILLION) * 0x10000;
    writeSeconds(writer, seconds + Math.floor(lower / BILLION), lower % BILLION);
  } else {
    const nanos = int64(low, high);
    const rest = Number(((nanos % BigInt(BILLION)) + BigInt(BILLION)) % BigInt(BILLION));
    writeSeconds(writer, Number((nanos - BigInt(rest)) / BigInt(BILLION)), rest);
  }
  writer.end(mark);
}

function writeSeconds(writer: ProtoWriter, seconds: number, nanos: number): void {
  if (seconds !== 0) writer.int64(JAEGER_TIME.seconds, seconds);
  if (nanos !== 0) writer.int32(JAEGER_TIME.nanos, nanos);
}

function int64(low: number, high: number): bigint {
  return (BigInt(high | 0) << 32n) + BigInt(low);
}
