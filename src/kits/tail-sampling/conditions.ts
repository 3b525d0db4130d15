import type { Regex } from "#base/regex";
import { STATUS } from "#formats/otlp/fields";
import { ProtoReader } from "#formats/protobuf";
import { memberOf } from "../ottl/trace-state.ts";
import { HASH_SEED, TRACE_ID_BYTES } from "./ids.ts";

/**
 * What single policies look for in spans and resources, found out span by span as requests come in: a bit for each
 * condition, which once set stays set for the trace. Bytes are read in place, and only what some condition asks for.
 *
 * Matches processor/tailsamplingprocessor/internal/sampling: what is there asked of a trace in the end, "does any span or
 * resource …", is here answered on the way.
 */

/** What an attribute's value is compared with. */
export interface AttributeTest {
  readonly key: string;
  /** The value as pdata gives it: the zero value of its kind for values of another one. */
  matches(value: FoundValue, isSpan: boolean): boolean;
}
export type Condition =
  | { readonly kind: "attribute"; readonly test: AttributeTest }
  /** A bit for each status code that is looked for. */
  | { readonly kind: "status"; readonly codes: number }
  /** Any of the bits is set in the span's flags. */
  | { readonly kind: "flags"; readonly mask: number }
  | { readonly kind: "trace_state"; readonly key: string; readonly values: ReadonlySet<string> }
  /** Longer than one bound and, with another, not longer than that one, as of some span. In milliseconds; 0 for none. */
  | { readonly kind: "latency"; readonly aboveMs: number; readonly atMostMs: number }
  | { readonly kind: "ottl"; readonly program: SpanProgram };

/** Conditions of OTTL for a span and its events. Throws OttlError for what fails and is not passed over. */
export interface SpanProgram {
  holds(): boolean;
}

/** An AnyValue that was found, good until the next one. */
class FoundValue {
  #bytes: Buffer = EMPTY;
  #kind: "text" | "bool" | "int" | "other" = "other";
  #from = 0;
  #to = 0;
  #text: string | undefined;
  /** Of whole numbers and bools; 0 for others. Beyond 2^53 it is the nearest double. */
  int = 0;
  isTrue = false;

