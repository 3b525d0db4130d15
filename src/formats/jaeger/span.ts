import { EVENT, LINK, SPAN, SPAN_KIND, STATUS, STATUS_CODE } from "../otlp/fields.ts";
import { ProtoWriter } from "../protobuf.ts";
import { JaegerTags, TAG } from "./tags.ts";

/** How spans refer to others. */
export const REFERENCE = { childOf: 0, followsFrom: 1 } as const;
/** The values of `opentracing.ref_type`. */
export const CHILD_OF = "child_of";
const FOLLOWS_FROM = "follows_from";
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const REFERENCE_BYTES = TRACE_ID_BYTES + SPAN_ID_BYTES;
const SAMPLED = 1;
const TWO_32 = 2 ** 32;
const INTEGER = /^[+-]?\d+$/;

/** The values of `span.kind`. */
export const KINDS: ReadonlyMap<string, number> = new Map([
  ["client", SPAN_KIND.client],
  ["server", SPAN_KIND.server],
  ["producer", SPAN_KIND.producer],
  ["consumer", SPAN_KIND.consumer],
  ["internal", SPAN_KIND.internal],
]);

/**
 * One span of Jaeger on its way to OTLP: filled by a reader, written, and used again for the next one. Equals
 * pkg/translator/jaeger of the Collector.
 */
export class JaegerSpan {
  readonly traceId: Buffer = Buffer.alloc(TRACE_ID_BYTES);
  readonly spanId: Buffer = Buffer.alloc(SPAN_ID_BYTES);
  /** As the thrift format says it; zero where references are to tell. */
  readonly parentId: Buffer = Buffer.alloc(SPAN_ID_BYTES);
  flags = 0;
  /** Where the operation's name is in the message. */
  nameFrom = 0;
  nameTo = 0;
  /** Unix nanoseconds in halves, and the duration in nanoseconds. */
  startLow = 0;
  startHigh = 0;
  durationLow = 0;
  durationHigh = 0;
  /** Anything beside default values is there: spans without are left out. */
  filled = false;
  readonly tags = new JaegerTags();
  /** The events, written as fields of the span already. */
  readonly events = new ProtoWriter();
  readonly #logTags = new JaegerTags();
  #references = 0;
  #referenceIds: Buffer = Buffer.alloc(4 * REFERENCE_BYTES);
  #referenceTypes: Int32Array = new Int32Array(4);
  #bytes: Buffer = Buffer.alloc(0);

  /** Begins another span of this message. */
  reset(bytes: Buffer): void {
    this.#bytes = bytes;
    clear(this.traceId);
    clear(this.spanId);
    clear(this.parentId);
    this.flags = this.nameFrom = this.nameTo = 0;
    this.startLow = this.startHigh = this.durationLow = this.durationHigh = 0;
    this.filled = false;
    this.tags.reset(bytes);
    this.events.reset();
    this.#references = 0;
  }

  /** Sets the start and the duration from microseconds in halves; what is beyond 64 bits is lost, as in Go. */
  setStartMicros(low: number, high: number): void {
    const product = low * 1000;
    this.startLow = product >>> 0;
    this.startHigh = nanosHigh(product, high);
  }
  setDurationMicros(low: number, high: number): void {
    const product = low * 1000;
    this.durationLow = product >>> 0;
    this.durationHigh = nanosHigh(product, high);
  }

