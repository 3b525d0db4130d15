import { asBuffer, ProtobufError, ProtoReader } from "#formats/protobuf";

/**
 * Reading traces for connectors that make numbers of spans: nothing is decoded and nothing allocated, a request's bytes
 * are gone through once and the ranges of what matters are kept.
 */

const EMPTY = Buffer.alloc(0);
const reader = new ProtoReader(EMPTY);

interface WantedKey {
  readonly slot: number;
  readonly bytes: Uint8Array;
}
/** Longer names go by one list. */
const LONGEST_APART = 64;

/** Names of attributes to look for, each with a number (its slot), found by length and bytes. */
export class WantedKeys {
  readonly names: readonly string[];
  readonly #byLength: (WantedKey[] | undefined)[] = new Array(LONGEST_APART + 1).fill(undefined);

  constructor(names: Iterable<string>) {
    this.names = [...new Set(names)];
    for (const [slot, name] of this.names.entries()) {
      const bytes = Buffer.from(name);
      const list = Math.min(bytes.length, LONGEST_APART);
      this.#byLength[list] = [...(this.#byLength[list] ?? []), { slot, bytes }];
    }
  }

  /** The slot of the key `bytes[from, to)`; −1 for none. */
  slotOf(bytes: Uint8Array, from: number, to: number): number {
    const length = to - from;
    const candidates = this.#byLength[Math.min(length, LONGEST_APART)];
    if (candidates === undefined) return -1;
    search: for (let i = 0; i < candidates.length; i++) {
      const { slot, bytes: wanted } = candidates[i]!;
      if (wanted.length !== length) continue;
      // From the end: names share their beginnings.
      for (let k = length - 1; k >= 0; k--) if (bytes[from + k] !== wanted[k]) continue search;
      return slot;
    }
    return -1;
  }
}

/** Numbers that describe one attribute: where its key and its AnyValue begin and end. */
export const PAIR = 4;

/**
 * The attributes of a span, resource or event as ranges of the request: those that are wanted by slot, and all of them
 * if `keepsAll`. Of several attributes with one key the first counts, as in pdata.
 */
export class AttributeRanges {
  /** The value of slot s is `bytes[slots[2s], slots[2s + 1])`; −1 for none. */
  readonly slots: Int32Array;
  all = new Int32Array(0);
  count = 0;
  readonly #wanted: WantedKeys;
  readonly #keepsAll: boolean;
  readonly #isIdle: boolean;

  constructor(wanted: WantedKeys, keepsAll: boolean) {
    this.#wanted = wanted;
    this.#keepsAll = keepsAll;
    this.slots = new Int32Array(wanted.names.length * 2).fill(-1);
    this.#isIdle = !keepsAll && wanted.names.length === 0;
  }

  clear(): void {
    const { slots } = this;
    for (let i = 0; i < slots.length; i++) slots[i] = -1;
    this.count = 0;
  }

  /** Takes the KeyValue `bytes[body, stop)`. Throws ProtobufError for what is none. */
  add(bytes: Uint8Array, body: number, stop: number): void {
    if (this.#isIdle) return;
    let keyFrom = 0;
    let keyTo = 0;
    let valueFrom = 0;
    let valueTo = 0;
    for (let at = body; at < stop; ) {
      const tag = bytes[at]!;
      let from = at + 2;
      let length = at + 1 < stop ? bytes[at + 1]! : 0x80;
      if ((tag !== 10 && tag !== 18) || length >= 0x80) {
        reader.reset(bytes, at, stop);
        const long = reader.tag();
        if (long !== 10 && long !== 18) {
          reader.skip(long);
          at = reader.position;
          continue;
        }
        length = reader.length();
        from = reader.position;
      }
      if (length > stop - from) throw tooLong(at);
      if (tag === 10) {
        keyFrom = from;
        keyTo = from + length;
      } else {
        valueFrom = from;
        valueTo = from + length;
      }
      at = from + length;
    }
    const slot = this.#wanted.slotOf(bytes, keyFrom, keyTo);
    if (slot >= 0 && this.slots[slot * 2]! < 0) {
      this.slots[slot * 2] = valueFrom;
      this.slots[slot * 2 + 1] = valueTo;
    }
    if (this.#keepsAll) this.#keep(keyFrom, keyTo, valueFrom, valueTo);
  }

  /** Takes every occurrence of this field of the message `bytes[body, stop)`; other fields are skipped. */
  addField(bytes: Uint8Array, body: number, stop: number, field: number): void {
    const tag = (field << 3) | 2;
    let at = body;
    while (at < stop) {
      reader.reset(bytes, at, stop);
      const found = reader.tag();
      if (found !== tag) {
        reader.skip(found);
        at = reader.position;
        continue;
      }
      const length = reader.length();
      const from = reader.position;
      this.add(bytes, from, from + length);
      at = from + length;
    }
  }

  #keep(keyFrom: number, keyTo: number, valueFrom: number, valueTo: number): void {
    const base = this.count * PAIR;
    if (base + PAIR > this.all.length) {
      const larger = new Int32Array(Math.max(16 * PAIR, this.all.length * 2));
      larger.set(this.all);
      this.all = larger;
    }
    this.all[base] = keyFrom;
    this.all[base + 1] = keyTo;
    this.all[base + 2] = valueFrom;
    this.all[base + 3] = valueTo;
    this.count += 1;
  }
}

/** Ranges of a request, one after the other. */
class RangeList {
  /** Range i is `bytes[ends[2i], ends[2i + 1])`. */
  ends = new Int32Array(32);
  count = 0;

