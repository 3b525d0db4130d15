import { RESOURCE, SCOPE } from "../otlp/fields.ts";
import { asBuffer, ProtobufError, ProtoReader, ProtoWriter } from "../protobuf.ts";
import { SpanGroups } from "../span-groups.ts";
import { JaegerSpan, REFERENCE, writeJaegerResource } from "./span.ts";
import { JaegerTag, JaegerTags, KNOWN_KEYS, knownKey, NO_SERVICE, TAG, TAG_TYPES } from "./tags.ts";

/** Memory that was needed for a message of more than this is not kept. */
const LARGE_BYTES = 1 << 20;
const NOTHING = new Uint8Array(0);
const SCOPE_NAME = KNOWN_KEYS.indexOf("otel.scope.name");
const SCOPE_VERSION = KNOWN_KEYS.indexOf("otel.scope.version");

const TWO_32 = 2 ** 32;
const BILLION = 1_000_000_000;
/** Go's time.Time without a value, in seconds from 1970. */
const ZERO_TIME_SECONDS = -62_135_596_800;
const MAX_TIME_SECONDS = 253_402_300_800;
const MAX_DURATION_SECONDS = 315_576_000_000;
/** Beyond so many seconds a duration does not fit into 64 bits of nanoseconds. */
const MAX_GO_SECONDS = 9_223_372_036;

/**
 * Turns requests of Jaeger's CollectorService.PostSpans (api_v2 of jaeger-idl) into requests of OTLP, as ProtoToTraces of
 * pkg/translator/jaeger does: ranges of the request are copied, nothing is built of it. Throws a ProtobufError.
 */
export class JaegerProtoDecoder {
  #span = new JaegerSpan();
  #groups = new SpanGroups();
  #process = new JaegerTags();
  readonly #tag = new JaegerTag();
  readonly #message = new ProtoWriter();
  #bytes: Buffer = Buffer.alloc(0);
  /** Where in the bytes the process of the whole batch is, in pieces that belong together, and that of a span. */
  readonly #batchProcess: number[] = [];
  readonly #spanProcess: number[] = [];
  #batchKey = "";
  /** Scope of the span at hand, as ranges; and a version that was set aside until its name is known. */
  #scopeFrom = 0;
  #scopeTo = 0;
  #hasScope = false;
  #versionFrom = 0;
  #versionTo = 0;
  #versionTag = -1;
  #versionTagEnd = 0;
  #timeLow = 0;
  #timeHigh = 0;

  request(request: Uint8Array): Uint8Array {
    this.#bytes = asBuffer(request);
    this.#groups.reset();
    this.#batchProcess.length = 0;
    try {
      const reader = new ProtoReader(this.#bytes);
      this.#eachBatch(reader, (tag) => this.#findProcess(reader, tag));
      reader.reset(this.#bytes);
      this.#batchKey = this.#group(this.#batchProcess);
      this.#eachBatch(reader, (tag) => {
        if (tag === 10) this.#readSpan(reader);
        else reader.skip(tag);
      });
      return this.#groups.finish();
    } finally {
      if (request.length > LARGE_BYTES) {
        this.#span = new JaegerSpan();
        this.#groups = new SpanGroups();
        this.#process = new JaegerTags();
      }
      this.#bytes = Buffer.alloc(0);
    }
  }