  clearReferences(): void {
    this.#references = 0;
  }
  /** Adds a reference; returns where its 16 bytes of trace id and 8 of span id go, zero so far. */
  addReference(type: number): Buffer {
    const at = this.#references++;
    if (at === this.#referenceTypes.length) {
      const types = new Int32Array(at * 2);
      types.set(this.#referenceTypes);
      this.#referenceTypes = types;
      this.#referenceIds = Buffer.concat([this.#referenceIds, Buffer.alloc(at * REFERENCE_BYTES)]);
    }
    this.#referenceTypes[at] = type;
    return this.#referenceIds.subarray(at * REFERENCE_BYTES, (at + 1) * REFERENCE_BYTES).fill(0);
  }

  /** The tags for the next event, empty. */
  beginEvent(): JaegerTags {
    this.#logTags.reset(this.#bytes);
    return this.#logTags;
  }
  /** Writes the event whose tags were filled; its time is in Unix nanoseconds. */
  endEvent(timeLow: number, timeHigh: number): void {
    const writer = this.events;
    const tags = this.#logTags;
    const mark = writer.begin(SPAN.events);
    if ((timeLow | timeHigh) !== 0) writer.fixed64(EVENT.time, timeLow, timeHigh);
    const name = tags.find("event");
    if (name >= 0) {
      writeText(writer, EVENT.name, tags, name);
      tags.remove(name);
    }
    tags.write(writer, EVENT.attributes);
    writer.end(mark);
  }

  /** Writes the span as a Span of OTLP, without tag and length. Only once, since tags are taken out. */
  write(writer: ProtoWriter, hasTraceState: boolean): void {
    const { tags } = this;
    writeId(writer, SPAN.traceId, this.traceId);
    writeId(writer, SPAN.spanId, this.spanId);
    const parent = this.#parent();
    if (parent !== undefined) writeId(writer, SPAN.parentSpanId, parent);
    if (this.nameTo > this.nameFrom) writer.bytes(SPAN.name, this.#bytes, this.nameFrom, this.nameTo);
    const kind = this.#takeKind();
    if (kind !== 0) writer.int32(SPAN.kind, kind);
    const { startLow, startHigh } = this;
    if ((startLow | startHigh) !== 0) writer.fixed64(SPAN.start, startLow, startHigh);
    const endLow = startLow + this.durationLow;
    const endHigh = startHigh + this.durationHigh + (endLow >= TWO_32 ? 1 : 0);
    if ((endLow | endHigh) !== 0) writer.fixed64(SPAN.end, endLow, endHigh);
    this.#writeStatus(writer, kind);
    const state = hasTraceState ? tags.find("w3c.tracestate") : -1;
    if (state >= 0) {
      writeText(writer, SPAN.traceState, tags, state);
      tags.remove(state);
    }
    tags.write(writer, SPAN.attributes);
    if (this.events.length > 0) writer.raw(this.events.view());
    this.#writeLinks(writer, parent);
    if ((this.flags & SAMPLED) !== 0) writer.fixed32(SPAN.flags, SAMPLED);
  }

  /** The id of the parent; undefined for none. */
  #parent(): Buffer | undefined {
    if (!isZero(this.parentId)) return this.parentId;
    let follows: Buffer | undefined;
    for (let i = 0; i < this.#references; i++) {
      const at = i * REFERENCE_BYTES;
      const ids = this.#referenceIds;
      if (this.traceId.compare(ids, at, at + TRACE_ID_BYTES) !== 0) continue;
      const id = ids.subarray(at + TRACE_ID_BYTES, at + REFERENCE_BYTES);
      if (this.#referenceTypes[i] === REFERENCE.childOf) return isZero(id) ? undefined : id;
      if (this.#referenceTypes[i] === REFERENCE.followsFrom) follows ??= id;
    }
    return follows === undefined || isZero(follows) ? undefined : follows;
  }

  #takeKind(): number {
    const at = this.tags.find("span.kind");
    if (at < 0) return 0;
    const kind = KINDS.get(this.tags.textAt(at)) ?? SPAN_KIND.unspecified;
    this.tags.remove(at);
    return kind;
  }

  /** setInternalSpanStatus: a true `error` wins, then `otel.status_code`, then the status code of HTTP. */
  #writeStatus(writer: ProtoWriter, kind: number): void {
    const { tags } = this;
    let code: number = STATUS_CODE.unset;
    let message = "";
    const error = tags.find("error");
    const failed = error >= 0 && tags.typeAt(error) === TAG.bool && tags.lowAt(error) !== 0;
    if (failed) {
      code = STATUS_CODE.error;
      tags.remove(error);
      message = this.#takeDescription() ?? this.#httpMessage();
    }
    const told = tags.find("otel.status_code");
    if (told >= 0) {
      if (!failed) {
        const text = tags.textAt(told).toUpperCase();
        if (text === "OK") code = STATUS_CODE.ok;
        else if (text === "ERROR") code = STATUS_CODE.error;
        message = this.#takeDescription() ?? "";
      }
      tags.remove(told);
    } else if (!failed) {
      code = this.#httpStatus(kind);
      if (code !== STATUS_CODE.unset) message = this.#httpMessage();
    }
    if (code === STATUS_CODE.unset && message === "") return;
    const mark = writer.begin(SPAN.status);
    if (message !== "") writer.string(STATUS.message, message);
    if (code !== STATUS_CODE.unset) writer.int32(STATUS.code, code);
    writer.end(mark);
  }

  #takeDescription(): string | undefined {
    const at = this.tags.find("otel.status_description");
    if (at < 0) return undefined;
    const text = this.tags.textAt(at);
    this.tags.remove(at);
    return text;
  }
  #httpMessage(): string {
    const at = this.tags.find("http.status_message");
    return at < 0 ? "" : this.tags.textAt(at);
  }
  #httpStatus(kind: number): number {
    const { tags } = this;
    const at = tags.find("http.status_code");
    if (at < 0) return STATUS_CODE.unset;
    let status: number;
    if (tags.typeAt(at) === TAG.int) status = tags.highAt(at) * TWO_32 + (tags.lowAt(at) >>> 0);
    else {
      const text = tags.textAt(at);
      status = Number(text);
      if (!INTEGER.test(text) || Math.abs(status) >= 2 ** 63) return STATUS_CODE.unset;
    }
    if (kind === SPAN_KIND.server && status >= 400 && status < 500) return STATUS_CODE.unset;
    // 399 is an error to the Collector's tracetranslator.
    return status >= 100 && status < 399 ? STATUS_CODE.unset : STATUS_CODE.error;
  }

  #writeLinks(writer: ProtoWriter, parent: Buffer | undefined): void {
    for (let i = 0; i < this.#references; i++) {
      const at = i * REFERENCE_BYTES;
      const ids = this.#referenceIds.subarray(at, at + REFERENCE_BYTES);
      const spanId = ids.subarray(TRACE_ID_BYTES);
      const child = this.#referenceTypes[i] === REFERENCE.childOf;
      if (child && (parent === undefined ? isZero(spanId) : parent.equals(spanId))) continue;
      const mark = writer.begin(SPAN.links);
      writeId(writer, LINK.traceId, ids.subarray(0, TRACE_ID_BYTES));
      writeId(writer, LINK.spanId, spanId);
      const attribute = writer.begin(LINK.attributes);
      writer.string(1, "opentracing.ref_type");
      const value = writer.begin(2);
      writer.string(TAG.string, child ? CHILD_OF : FOLLOWS_FROM);
      writer.end(value);
      writer.end(attribute);
      writer.end(mark);
    }
  }
}

