import { RESOURCE } from "../otlp/fields.ts";
import { ProtoWriter } from "../protobuf.ts";
import { SpanGroups } from "../span-groups.ts";
import { THRIFT, ThriftBinaryReader, ThriftCompactReader, ThriftError, type ThriftReader } from "../thrift-reader.ts";
import { JaegerSpan, nanosHigh, writeJaegerResource } from "./span.ts";
import { JaegerTag, JaegerTags, TAG } from "./tags.ts";

/** Memory that was needed for a message of more than this is not kept. */
const LARGE_BYTES = 1 << 20;
const NOTHING = new Uint8Array(0);
/** What a tag's type says it holds; those that are missing are unknown to Jaeger. */
const TAG_TYPES = [TAG.string, TAG.double, TAG.bool, TAG.int, TAG.binary];
const EMIT_BATCH = "emitBatch";
/** A batch is one resource with one scope. */
const ONLY = "";

/** Which fields a struct must have: a bit for each, as `1 << id`. */
const REQUIRED = {
  batch: (1 << 1) | (1 << 2),
  process: 1 << 1,
  stats: (1 << 1) | (1 << 2) | (1 << 3),
  tag: (1 << 1) | (1 << 2),
  log: (1 << 1) | (1 << 2),
  reference: (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4),
  span: (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9),
};

/**
 * Turns thrift batches of Jaeger (jaeger.thrift, agent.thrift of jaeger-idl) into requests of OTLP, as ThriftToTraces of
 * pkg/translator/jaeger does. Keeps its memory from message to message. Throws a ThriftError.
 */
export class JaegerThriftDecoder {
  #span = new JaegerSpan();
  #groups = new SpanGroups();
  #process = new JaegerTags();
  readonly #resource = new ProtoWriter();

  /** A Batch struct in the binary protocol, as clients post it over HTTP. */
  body(body: Uint8Array): Uint8Array {
    const reader = new ThriftBinaryReader(body);
    return this.#run(reader, () => this.#batch(reader));
  }

  /** A call of emitBatch, as clients send it to agents over UDP. */
  packet(packet: Uint8Array, protocol: "binary" | "compact"): Uint8Array {
    const reader = protocol === "binary" ? new ThriftBinaryReader(packet) : new ThriftCompactReader(packet);
    return this.#run(reader, () => this.#call(reader));
  }