  /** Reads the AnyValue at `bytes[from, to)`; of several values the last counts. */
  read(bytes: Buffer, from: number, to: number): void {
    this.#bytes = bytes;
    this.#kind = "other";
    this.#text = undefined;
    this.int = 0;
    this.isTrue = false;
    if (bytes[from] === 10 && bytes[from + 1]! < 0x80 && to - from === bytes[from + 1]! + 2) {
      this.#kind = "text";
      this.#from = from + 2;
      this.#to = to;
      return;
    }
    reader.reset(bytes, from, to);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 10) {
        const length = reader.length();
        this.#from = reader.position;
        this.#to = reader.position += length;
        this.#kind = "text";
      } else if (tag === 16) {
        this.isTrue = reader.bool();
        this.#kind = "bool";
      } else if (tag === 24) {
        this.int = reader.int64Number();
        this.#kind = "int";
      } else {
        reader.skip(tag);
        if (tag >>> 3 <= 7) this.#kind = "other";
      }
    }
    if (this.#kind !== "int") this.int = 0;
    if (this.#kind !== "bool") this.isTrue = false;
  }
  /** The length of the text in bytes; 0 for what is none. */
  get textLength(): number {
    return this.#kind === "text" ? this.#to - this.#from : 0;
  }
  get text(): string {
    if (this.#kind !== "text") return "";
    this.#text ??= this.#bytes.toString("utf8", this.#from, this.#to);
    return this.#text;
  }
  /** Of the text's bytes; not negative. */
  textHash(): number {
    let hash = HASH_SEED;
    if (this.#kind === "text") {
      for (let i = this.#from; i < this.#to; i++) hash = Math.imul(hash ^ this.#bytes[i]!, 0x01000193);
    }
    return (hash ^ (hash >>> 15)) >>> 0;
  }
  isText(wanted: Uint8Array): boolean {
    if (this.textLength !== wanted.length) return false;
    for (let i = wanted.length - 1; i >= 0; i--) if (this.#bytes[this.#from + i] !== wanted[i]) return false;
    return true;
  }
}

const EMPTY = Buffer.alloc(0);
const reader = new ProtoReader(EMPTY);

/** Results of expressions for this many texts are kept unless the configuration says otherwise. */
const DEFAULT_CACHE = 128;
/** Longer texts are matched anew each time, so that the cache stays small. */
const LONGEST_CACHED = 1024;

/** Texts that are one of some values; the empty one never is. */
export function equalsAnyTest(key: string, values: readonly string[]): AttributeTest {
  const wanted = values.filter((value) => value !== "").map((value) => Buffer.from(value));
  return { key, matches: (value) => wanted.some((each) => value.isText(each)) };
}
/**
 * Texts in which one of some expressions finds a match. Empty ones count for resources only. Results are kept by the bytes
 * of the text, each at one place, so that a text that comes again need not be decoded.
 */
export function matchesAnyTest(key: string, expressions: readonly Regex[], cacheSize: number): AttributeTest {
  const known = new Map<number, { readonly bytes: Uint8Array; readonly found: boolean }>();
  const places = cacheSize > 0 ? cacheSize : DEFAULT_CACHE;
  const find = (text: string) => expressions.some((expression) => expression.test(text));
  return {
    key,
    matches(value, isSpan) {
      if (isSpan && value.textLength === 0) return false;
      if (value.textLength > LONGEST_CACHED) return find(value.text);
      const place = value.textHash() % places;
      const before = known.get(place);
      if (before !== undefined && value.isText(before.bytes)) return before.found;
      const found = find(value.text);
      known.set(place, { bytes: Buffer.from(value.text), found });
      return found;
    },
  };
}
export function rangeTest(key: string, minimum: number, maximum: number): AttributeTest {
  return { key, matches: ({ int }) => int >= minimum && int <= maximum };
}
export function boolTest(key: string, wanted: boolean): AttributeTest {
  return { key, matches: ({ isTrue }) => isTrue === wanted };
}

interface WantedKey {
  readonly bytes: Uint8Array;
  /** A bit, to know which keys were seen already: of several attributes with a key the first counts. */
  readonly index: number;
  readonly tests: { readonly test: AttributeTest; readonly bit: number }[];
}

/** Tags of what is looked at in a span, and of a resource's attributes. */
const TRACE_ID = 10;
const TRACE_STATE = 26;
const PARENT_ID = 34;
const START = 57;
const END = 65;
const SPAN_ATTRIBUTE = 74;
const SPAN_STATUS = 122;
const SPAN_FLAGS = 133;
const RESOURCE_ATTRIBUTE = 10;
const STATUS_CODE_TAG = STATUS.code << 3;

/**
 * Looks for several conditions at once. `hits` has the answer for the span or resource that was read last; of latency and
 * OTTL, which need more than one span's bytes, only the bits are reserved.
 */
export class ConditionReader {
  /** A bit for each condition, in the order in which they were given, 32 to a number. */
  readonly hits: Uint32Array;
  /** Of the span: where its trace id begins (−1 for none), whether it has no parent, when it began and ended. */
  traceId = -1;
  isRoot = true;
  startLow = 0;
  startHigh = 0;
  endLow = 0;
  endHigh = 0;

  readonly #byLength: (WantedKey[] | undefined)[] = [];
  readonly #seen: Uint32Array;
  readonly #wantsAttributes: boolean;
  readonly #statuses: { readonly codes: number; readonly bit: number }[] = [];
  readonly #flags: { readonly mask: number; readonly bit: number }[] = [];
  readonly #states: { readonly key: string; readonly values: ReadonlySet<string>; readonly bit: number }[] = [];
  readonly #value = new FoundValue();
  readonly #reader = new ProtoReader(EMPTY);

  constructor(conditions: readonly Condition[]) {
    this.hits = new Uint32Array(Math.ceil(conditions.length / 32));
    let keys = 0;
    for (const [bit, condition] of conditions.entries()) {
      if (condition.kind === "status") this.#statuses.push({ codes: condition.codes, bit });
      else if (condition.kind === "flags") this.#flags.push({ mask: condition.mask, bit });
      else if (condition.kind === "trace_state") this.#states.push({ ...condition, bit });
      else if (condition.kind === "attribute") {
        const bytes = Buffer.from(condition.test.key);
        const sameLength = (this.#byLength[bytes.length] ??= []);
        let key = sameLength.find((each) => bytes.equals(each.bytes));
        if (key === undefined) sameLength.push((key = { bytes, index: keys++, tests: [] }));
        key.tests.push({ test: condition.test, bit });
      }
    }
    this.#seen = new Uint32Array(Math.ceil(keys / 32));
    this.#wantsAttributes = keys > 0;
  }

  /** Reads the Resource at `bytes[from, to)`. */
  resource(bytes: Buffer, from: number, to: number): void {
    this.#begin();
    if (!this.#wantsAttributes) return;
    const source = this.#reader;
    source.reset(bytes, from, to);
    while (!source.done) {
      const tag = source.tag();
      if (tag !== RESOURCE_ATTRIBUTE) {
        source.skip(tag);
        continue;
      }
      const length = source.length();
      this.#attribute(bytes, source.position, source.position + length, false);
      source.position += length;
    }
  }

  /** Reads the Span at `bytes[from, to)`, which was validated. Throws ProtobufError. */
  span(bytes: Buffer, from: number, to: number): void {
    this.#begin();
    this.traceId = -1;
    this.isRoot = true;
    this.startLow = this.startHigh = this.endLow = this.endHigh = 0;
    let status = 0;
    let flags = 0;
    let stateFrom = 0;
    let stateTo = 0;
    const source = this.#reader;
    source.reset(bytes, from, to);
    while (source.position < to) {
      const tag = source.tag();
      if ((tag & 7) !== 2) {
        if (tag === START) {
          this.startLow = source.fixed64Low();
          this.startHigh = source.high;
        } else if (tag === END) {
          this.endLow = source.fixed64Low();
          this.endHigh = source.high;
        } else if (tag === SPAN_FLAGS) flags = source.fixed32();
        else source.skip(tag);
        continue;
      }
      const length = source.length();
      const start = source.position;
      const end = start + length;
      source.position = end;
      if (tag === SPAN_ATTRIBUTE) {
        if (this.#wantsAttributes) this.#attribute(bytes, start, end, true);
      } else if (tag === TRACE_ID) this.traceId = length === TRACE_ID_BYTES ? start : -1;
      else if (tag === PARENT_ID) this.isRoot = isZero(bytes, start, end);
      else if (tag === SPAN_STATUS) status = statusCode(bytes, start, end, status);
      else if (tag === TRACE_STATE) {
        stateFrom = start;
        stateTo = end;
      }
    }
    for (const { codes, bit } of this.#statuses)
      if (status >= 0 && status <= 2 && (codes & (1 << status)) !== 0) this.#hit(bit);
    for (const { mask, bit } of this.#flags) if ((flags & mask) !== 0) this.#hit(bit);
    if (this.#states.length > 0 && stateTo > stateFrom) this.#traceState(bytes.toString("utf8", stateFrom, stateTo));
  }

  #begin(): void {
    this.hits.fill(0);
    this.#seen.fill(0);
  }
  #hit(bit: number): void {
    this.hits[bit >>> 5]! |= 1 << (bit & 31);
  }

  #traceState(text: string): void {
    for (const { key, values, bit } of this.#states) {
      const value = memberOf(text, key);
      if (value !== undefined && values.has(value)) this.#hit(bit);
    }
  }

  /** The KeyValue at `bytes[from, to)`. */
  #attribute(bytes: Buffer, from: number, to: number, isSpan: boolean): void {
    let keyFrom = from;
    let keyTo = from;
    let valueFrom = to;
    let valueTo = to;
    const keyLength = bytes[from + 1]!;
    const valueAt = from + 2 + keyLength;
    if (
      bytes[from] === 10 &&
      keyLength < 0x80 &&
      valueAt + 1 < to &&
      bytes[valueAt] === 18 &&
      bytes[valueAt + 1]! < 0x80
    ) {
      keyFrom = from + 2;
      keyTo = valueAt;
      valueFrom = valueAt + 2;
      valueTo = valueFrom + bytes[valueAt + 1]!;
    }
    if (valueTo !== to || keyTo === keyFrom) {
      // Long, incomplete, or in another order.
      keyFrom = keyTo = valueFrom = valueTo = from;
      reader.reset(bytes, from, to);
      while (!reader.done) {
        const tag = reader.tag();
        if (tag !== 10 && tag !== 18) {
          reader.skip(tag);
          continue;
        }
        const length = reader.length();
        const start = reader.position;
        reader.position = start + length;
        if (tag === 10) {
          keyFrom = start;
          keyTo = start + length;
        } else {
          valueFrom = start;
          valueTo = start + length;
        }
      }
    }
    const sameLength = this.#byLength[keyTo - keyFrom];
    if (sameLength === undefined) return;
    keys: for (const { bytes: wanted, index, tests } of sameLength) {
      for (let i = wanted.length - 1; i >= 0; i--) if (bytes[keyFrom + i] !== wanted[i]) continue keys;
      const mask = 1 << (index & 31);
      if ((this.#seen[index >>> 5]! & mask) !== 0) return;
      this.#seen[index >>> 5]! |= mask;
      this.#value.read(bytes, valueFrom, valueTo);
      for (const { test, bit } of tests) if (test.matches(this.#value, isSpan)) this.#hit(bit);
      return;
    }
  }
}

function isZero(bytes: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** The code in the Status at `bytes[from, to)`; the one from before if there is none in it. */
function statusCode(bytes: Buffer, from: number, to: number, before: number): number {
  let code = before;
  reader.reset(bytes, from, to);
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === STATUS_CODE_TAG) code = reader.int32();
    else reader.skip(tag);
  }
  return code;
}
