import { type ProtoWriter, WIRE_FIXED64, WIRE_VARINT } from "../protobuf.ts";

/**
 * What a tag holds; the numbers are fields of OTLP's AnyValue. `unknown` is a type that Jaeger does not have: `low` is its
 * number, and `high` is 1 where the Collector does not tell it.
 */
export const TAG = { string: 1, bool: 2, int: 3, double: 4, binary: 7, unknown: 8 } as const;
/** What a tag's type in protobuf says it holds, by its number. */
export const TAG_TYPES: readonly number[] = [TAG.string, TAG.bool, TAG.int, TAG.double, TAG.binary];
/** The name of a service that has none, which the Collector writes and does not read. */
export const NO_SERVICE = "OTLPResourceNoServiceName";
/** A tag that was taken out again. */
const GONE = 0;

/** Keys that mean something to the translation. */
export const KNOWN_KEYS = [
  "event",
  "error",
  "hostname",
  "host.name",
  "span.kind",
  "service.name",
  "jaeger.version",
  "w3c.tracestate",
  "otel.scope.name",
  "otel.status_code",
  "http.status_code",
  "otel.scope.version",
  "http.status_message",
  "otel.status_description",
  "http.response.status_code",
  "opencensus.exporterversion",
  "opentracing.ref_type",
] as const;
export type KnownKey = (typeof KNOWN_KEYS)[number];

const KNOWN = KNOWN_KEYS.map((key) => Buffer.from(key));
const INDEX = Object.fromEntries(KNOWN_KEYS.map((key, i) => [key, i])) as Readonly<Record<KnownKey, number>>;
/** Indexes of known keys by their length. */
const BY_LENGTH: readonly (readonly number[] | undefined)[] = Array.from({ length: 32 }, (_, length) => {
  const found = KNOWN.flatMap((key, i) => (key.length === length ? [i] : []));
  return found.length === 0 ? undefined : found;
});
/** From so many tags on, a map finds those with the same key. */
const FEW = 16;

function unknownText(type: number, untold: number): string {
  return `<Unknown Jaeger TagType "${untold === 1 ? "<UNSET>" : type}">`;
}

/** Keys are short, and most of them differ in their first bytes: a loop is faster than a call. */
function sameBytes(a: Buffer, aFrom: number, b: Buffer, bFrom: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aFrom + i] !== b[bFrom + i]) return false;
  return true;
}

/** The index of a known key in `KNOWN_KEYS`, −1 for any other. */
export function knownKey(bytes: Buffer, from: number, to: number): number {
  const candidates = BY_LENGTH[to - from];
  if (candidates === undefined) return -1;
  for (const index of candidates) if (sameBytes(KNOWN[index]!, 0, bytes, from, to - from)) return index;
  return -1;
}

/** A tag as it is read: a value of each type may be there, and its kind says which one counts. */
export class JaegerTag {
  keyFrom = 0;
  keyTo = 0;
  /** The type by its number in the protocol. */
  kind = 0;
  /** What `JaegerTags.put` takes as a value, by type. */
  readonly low = new Int32Array(TAG.unknown);
  readonly high = new Int32Array(TAG.unknown);

  clear(): void {
    this.keyFrom = this.keyTo = this.kind = 0;
    // A call of fill takes longer.
    for (let i = 0; i < TAG.unknown; i++) this.low[i] = this.high[i] = 0;
  }
}

/**
 * Tags of one Jaeger span, log or process on their way to attributes: ranges of the message's bytes, in columns that are
 * used again. A key that comes twice has its last value, as in pdata's Map.
 */
export class JaegerTags {
  bytes: Buffer = Buffer.alloc(0);
  #count = 0;
  /** Ranges of keys; a known key has its index, less 1 and negated, as the start. */
  #keyFrom: Int32Array = new Int32Array(32);
  #keyTo: Int32Array = new Int32Array(32);
  #types: Uint8Array = new Uint8Array(32);
  /** Ranges of texts, or halves of numbers. */
  #low: Int32Array = new Int32Array(32);
  #high: Int32Array = new Int32Array(32);
  /** Where a known key is; −1 for nowhere. */
  readonly #known = new Int32Array(KNOWN.length).fill(-1);
  #anyKnown = false;
  #byKey: Map<string, number> | undefined;