  #run(reader: ThriftReader, read: () => void): Uint8Array {
    this.#groups.reset();
    try {
      read();
      return this.#groups.finish();
    } finally {
      if (reader.bytes.length > LARGE_BYTES) {
        this.#span = new JaegerSpan();
        this.#groups = new SpanGroups();
        this.#process = new JaegerTags();
      }
    }
  }

  #call(reader: ThriftReader): void {
    const method = reader.messageBegin();
    if (method === "emitZipkinBatch") {
      throw new ThriftError("spans of Zipkin are not taken here; send them to an otelcol.receiver.zipkin", 0);
    }
    if (method !== EMIT_BATCH) {
      throw new ThriftError(`a call of ${JSON.stringify(method.slice(0, 64))} instead of ${EMIT_BATCH}`, 0);
    }
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      if (reader.field === 1 && type === THRIFT.struct) this.#batch(reader);
      else reader.skip(type);
    }
    reader.structEnd();
  }

  #batch(reader: ThriftReader): void {
    let seen = 0;
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      const { field } = reader;
      if (field === 1 && type === THRIFT.struct) this.#readProcess(reader);
      else if (field === 2 && type === THRIFT.list) this.#spans(reader);
      else if (field === 4 && type === THRIFT.struct) {
        readStats(reader);
        continue;
      } else {
        reader.skip(type);
        continue;
      }
      seen |= 1 << field;
    }
    reader.structEnd();
    complete(reader, seen, REQUIRED.batch, "batch");
    if (!this.#groups.hasGroup(ONLY)) return;
    this.#resource.reset();
    writeJaegerResource(this.#resource, RESOURCE.attributes, this.#process);
    this.#groups.setGroup(ONLY, this.#resource.finish());
  }

  #readProcess(reader: ThriftReader): void {
    const tags = this.#process;
    let seen = 0;
    let nameFrom = 0;
    let nameTo = 0;
    tags.reset(reader.bytes);
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      if (reader.field === 1 && type === THRIFT.string) {
        reader.string();
        nameFrom = reader.from;
        nameTo = reader.to;
        seen |= 1 << 1;
      } else if (reader.field === 2 && type === THRIFT.list) {
        tags.reset(reader.bytes);
        if (nameTo > nameFrom) tags.putKnown("service.name", TAG.string, nameFrom, nameTo);
        readTags(reader, tags);
      } else reader.skip(type);
    }
    reader.structEnd();
    complete(reader, seen, REQUIRED.process, "process");
    // A tag of that name wins.
    if (nameTo > nameFrom && tags.find("service.name") < 0) {
      tags.putKnown("service.name", TAG.string, nameFrom, nameTo);
    }
  }

  #spans(reader: ThriftReader): void {
    const groups = this.#groups;
    groups.reset();
    groups.setGroup(ONLY, NOTHING);
    groups.addScope(ONLY, ONLY, NOTHING);
    const count = reader.listBegin();
    for (let i = 0; i < count; i++) {
      readSpan(reader, this.#span);
      if (!this.#span.filled) continue;
      groups.begin(ONLY, ONLY);
      this.#span.write(groups.writer, false);
      groups.end();
    }
  }
}

function readSpan(reader: ThriftReader, span: JaegerSpan): void {
  let seen = 0;
  span.reset(reader.bytes);
  reader.structBegin();
  for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
    const { field } = reader;
    if (type === THRIFT.i64) {
      if (field !== 1 && field !== 2 && field !== 3 && field !== 4 && field !== 8 && field !== 9) {
        reader.skip(type);
        continue;
      }
      const low = reader.i64();
      const { high } = reader;
      if ((low | high) !== 0) span.filled = true;
      if (field === 1) putId(span.traceId, 8, low, high);
      else if (field === 2) putId(span.traceId, 0, low, high);
      else if (field === 3) putId(span.spanId, 0, low, high);
      else if (field === 4) putId(span.parentId, 0, low, high);
      else if (field === 8) span.setStartMicros(low, high);
      else span.setDurationMicros(low, high);
    } else if (field === 5 && type === THRIFT.string) {
      reader.string();
      span.nameFrom = reader.from;
      span.nameTo = reader.to;
      if (reader.to > reader.from) span.filled = true;
    } else if (field === 6 && type === THRIFT.list) {
      span.filled = true;
      readReferences(reader, span);
    } else if (field === 7 && type === THRIFT.i32) {
      span.flags = reader.i32();
      if (span.flags !== 0) span.filled = true;
    } else if (field === 10 && type === THRIFT.list) {
      span.filled = true;
      span.tags.reset(reader.bytes);
      readTags(reader, span.tags);
    } else if (field === 11 && type === THRIFT.list) {
      span.filled = true;
      readLogs(reader, span);
    } else {
      reader.skip(type);
      continue;
    }
    seen |= 1 << field;
  }
  reader.structEnd();
  complete(reader, seen, REQUIRED.span, "span");
}

function readReferences(reader: ThriftReader, span: JaegerSpan): void {
  span.clearReferences();
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) {
    let seen = 0;
    let kind = 0;
    const ids = [0, 0, 0, 0, 0, 0];
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      const { field } = reader;
      if (field === 1 && type === THRIFT.i32) kind = reader.i32();
      else if (field >= 2 && field <= 4 && type === THRIFT.i64) {
        ids[(field - 2) * 2] = reader.i64();
        ids[(field - 2) * 2 + 1] = reader.high;
      } else {
        reader.skip(type);
        continue;
      }
      seen |= 1 << field;
    }
    reader.structEnd();
    complete(reader, seen, REQUIRED.reference, "reference");
    // Any other kind is shown as "follows from" and is no parent.
    const target = span.addReference(kind);
    putId(target, 8, ids[0]!, ids[1]!);
    putId(target, 0, ids[2]!, ids[3]!);
    putId(target, 16, ids[4]!, ids[5]!);
  }
}

