import { EVENT, GROUP, LINK, RESOURCE, SCOPE, SPAN, STATUS } from "./otlp/fields.ts";
import { type Fragments, OtlpIndex } from "./otlp/otlp.ts";
import { attributeText } from "./otlp/value-text.ts";
import { decodeAny } from "./otlp/values.ts";
import { asBuffer, ProtoReader } from "./protobuf.ts";

/**
 * Requests of spans as encoders of other formats read them: one field after the other, as ranges of the request, into
 * views that are used again. Of a field that comes twice the last one counts, and all of a list. The request is read by an
 * OtlpIndex first, which refuses fields of a wrong type and ids of a wrong length.
 */

/** The fields of AnyValue that say what an attribute holds; 0 for none. */
export const HOLDS = { nothing: 0, string: 1, bool: 2, int: 3, double: 4, list: 5, map: 6, bytes: 7 } as const;

const KEY_VALUE = { key: 1, value: 2 } as const;
const EMPTY = Buffer.alloc(0);

/** Ranges of bytes. */
export class Ranges {
  count = 0;
  #bounds: Int32Array = new Int32Array(32);

  clear(): void {
    this.count = 0;
  }
  add(from: number, to: number): void {
    const at = this.count++ * 2;
    if (at === this.#bounds.length) {
      const larger = new Int32Array(at * 2);
      larger.set(this.#bounds);
      this.#bounds = larger;
    }
    this.#bounds[at] = from;
    this.#bounds[at + 1] = to;
  }
  from(i: number): number {
    return this.#bounds[i * 2]!;
  }
  to(i: number): number {
    return this.#bounds[i * 2 + 1]!;
  }
}

/** A text as a range of bytes. */
export class TextRange {
  from = 0;
  to = 0;

  clear(): void {
    this.from = this.to = 0;
  }
  get isEmpty(): boolean {
    return this.from === this.to;
  }
  /** Takes the field of bytes at hand. */
  take(reader: ProtoReader): void {
    this.to = reader.length() + reader.position;
    this.from = reader.position;
    reader.position = this.to;
  }
  text(bytes: Buffer): string {
    return this.isEmpty ? "" : bytes.toString("utf8", this.from, this.to);
  }
}

/** What views read. */
export interface TraceSource {
  readonly bytes: Buffer;
  /** Lent to each view while it reads. */
  readonly reader: ProtoReader;
}

/** One attribute. */
export class AttributeView {
  readonly key = new TextRange();
  /** What the value holds, of `HOLDS`. */
  holds: number = HOLDS.nothing;
  /** Halves of a number, or the range of a text or of bytes; 0 or 1 for a bool. */
  low = 0;
  high = 0;
  readonly #value = new TextRange();
  readonly #source: TraceSource;

  constructor(source: TraceSource) {
    this.#source = source;
  }

  /** Reads the KeyValue at these bytes. */
  read(from: number, to: number): void {
    const { bytes, reader } = this.#source;
    this.key.clear();
    this.#value.clear();
    this.holds = HOLDS.nothing;
    this.low = this.high = 0;
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag >>> 3 === KEY_VALUE.key) this.key.take(reader);
      else if (tag >>> 3 === KEY_VALUE.value) this.#value.take(reader);
      else reader.skip(tag);
    }
    reader.reset(bytes, this.#value.from, this.#value.to);
    while (!reader.done) this.#readValue(reader, reader.tag());
  }

  /** The value as pcommon.Value.AsString gives it. */
  text(): string {
    const { bytes } = this.#source;
    switch (this.holds) {
      case HOLDS.string:
        return bytes.toString("utf8", this.low, this.high);
      case HOLDS.bool:
        return this.low === 0 ? "false" : "true";
      case HOLDS.nothing:
        return "";
      default:
        return attributeText(decodeAny(bytes, this.#value.from, this.#value.to));
    }
  }

  #readValue(reader: ProtoReader, tag: number): void {
    switch (tag >>> 3) {
      case HOLDS.string:
      case HOLDS.list:
      case HOLDS.map:
      case HOLDS.bytes:
        this.high = reader.length() + reader.position;
        this.low = reader.position;
        reader.position = this.high;
        break;
      case HOLDS.bool:
        this.low = reader.bool() ? 1 : 0;
        break;
      case HOLDS.int:
        this.low = reader.varint();
        this.high = reader.high;
        break;
      case HOLDS.double:
        this.low = reader.fixed64Low();
        this.high = reader.high;
        break;
      default:
        reader.skip(tag);
        return;
    }
    this.holds = tag >>> 3;
  }
}

/** An event of a span. */
export class EventView {
  /** Unix nanoseconds in halves. */
  timeLow = 0;
  timeHigh = 0;
  dropped = 0;
  readonly name = new TextRange();
  readonly attributes = new Ranges();
  readonly #source: TraceSource;