  reset(bytes: Buffer): void {
    this.bytes = bytes;
    this.#count = 0;
    this.#byKey = undefined;
    if (this.#anyKnown) this.#known.fill(-1);
    this.#anyKnown = false;
  }

  /** Sets a tag; its value is a range of the bytes for `string` and `binary`, and otherwise two halves. */
  put(keyFrom: number, keyTo: number, type: number, low: number, high: number): void {
    const known = knownKey(this.bytes, keyFrom, keyTo);
    if (known >= 0) {
      // Both names of the status code come out as the older one, as long as the feature gates are as they are.
      this.#putKnown(known === INDEX["http.response.status_code"] ? INDEX["http.status_code"] : known, type, low, high);
      return;
    }
    let at = this.#find(keyFrom, keyTo);
    if (at < 0) {
      at = this.#append(keyFrom, keyTo);
      this.#byKey?.set(this.bytes.toString("latin1", keyFrom, keyTo), at);
    }
    this.#set(at, type, low, high);
  }
  /** Sets a tag that was read; `types` are those of the protocol, by their numbers, and `untold` is 1 to hide other numbers. */
  putRead(tag: JaegerTag, types: readonly number[], untold: 0 | 1): void {
    const { keyFrom, keyTo, kind } = tag;
    const type = types[kind];
    if (type === undefined) this.put(keyFrom, keyTo, TAG.unknown, kind, untold);
    else this.put(keyFrom, keyTo, type, tag.low[type]!, tag.high[type]!);
  }
  putKnown(key: KnownKey, type: number, low: number, high: number): void {
    this.#putKnown(INDEX[key], type, low, high);
  }

  /** Where the tag with this key is; −1 for nowhere. */
  find(key: KnownKey): number {
    return this.#known[INDEX[key]]!;
  }
  remove(at: number): void {
    this.#types[at] = GONE;
    const known = -1 - this.#keyFrom[at]!;
    if (known >= 0) this.#known[known] = -1;
  }
  /** Gives the tag at `at` another key. */
  rename(at: number, key: KnownKey): void {
    const type = this.#types[at]!;
    this.remove(at);
    this.#putKnown(INDEX[key], type, this.#low[at]!, this.#high[at]!);
  }

  typeAt(at: number): number {
    return this.#types[at]!;
  }
  /** The low half of a number, the start of a text. */
  lowAt(at: number): number {
    return this.#low[at]!;
  }
  /** The high half of a number, the end of a text. */
  highAt(at: number): number {
    return this.#high[at]!;
  }
  /** The text of a tag; empty for one that holds none, as pdata's Value.Str gives it. */
  textAt(at: number): string {
    const type = this.#types[at]!;
    if (type === TAG.unknown) return unknownText(this.#low[at]!, this.#high[at]!);
    return type === TAG.string ? this.bytes.toString("utf8", this.#low[at], this.#high[at]) : "";
  }

  /** Writes the tags as KeyValues. */
  write(writer: ProtoWriter, field: number): void {
    for (let i = 0; i < this.#count; i++) {
      const type = this.#types[i]!;
      if (type === GONE) continue;
      const mark = writer.begin(field);
      const from = this.#keyFrom[i]!;
      if (from < 0) writer.bytes(1, KNOWN[-1 - from]!);
      else if (this.#keyTo[i]! > from) writer.bytes(1, this.bytes, from, this.#keyTo[i]!);
      const value = writer.begin(2);
      this.#writeValue(writer, type, this.#low[i]!, this.#high[i]!);
      writer.end(value);
      writer.end(mark);
    }
  }

  #writeValue(writer: ProtoWriter, type: number, low: number, high: number): void {
    switch (type) {
      case TAG.bool:
        writer.bool(TAG.bool, low !== 0);
        return;
      case TAG.int:
        writer.tag(TAG.int, WIRE_VARINT);
        writer.rawVarint64(low, high);
        return;
      case TAG.double:
        writer.tag(TAG.double, WIRE_FIXED64);
        writer.rawFixed64(low, high);
        return;
      case TAG.unknown:
        writer.string(TAG.string, unknownText(low, high));
        return;
      default:
        writer.bytes(type, this.bytes, low, high);
    }
  }

  #putKnown(known: number, type: number, low: number, high: number): void {
    let at = this.#known[known]!;
    if (at < 0) {
      at = this.#append(-1 - known, 0);
      this.#known[known] = at;
      this.#anyKnown = true;
    }
    this.#set(at, type, low, high);
  }

  #set(at: number, type: number, low: number, high: number): void {
    this.#types[at] = type;
    this.#low[at] = low;
    this.#high[at] = high;
  }

  #append(keyFrom: number, keyTo: number): number {
    const at = this.#count++;
    if (at === this.#types.length) this.#grow();
    this.#keyFrom[at] = keyFrom;
    this.#keyTo[at] = keyTo;
    return at;
  }

  #find(from: number, to: number): number {
    const { bytes } = this;
    if (this.#count > FEW) {
      this.#byKey ??= this.#index();
      return this.#byKey.get(bytes.toString("latin1", from, to)) ?? -1;
    }
    for (let i = 0; i < this.#count; i++) {
      const start = this.#keyFrom[i]!;
      const end = this.#keyTo[i]!;
      if (start >= 0 && end - start === to - from && sameBytes(bytes, start, bytes, from, to - from)) return i;
    }
    return -1;
  }

  #index(): Map<string, number> {
    const index = new Map<string, number>();
    for (let i = 0; i < this.#count; i++) {
      if (this.#keyFrom[i]! >= 0) index.set(this.bytes.toString("latin1", this.#keyFrom[i], this.#keyTo[i]), i);
    }
    return index;
  }

  #grow(): void {
    const length = this.#types.length * 2;
    const grown = <T extends Int32Array | Uint8Array>(column: T, larger: T): T => {
      larger.set(column);
      return larger;
    };
    this.#keyFrom = grown(this.#keyFrom, new Int32Array(length));
    this.#keyTo = grown(this.#keyTo, new Int32Array(length));
    this.#low = grown(this.#low, new Int32Array(length));
    this.#high = grown(this.#high, new Int32Array(length));
    this.#types = grown(this.#types, new Uint8Array(length));
  }
}