function readLogs(reader: ThriftReader, span: JaegerSpan): void {
  span.events.reset();
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) {
    let seen = 0;
    let low = 0;
    let high = 0;
    const tags = span.beginEvent();
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      if (reader.field === 1 && type === THRIFT.i64) {
        const product = reader.i64() * 1000;
        low = product >>> 0;
        high = nanosHigh(product, reader.high);
        seen |= 1 << 1;
      } else if (reader.field === 2 && type === THRIFT.list) {
        tags.reset(reader.bytes);
        readTags(reader, tags);
        seen |= 1 << 2;
      } else reader.skip(type);
    }
    reader.structEnd();
    complete(reader, seen, REQUIRED.log, "log");
    span.endEvent(low, high);
  }
}

function readTags(reader: ThriftReader, tags: JaegerTags): void {
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) readTag(reader, tags);
}

/** One serves all tags, one after the other. */
const read = new JaegerTag();

function readTag(reader: ThriftReader, tags: JaegerTags): void {
  const { low, high } = read;
  let seen = 0;
  read.clear();
  reader.structBegin();
  for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
    switch (reader.field) {
      case 1:
        if (type !== THRIFT.string) break;
        reader.string();
        read.keyFrom = reader.from;
        read.keyTo = reader.to;
        seen |= 1 << 1;
        continue;
      case 2:
        if (type !== THRIFT.i32) break;
        read.kind = reader.i32();
        seen |= 1 << 2;
        continue;
      case 3:
        if (type !== THRIFT.string) break;
        readRange(reader, TAG.string);
        continue;
      case 4:
        if (type !== THRIFT.double) break;
        low[TAG.double] = reader.double();
        high[TAG.double] = reader.high;
        continue;
      case 5:
        if (type !== THRIFT.bool) break;
        low[TAG.bool] = reader.bool() ? 1 : 0;
        continue;
      case 6:
        if (type !== THRIFT.i64) break;
        low[TAG.int] = reader.i64();
        high[TAG.int] = reader.high;
        continue;
      case 7:
        if (type !== THRIFT.string) break;
        readRange(reader, TAG.binary);
        continue;
    }
    reader.skip(type);
  }
  reader.structEnd();
  complete(reader, seen, REQUIRED.tag, "tag");
  tags.putRead(read, TAG_TYPES, 1);
}

/** The range of a text or of bytes is the value of that type. */
function readRange(reader: ThriftReader, type: number): void {
  reader.string();
  read.low[type] = reader.from;
  read.high[type] = reader.to;
}

/** What a client says about its losses: checked, as the Collector does, and not used. */
function readStats(reader: ThriftReader): void {
  let seen = 0;
  reader.structBegin();
  for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
    if (reader.field >= 1 && reader.field <= 3 && type === THRIFT.i64) seen |= 1 << reader.field;
    reader.skip(type);
  }
  reader.structEnd();
  complete(reader, seen, REQUIRED.stats, "client's statistics");
}

/** Writes an i64 in halves as bytes of an id. */
function putId(id: Buffer, at: number, low: number, high: number): void {
  id.writeInt32BE(high | 0, at);
  id.writeUInt32BE(low >>> 0, at + 4);
}

function complete(reader: ThriftReader, seen: number, required: number, what: string): void {
  if ((seen & required) === required) return;
  const missing = required & ~seen;
  throw new ThriftError(`a ${what} without its required field ${31 - Math.clz32(missing & -missing)}`, reader.position);
}