  constructor(source: TraceSource) {
    this.#source = source;
  }

  read(from: number, to: number): void {
    const { bytes, reader } = this.#source;
    this.timeLow = this.timeHigh = this.dropped = 0;
    this.name.clear();
    this.attributes.clear();
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag >>> 3) {
        case EVENT.time:
          this.timeLow = reader.fixed64Low();
          this.timeHigh = reader.high;
          break;
        case EVENT.name:
          this.name.take(reader);
          break;
        case EVENT.attributes:
          addRange(reader, this.attributes);
          break;
        case EVENT.droppedAttributesCount:
          this.dropped = reader.uint32();
          break;
        default:
          reader.skip(tag);
      }
    }
  }
}

/** A link of a span. */
export class LinkView {
  readonly traceId: Buffer = Buffer.alloc(16);
  readonly spanId: Buffer = Buffer.alloc(8);
  dropped = 0;
  readonly state = new TextRange();
  readonly attributes = new Ranges();
  readonly #source: TraceSource;

  constructor(source: TraceSource) {
    this.#source = source;
  }

  read(from: number, to: number): void {
    const { bytes, reader } = this.#source;
    clearId(this.traceId);
    clearId(this.spanId);
    this.dropped = 0;
    this.state.clear();
    this.attributes.clear();
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag >>> 3) {
        case LINK.traceId:
          readId(reader, this.traceId);
          break;
        case LINK.spanId:
          readId(reader, this.spanId);
          break;
        case LINK.traceState:
          this.state.take(reader);
          break;
        case LINK.attributes:
          addRange(reader, this.attributes);
          break;
        case LINK.droppedAttributesCount:
          this.dropped = reader.uint32();
          break;
        default:
          reader.skip(tag);
      }
    }
  }
}

/** One span. */
export class SpanView {
  /** All zeros for none. */
  readonly traceId: Buffer = Buffer.alloc(16);
  readonly spanId: Buffer = Buffer.alloc(8);
  readonly parentId: Buffer = Buffer.alloc(8);
  kind = 0;
  flags = 0;
  statusCode = 0;
  /** Unix nanoseconds in halves. */
  startLow = 0;
  startHigh = 0;
  endLow = 0;
  endHigh = 0;
  readonly name = new TextRange();
  readonly state = new TextRange();
  readonly statusMessage = new TextRange();
  readonly attributes = new Ranges();
  readonly events = new Ranges();
  readonly links = new Ranges();
  readonly #source: TraceSource;

  constructor(source: TraceSource) {
    this.#source = source;
  }

  read(from: number, to: number): void {
    this.#clear();
    const { bytes, reader } = this.#source;
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      switch (tag >>> 3) {
        case SPAN.traceId:
          readId(reader, this.traceId);
          break;
        case SPAN.spanId:
          readId(reader, this.spanId);
          break;
        case SPAN.traceState:
          this.state.take(reader);
          break;
        case SPAN.parentSpanId:
          readId(reader, this.parentId);
          break;
        case SPAN.name:
          this.name.take(reader);
          break;
        case SPAN.kind:
          this.kind = reader.int32();
          break;
        case SPAN.start:
          this.startLow = reader.fixed64Low();
          this.startHigh = reader.high;
          break;
        case SPAN.end:
          this.endLow = reader.fixed64Low();
          this.endHigh = reader.high;
          break;
        case SPAN.attributes:
          addRange(reader, this.attributes);
          break;
        case SPAN.events:
          addRange(reader, this.events);
          break;
        case SPAN.links:
          addRange(reader, this.links);
          break;
        case SPAN.status:
          this.#readStatus(reader);
          break;
        case SPAN.flags:
          this.flags = reader.fixed32();
          break;
        default:
          reader.skip(tag);
      }
    }
  }

  #clear(): void {
    clearId(this.traceId);
    clearId(this.spanId);
    clearId(this.parentId);
    this.kind = this.flags = this.statusCode = 0;
    this.startLow = this.startHigh = this.endLow = this.endHigh = 0;
    this.name.clear();
    this.state.clear();
    this.statusMessage.clear();
    this.attributes.clear();
    this.events.clear();
    this.links.clear();
  }

  #readStatus(reader: ProtoReader): void {
    const outer = reader.enter();
    while (!reader.done) {
      const tag = reader.tag();
      if (tag >>> 3 === STATUS.message) this.statusMessage.take(reader);
      else if (tag >>> 3 === STATUS.code) this.statusCode = reader.int32();
      else reader.skip(tag);
    }
    reader.leave(outer);
  }
}