/** The high half of microseconds times 1000; `product` is that of the low half. */
export function nanosHigh(product: number, high: number): number {
  return (Math.imul(high, 1000) + Math.floor(product / TWO_32)) | 0;
}

/** Writes what a process says as attributes of a resource; its tags are used up. */
export function writeJaegerResource(writer: ProtoWriter, field: number, tags: JaegerTags): void {
  const host = tags.find("hostname");
  if (host >= 0 && tags.find("host.name") < 0) tags.rename(host, "host.name");
  const version = tags.find("jaeger.version");
  if (version >= 0 && tags.find("opencensus.exporterversion") < 0) {
    const attribute = writer.begin(field);
    writer.string(1, "opencensus.exporterversion");
    const value = writer.begin(2);
    writer.string(TAG.string, `Jaeger-${tags.textAt(version)}`);
    writer.end(value);
    writer.end(attribute);
    tags.remove(version);
  }
  tags.write(writer, field);
}

/** An id that is all zeros is none. */
export function writeId(writer: ProtoWriter, field: number, id: Buffer): void {
  if (!isZero(id)) writer.bytes(field, id);
}

/** So few bytes are faster without a call. */
function clear(id: Buffer): void {
  for (let i = 0; i < id.length; i++) id[i] = 0;
}

/** Whether an id is none. */
export function isZero(id: Buffer): boolean {
  for (let i = 0; i < id.length; i++) if (id[i] !== 0) return false;
  return true;
}

function writeText(writer: ProtoWriter, field: number, tags: JaegerTags, at: number): void {
  if (tags.typeAt(at) === TAG.unknown) writer.string(field, tags.textAt(at));
  if (tags.typeAt(at) !== TAG.string) return;
  if (tags.highAt(at) > tags.lowAt(at)) writer.bytes(field, tags.bytes, tags.lowAt(at), tags.highAt(at));
}