  add(from: number, to: number): void {
    const at = this.count * 2;
    if (at === this.ends.length) {
      const larger = new Int32Array(at * 2);
      larger.set(this.ends);
      this.ends = larger;
    }
    this.ends[at] = from;
    this.ends[at + 1] = to;
    this.count += 1;
  }
}

/** What a span has beside its attributes, as offsets into the request; times as two halves of 32 bits. */
export class SpanScan {
  /** Where the 16 and 8 bytes of the ids begin; −1 for an id that is missing or all zeros. */
  traceId = -1;
  spanId = -1;
  parentSpanId = -1;
  nameFrom = 0;
  nameTo = 0;
  traceStateFrom = 0;
  traceStateTo = 0;
  kind = 0;
  statusCode = 0;
  startLow = 0;
  startHigh = 0;
  endLow = 0;
  endHigh = 0;
  readonly events = new RangeList();
  readonly attributes: AttributeRanges;

  constructor(attributes: AttributeRanges) {
    this.attributes = attributes;
  }

  /** Nanoseconds from start to end, as a double rounded once; 0 for a span that ends before it starts. */
  get nanoseconds(): number {
    const high = this.endHigh - this.startHigh;
    if (high < 0) return 0;
    const nanoseconds = high * 4_294_967_296 + (this.endLow - this.startLow);
    return Math.max(nanoseconds, 0);
  }

  /** Reads the Span `bytes[body, end)`. Throws ProtobufError. */
  read(bytes: Uint8Array, body: number, end: number): void {
    this.traceId = this.spanId = this.parentSpanId = -1;
    this.nameFrom = this.nameTo = this.traceStateFrom = this.traceStateTo = 0;
    this.kind = this.statusCode = this.events.count = 0;
    this.startLow = this.startHigh = this.endLow = this.endHigh = 0;
    this.attributes.clear();
    for (let at = body; at < end; ) {
      const tag = bytes[at]!;
      if ((tag & 7) === 2 && tag < 0x80) {
        let from = at + 2;
        let length = from <= end ? bytes[at + 1]! : 0x80;
        if (length >= 0x80) {
          reader.reset(bytes, at + 1, end);
          length = reader.length();
          from = reader.position;
        }
        const to = from + length;
        if (to > end) throw tooLong(at);
        this.#bytesField(tag, bytes, from, to);
        at = to;
        continue;
      }
      if ((tag === 57 || tag === 65) && end - at >= 9) {
        const low = (bytes[at + 1]! | (bytes[at + 2]! << 8) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 24)) >>> 0;
        const high = (bytes[at + 5]! | (bytes[at + 6]! << 8) | (bytes[at + 7]! << 16) | (bytes[at + 8]! << 24)) >>> 0;
        if (tag === 57) {
          this.startLow = low;
          this.startHigh = high;
        } else {
          this.endLow = low;
          this.endHigh = high;
        }
        at += 9;
        continue;
      }
      if (tag === 48 && at + 1 < end && bytes[at + 1]! < 0x80) {
        this.kind = bytes[at + 1]!;
        at += 2;
        continue;
      }
      reader.reset(bytes, at, end);
      const long = reader.tag();
      if (long === 48) this.kind = reader.int32();
      else reader.skip(long);
      at = reader.position;
    }
  }

  #bytesField(tag: number, bytes: Uint8Array, from: number, to: number): void {
    switch (tag) {
      case 10:
        this.traceId = to - from === 16 && !isZero(bytes, from, to) ? from : -1;
        return;
      case 18:
        this.spanId = to - from === 8 && !isZero(bytes, from, to) ? from : -1;
        return;
      case 26:
        this.traceStateFrom = from;
        this.traceStateTo = to;
        return;
      case 34:
        this.parentSpanId = to - from === 8 && !isZero(bytes, from, to) ? from : -1;
        return;
      case 42:
        this.nameFrom = from;
        this.nameTo = to;
        return;
      case 74:
        this.attributes.add(bytes, from, to);
        return;
      case 90:
        this.events.add(from, to);
        return;
      case 122:
        this.#status(bytes, from, to);
        return;
    }
  }

  #status(bytes: Uint8Array, from: number, to: number): void {
    if (to - from === 2 && bytes[from] === 24) {
      this.statusCode = bytes[from + 1]!;
      return;
    }
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 24) this.statusCode = reader.int32();
      else reader.skip(tag);
    }
  }
}