/** What is called at each resource, then at each of its scopes, then at each span of that. */
export interface TraceVisitor {
  resource(): void;
  scope(): void;
  span(): void;
}

/** Goes through requests; what it is at is in its views. */
export class TraceView implements TraceSource {
  bytes: Buffer = EMPTY;
  readonly reader = new ProtoReader(EMPTY);
  readonly resourceAttributes = new Ranges();
  readonly scopeName = new TextRange();
  readonly scopeVersion = new TextRange();
  readonly scopeAttributes = new Ranges();
  readonly span = new SpanView(this);
  readonly #index = new OtlpIndex();

  /** Throws ProtobufError for what is no request, before anything is visited. */
  visit(request: Uint8Array, visitor: TraceVisitor): void {
    const index = this.#index;
    index.read("traces", request);
    this.bytes = asBuffer(request);
    try {
      const { resources, resourceScopes, scopeEntries, entryBody, entryEnd } = index;
      for (let r = 0; r < resources; r++) {
        this.#readResource(index.resourceFragments, r);
        visitor.resource();
        for (let s = resourceScopes[r]!; s < resourceScopes[r + 1]!; s++) {
          this.#readScope(index.scopeFragments, s);
          visitor.scope();
          for (let e = scopeEntries[s]!; e < scopeEntries[s + 1]!; e++) {
            this.span.read(entryBody[e]!, entryEnd[e]!);
            visitor.span();
          }
        }
      }
    } finally {
      index.clear();
      this.reader.reset(EMPTY);
      this.bytes = EMPTY;
    }
  }

  #readResource(fragments: Fragments, group: number): void {
    this.resourceAttributes.clear();
    this.#eachHeader(fragments, group, (reader, tag) => {
      if (tag >>> 3 === RESOURCE.attributes) addRange(reader, this.resourceAttributes);
      else reader.skip(tag);
    });
  }
  #readScope(fragments: Fragments, group: number): void {
    this.scopeName.clear();
    this.scopeVersion.clear();
    this.scopeAttributes.clear();
    this.#eachHeader(fragments, group, (reader, tag) => {
      if (tag >>> 3 === SCOPE.name) this.scopeName.take(reader);
      else if (tag >>> 3 === SCOPE.version) this.scopeVersion.take(reader);
      else if (tag >>> 3 === SCOPE.attributes) addRange(reader, this.scopeAttributes);
      else reader.skip(tag);
    });
  }

  /** Calls `field` at each field of the group's resource or scope. */
  #eachHeader({ first, ranges }: Fragments, group: number, field: (reader: ProtoReader, tag: number) => void): void {
    const { reader } = this;
    for (let f = first[group]!; f < first[group + 1]!; f++) {
      reader.reset(this.bytes, ranges[f * 2]!, ranges[f * 2 + 1]!);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag >>> 3 !== GROUP.resource) {
          reader.skip(tag);
          continue;
        }
        const outer = reader.enter();
        while (!reader.done) field(reader, reader.tag());
        reader.leave(outer);
      }
    }
  }
}

function addRange(reader: ProtoReader, ranges: Ranges): void {
  const to = reader.length() + reader.position;
  ranges.add(reader.position, to);
  reader.position = to;
}

/** An id of another length than it should have cannot be in a request that was read; an empty one is none. */
function readId(reader: ProtoReader, target: Buffer): void {
  const to = reader.length() + reader.position;
  const { bytes, position } = reader;
  clearId(target);
  for (let i = 0; i < target.length && position + i < to; i++) target[i] = bytes[position + i]!;
  reader.position = to;
}

function clearId(id: Buffer): void {
  for (let i = 0; i < id.length; i++) id[i] = 0;
}