  /** Calls `visit` at each field of the batch, which may come in pieces. */
  #eachBatch(reader: ProtoReader, visit: (tag: number) => void): void {
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== 10) {
        skipUnknown(reader, tag, 1);
        continue;
      }
      const outer = reader.enter();
      while (!reader.done) visit(reader.tag());
      reader.leave(outer);
    }
  }

  #findProcess(reader: ProtoReader, tag: number): void {
    if (tag !== 18) {
      if (tag === 10) reader.skip(tag);
      else skipUnknown(reader, tag, 2);
      return;
    }
    const length = reader.length();
    this.#batchProcess.push(reader.position, reader.position + length);
    reader.position += length;
  }

  /** The group of a process, which is made if it is new. */
  #group(pieces: readonly number[]): string {
    const tags = this.#process;
    const bytes = this.#bytes;
    tags.reset(bytes);
    let nameFrom = 0;
    let nameTo = 0;
    for (let i = 0; i < pieces.length; i += 2) {
      const reader = new ProtoReader(bytes, pieces[i], pieces[i + 1]);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag === 10) {
          nameFrom = reader.length() + reader.position;
          [nameFrom, nameTo] = [reader.position, nameFrom];
          reader.position = nameTo;
        } else if (tag === 18) reader.skip(tag);
        else skipUnknown(reader, tag, 2);
      }
    }
    const ignored = bytes.toString("latin1", nameFrom, nameTo) === NO_SERVICE;
    if (nameTo > nameFrom && !ignored) tags.putKnown("service.name", TAG.string, nameFrom, nameTo);
    for (let i = 0; i < pieces.length; i += 2) {
      const reader = new ProtoReader(bytes, pieces[i], pieces[i + 1]);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag === 18) this.#readTag(reader, tags, false);
        else reader.skip(tag);
      }
    }
    if (ignored) tags.reset(bytes);
    const message = this.#message;
    message.reset();
    writeJaegerResource(message, RESOURCE.attributes, tags);
    const resource = message.finish();
    const key = Buffer.from(resource).toString("latin1");
    if (!this.#groups.hasGroup(key)) this.#groups.setGroup(key, resource);
    return key;
  }

  #readSpan(reader: ProtoReader): void {
    const span = this.#span;
    const bytes = this.#bytes;
    span.reset(bytes);
    this.#time(ZERO_TIME_SECONDS, 0);
    span.startLow = this.#timeLow;
    span.startHigh = this.#timeHigh;
    this.#spanProcess.length = 0;
    this.#hasScope = false;
    this.#scopeFrom = this.#scopeTo = this.#versionFrom = this.#versionTo = 0;
    this.#versionTag = -1;
    const outer = reader.enter();
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag) {
        case 10:
          if (readTraceId(reader, span.traceId)) span.filled = true;
          break;
        case 18:
          if (readSpanId(reader, span.spanId)) span.filled = true;
          break;
        case 26: {
          const length = reader.length();
          span.nameFrom = reader.position;
          span.nameTo = reader.position += length;
          if (length > 0) span.filled = true;
          break;
        }
        case 34:
          readReference(reader, span);
          span.filled = true;
          break;
        case 40:
          span.flags = reader.uint32();
          if (span.flags !== 0) span.filled = true;
          break;
        case 50:
          this.#readTimestamp(reader);
          span.startLow = this.#timeLow;
          span.startHigh = this.#timeHigh;
          span.filled = true;
          break;
        case 58:
          if (this.#readDuration(reader, span)) span.filled = true;
          break;
        case 66:
          this.#readTag(reader, span.tags, true);
          span.filled = true;
          break;
        case 74:
          this.#readLog(reader, span);
          span.filled = true;
          break;
        case 82: {
          const length = reader.length();
          this.#spanProcess.push(reader.position, reader.position + length);
          reader.position += length;
          span.filled = true;
          break;
        }
        case 90: {
          const length = reader.length();
          reader.position += length;
          if (length > 0) span.filled = true;
          break;
        }
        case 98:
          reader.skip(tag);
          span.filled = true;
          break;
        default:
          skipUnknown(reader, tag, 12);
          span.filled = true;
      }
    }
    reader.leave(outer);
    if (span.filled) this.#writeSpan();
  }

  #writeSpan(): void {
    const span = this.#span;
    const groups = this.#groups;
    const bytes = this.#bytes;
    const group = this.#spanProcess.length === 0 ? this.#batchKey : this.#group(this.#spanProcess);
    if (!this.#hasScope && this.#versionTag >= 0 && span.tags.find("otel.scope.version") < 0) {
      // A version alone says nothing of a scope: it is a tag like others, after all.
      this.#readTag(new ProtoReader(bytes, this.#versionTag, this.#versionTagEnd), span.tags, false);
    }
    let scope = "";
    if (this.#hasScope) {
      const name = bytes.toString("latin1", this.#scopeFrom, this.#scopeTo);
      scope = `${name.length}:${name}${bytes.toString("latin1", this.#versionFrom, this.#versionTo)}`;
      if (scope === "0:") scope = "";
    }
    if (!groups.hasScope(group, scope)) groups.addScope(group, scope, scope === "" ? NOTHING : this.#scope());
    groups.begin(group, scope);
    span.write(groups.writer, true);
    groups.end();
  }

  #scope(): Uint8Array {
    const message = this.#message;
    message.reset();
    if (this.#scopeTo > this.#scopeFrom) message.bytes(SCOPE.name, this.#bytes, this.#scopeFrom, this.#scopeTo);
    if (this.#versionTo > this.#versionFrom) {
      message.bytes(SCOPE.version, this.#bytes, this.#versionFrom, this.#versionTo);
    }
    return message.finish();
  }

  /** Reads a KeyValue. With `scoped`, the first tag with a scope's name or version is taken out. */
  #readTag(reader: ProtoReader, tags: JaegerTags, scoped: boolean): void {
    const start = reader.position;
    const outer = reader.enter();
    const read = this.#tag;
    const { low, high } = read;
    read.clear();
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag) {
        case 10:
          read.keyTo = reader.length() + reader.position;
          read.keyFrom = reader.position;
          reader.position = read.keyTo;
          break;
        case 16:
          read.kind = reader.int32();
          break;
        case 26:
          readRange(reader, read, TAG.string);
          break;
        case 32:
          low[TAG.bool] = reader.bool() ? 1 : 0;
          break;
        case 40:
          low[TAG.int] = reader.varint();
          high[TAG.int] = reader.high;
          break;
        case 49:
          low[TAG.double] = reader.fixed64Low();
          high[TAG.double] = reader.high;
          break;
        case 58:
          readRange(reader, read, TAG.binary);
          break;
        default:
          skipUnknown(reader, tag, 7);
      }
    }
    const end = reader.position;
    reader.leave(outer);
    if (scoped && this.#takeScope(start, end)) return;
    tags.putRead(read, TAG_TYPES, 0);
  }

  /** Whether the tag that was read, `bytes[start, end)`, is of the scope. */
  #takeScope(start: number, end: number): boolean {
    const { keyFrom, keyTo, low, high } = this.#tag;
    const known = knownKey(this.#bytes, keyFrom, keyTo);
    if (known === SCOPE_NAME && !this.#hasScope) {
      this.#hasScope = true;
      this.#scopeFrom = low[TAG.string]!;
      this.#scopeTo = high[TAG.string]!;
      return true;
    }
    if (known === SCOPE_VERSION && this.#versionTag < 0) {
      this.#versionTag = start;
      this.#versionTagEnd = end;
      this.#versionFrom = low[TAG.string]!;
      this.#versionTo = high[TAG.string]!;
      return true;
    }
    return false;
  }

  #readLog(reader: ProtoReader, span: JaegerSpan): void {
    this.#time(ZERO_TIME_SECONDS, 0);
    const tags = span.beginEvent();
    const outer = reader.enter();
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 10) this.#readTimestamp(reader);
      else if (tag === 18) this.#readTag(reader, tags, false);
      else skipUnknown(reader, tag, 2);
    }
    reader.leave(outer);
    span.endEvent(this.#timeLow, this.#timeHigh);
  }

  /** A google.protobuf.Timestamp between the years 1 and 9999, to `#timeLow` and `#timeHigh`. */
  #readTimestamp(reader: ProtoReader): void {
    const at = reader.position;
    const [seconds, nanos] = readSecondsAndNanos(reader);
    if (seconds < ZERO_TIME_SECONDS || seconds >= MAX_TIME_SECONDS || nanos < 0 || nanos >= BILLION) {
      throw new ProtobufError("a timestamp out of range", at);
    }
    this.#time(seconds, nanos);
  }

  /** Returns whether it is other than zero. */
  #readDuration(reader: ProtoReader, span: JaegerSpan): boolean {
    const at = reader.position;
    const [seconds, nanos] = readSecondsAndNanos(reader);
    const mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if (mixed || Math.abs(seconds) > MAX_DURATION_SECONDS || Math.abs(nanos) >= BILLION) {
      throw new ProtobufError("a duration out of range", at);
    }
    if (Math.abs(seconds) > MAX_GO_SECONDS) throw new ProtobufError("a duration of more than 292 years", at);
    this.#time(seconds, nanos);
    // Beyond 64 bits the sign turns.
    if (seconds !== 0 && this.#timeHigh < 0 !== seconds < 0) {
      throw new ProtobufError("a duration of more than 292 years", at);
    }
    span.durationLow = this.#timeLow;
    span.durationHigh = this.#timeHigh;
    return seconds !== 0 || nanos !== 0;
  }

  /** Seconds and nanoseconds as nanoseconds; what is beyond 64 bits is lost, as in Go. */
  #time(seconds: number, nanos: number): void {
    const secondsHigh = Math.floor(seconds / TWO_32);
    const secondsLow = seconds - secondsHigh * TWO_32;
    // 32 bits times 30 bits may be beyond 2^53: in two steps of 16 bits.
    const lower = (secondsLow & 0xffff) * BILLION + nanos;
    const upper = Math.floor(secondsLow / 0x10000) * BILLION + Math.floor(lower / 0x10000);
    this.#timeLow = (((upper % 0x10000) * 0x10000) | 0) + (lower & 0xffff);
    this.#timeLow >>>= 0;
    this.#timeHigh = (Math.floor(upper / 0x10000) + Math.imul(secondsHigh, BILLION)) | 0;
  }
}