/** Who is told of what a request of traces holds, in its order. All offsets are into `bytes`, the request. */
export interface TraceVisitor {
  /** A resource group begins, whose Resource is in `pieces`: beginning and end of each, of which there is one. False leaves it out. */
  enterResource(bytes: Buffer, attributes: AttributeRanges, pieces: readonly number[]): boolean;
  /** So many spans were in a group that was left out. */
  leftOut(spans: number): void;
  /** The scope's name and version are these ranges. */
  enterScope(bytes: Buffer, nameFrom: number, nameTo: number, versionFrom: number, versionTo: number): void;
  span(bytes: Buffer, body: number, end: number): void;
}

/** Goes through requests of traces. One walk serves many requests, one at a time. */
export class TraceWalk {
  readonly #resource: AttributeRanges;
  readonly #reader = new ProtoReader(EMPTY);
  /** Ranges of the scope groups of a resource group, read once its resource is known. */
  readonly #scopes = new RangeList();
  readonly #pieces: number[] = [];

  constructor(resource: AttributeRanges) {
    this.#resource = resource;
  }

  /** Throws ProtobufError for what is no request; what was visited by then stays visited. */
  run(request: Uint8Array, visitor: TraceVisitor): void {
    const bytes = asBuffer(request);
    const own = this.#reader;
    own.reset(bytes);
    while (!own.done) {
      const tag = own.tag();
      if (tag !== 10) {
        own.skip(tag);
        continue;
      }
      const outer = own.enter();
      this.#readResource(own, bytes);
      const groupEnd = own.end;
      if (visitor.enterResource(bytes, this.#resource, this.#pieces)) {
        const { ends, count } = this.#scopes;
        for (let i = 0; i < count; i++) {
          this.#readScope(own, bytes, ends[i * 2]!, ends[i * 2 + 1]!, visitor);
        }
      } else visitor.leftOut(this.#countSpans(own));
      own.end = groupEnd;
      own.leave(outer);
    }
    own.reset(EMPTY); // an idle walk keeps no request alive
  }

  #readResource(own: ProtoReader, bytes: Buffer): void {
    this.#resource.clear();
    this.#scopes.count = 0;
    this.#pieces.length = 0;
    while (!own.done) {
      const tag = own.tag();
      if (tag !== 10 && tag !== 18) {
        own.skip(tag);
        continue;
      }
      const length = own.length();
      const from = own.position;
      // Several occurrences of the resource are one, as protobuf merges messages.
      if (tag === 10) {
        this.#resource.addField(bytes, from, from + length, 1);
        this.#pieces.push(from, from + length);
      } else this.#scopes.add(from, from + length);
      own.position = from + length;
    }
  }

  #countSpans(own: ProtoReader): number {
    const { ends, count } = this.#scopes;
    let spans = 0;
    for (let i = 0; i < count; i++) {
      own.position = ends[i * 2]!;
      own.end = ends[i * 2 + 1]!;
      while (!own.done) {
        const tag = own.tag();
        if (tag === 18) spans += 1;
        own.skip(tag);
      }
    }
    return spans;
  }

  #readScope(own: ProtoReader, bytes: Buffer, from: number, to: number, visitor: TraceVisitor): void {
    let nameFrom = 0;
    let nameTo = 0;
    let versionFrom = 0;
    let versionTo = 0;
    own.position = from;
    own.end = to;
    while (!own.done) {
      const tag = own.tag();
      if (tag !== 10) {
        own.skip(tag);
        continue;
      }
      const outer = own.enter();
      while (!own.done) {
        const inner = own.tag();
        if (inner !== 10 && inner !== 18) {
          own.skip(inner);
          continue;
        }
        const length = own.length();
        if (inner === 10) {
          nameFrom = own.position;
          nameTo = nameFrom + length;
        } else {
          versionFrom = own.position;
          versionTo = versionFrom + length;
        }
        own.position += length;
      }
      own.leave(outer);
    }
    visitor.enterScope(bytes, nameFrom, nameTo, versionFrom, versionTo);
    own.position = from;
    while (!own.done) {
      const tag = own.tag();
      if (tag !== 18) {
        own.skip(tag);
        continue;
      }
      const length = own.length();
      const body = own.position;
      visitor.span(bytes, body, body + length);
      own.position = body + length;
    }
  }
}

function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

function tooLong(at: number): ProtobufError {
  return new ProtobufError("a length reaches beyond the end of its message", at);
}