/** The range of a text or of bytes is the value of that type. */
function readRange(reader: ProtoReader, tag: JaegerTag, type: number): void {
  const to = reader.length() + reader.position;
  tag.low[type] = reader.position;
  tag.high[type] = to;
  reader.position = to;
}

function readSecondsAndNanos(reader: ProtoReader): [number, number] {
  let seconds = 0;
  let nanos = 0;
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 8) seconds = reader.int64Number();
    else if (tag === 16) nanos = reader.int32();
    else skipUnknown(reader, tag, 2);
  }
  reader.leave(outer);
  return [seconds, nanos];
}

/** Trace ids have 16 bytes, or 8 for the lower half. Returns whether it is other than zero. */
function readTraceId(reader: ProtoReader, target: Buffer): boolean {
  const length = reader.length();
  if (length !== 16 && length !== 8) throw new ProtobufError("a trace id must have 16 or 8 bytes", reader.position);
  for (let i = 0; i < 8; i++) target[i] = 0;
  return copyId(reader, target, 16 - length);
}

function readSpanId(reader: ProtoReader, target: Buffer): boolean {
  if (reader.length() !== 8) throw new ProtobufError("a span id must have 8 bytes", reader.position);
  return copyId(reader, target, 0);
}

/** Copies bytes to what is left of `target` from `from` on; returns whether any is other than zero. */
function copyId(reader: ProtoReader, target: Buffer, from: number): boolean {
  const { bytes, position } = reader;
  let any = 0;
  for (let i = from; i < target.length; i++) any |= target[i] = bytes[position + i - from]!;
  reader.position = position + target.length - from;
  return any !== 0;
}

function readReference(reader: ProtoReader, span: JaegerSpan): void {
  const ids = Buffer.alloc(24);
  let kind: number = REFERENCE.childOf;
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) readTraceId(reader, ids.subarray(0, 16));
    else if (tag === 18) readSpanId(reader, ids.subarray(16));
    else if (tag === 24) kind = reader.int32();
    else skipUnknown(reader, tag, 3);
  }
  reader.leave(outer);
  span.addReference(kind).set(ids);
}

/** Skips a field that is not known; one of the first `known` fields has the wrong wire type then. */
function skipUnknown(reader: ProtoReader, tag: number, known: number): void {
  const field = tag >>> 3;
  if (field <= known) throw new ProtobufError(`field ${field} has the wrong type`, reader.position);
  reader.skip(tag);
}
