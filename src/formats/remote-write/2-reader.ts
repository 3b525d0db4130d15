import { Labels } from "#base/labels";
import type { MetricMetadata } from "#pipeline/batch";
import { hashBytes } from "#pipeline/series-hash";
import { varintLength, writeVarint } from "#pipeline/series-labels";
import { asBuffer, ProtoReader, WIRE_BYTES } from "../protobuf.ts";
import type { WriteColumns, WriteIntake } from "../write-columns.ts";
import { exemplarProblem, LONG_EXEMPLAR, MAX_EXEMPLAR_CHARS, MAX_HELP_BYTES } from "./1-reader.ts";
import { familiesOf, METADATA_TYPES } from "./metadata.ts";

const SYMBOL = 0x22;
const SERIES = 0x2a;
/** More than any series has: symbols are shared, so a small request could ask for any amount of labels. */
const MAX_LABELS_BYTES = 1024 * 1024;
const MAX_LABELS = 10_000;
/** Names of the labels that `typeAndUnit` adds, in their order. */
const TYPE_LABEL = Buffer.from("__type__");
const UNIT_LABEL = Buffer.from("__unit__");
const TYPE_TEXTS = METADATA_TYPES.map((type) => Buffer.from(type));

export interface Read2Options {
  readonly metadata: boolean;
  /** Adds the type and the unit of a series' metadata as its labels `__type__` and `__unit__`, in place of its own. */
  readonly typeAndUnit: boolean;
}

/**
 * Reads an uncompressed `io.prometheus.write.v2.Request` (remote write 2.0) into `out`, and yields each time that `out` is
 * full; it must be taken and cleared before the next step, and after the last one. Labels stay bytes. Throws a
 * ProtobufError for anything else than such a message; what is wrong with single series goes to `intake`.
 */
export function* readWriteRequest2(
  bytes: Uint8Array,
  intake: WriteIntake,
  out: WriteColumns,
  options: Read2Options,
): Generator<void, void, void> {
  const message = new Message(bytes, intake, out, options);
  const { reader } = message;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag !== SERIES) {
      reader.skip(tag);
      continue;
    }
    const outer = reader.enter();
    const start = reader.position;
    const ref = message.series();
    if (ref !== 0) {
      reader.position = start;
      while (!reader.done) {
        if (message.item(reader.tag(), ref) && out.isFull) yield;
      }
    }
    reader.leave(outer);
    if (ref === 0 && out.isFull) yield;
  }
}

/** Symbols of the request in hand: how many, and their memory. For those who bound it. */
export function countSymbols(bytes: Uint8Array): number {
  const reader = new ProtoReader(bytes);
  let count = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === SYMBOL) count += 1;
    reader.skip(tag);
  }
  return count;
}

class Message {
  readonly reader: ProtoReader;
  readonly #source: Buffer;
  readonly #intake: WriteIntake;
  readonly #out: WriteColumns;
  readonly #options: Read2Options;
  /** Where symbol i begins: its length, then its text. */
  readonly #symbols: Int32Array;
  readonly #symbol: ProtoReader;
  #refs = new Int32Array(64);
  #refCount = 0;
  #scratch = Buffer.allocUnsafeSlow(4096);
  #items = 0;
  #exemplars = 0;
  #type = 0;
  #help = 0;
  #unit = 0;

  constructor(bytes: Uint8Array, intake: WriteIntake, out: WriteColumns, options: Read2Options) {
    this.reader = new ProtoReader(bytes);
    this.#symbol = new ProtoReader(bytes);
    this.#source = asBuffer(bytes);
    this.#intake = intake;
    this.#out = out;
    this.#options = options;
    this.#symbols = new Int32Array(countSymbols(bytes));
    // Symbols come first in practice, but a message is what it is in any order of its fields.
    const { reader } = this;
    for (let count = 0; !reader.done; ) {
      const tag = reader.tag();
      if (tag === SYMBOL) this.#symbols[count++] = reader.position;
      reader.skip(tag);
    }
    reader.position = 0;
  }

  /** Surveys the TimeSeries that the reader has entered. Its series, or 0 if it was rejected. */
  series(): number {
    const problem = this.#survey();
    if (problem !== "") return this.#reject(problem);
    const ref = this.#encode();
    if (ref === 0) return this.#reject(this.#encodeProblem || this.#intake.problem);
    if (this.#items === 0 && this.#exemplars === 0) {
      return this.#reject("a TimeSeries must contain at least one sample or histogram");
    }
    if (this.#options.metadata) this.#addMetadata(ref);
    return ref;
  }

  /** Reads one field; whether it was an item. */
  item(tag: number, ref: number): boolean {
    if (tag === 0x12) this.#out.addSample(this.reader, ref);
    else if (tag === 0x1a) this.#out.addHistogram(this.reader, ref);
    else if (tag === 0x22) this.#addExemplar(ref);
    else {
      this.reader.skip(tag);
      return false;
    }
    return true;
  }

  #reject(problem: string): 0 {
    this.#intake.reject("invalid_labels", this.#items, problem);
    return 0;
  }

  #encodeProblem = "";

  #survey(): string {
    const { reader } = this;
    this.#refCount = 0;
    this.#items = 0;
    this.#exemplars = 0;
    this.#type = 0;
    this.#help = 0;
    this.#unit = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag >>> 3 === 1) this.#readRefs(tag);
      else if (tag === 0x2a) this.#readMetadata();
      else {
        if (tag === 0x12 || tag === 0x1a) this.#items += 1;
        else if (tag === 0x22) this.#exemplars += 1;
        reader.skip(tag);
      }
    }
    const { length } = this.#symbols;
    if (this.#refCount > MAX_LABELS * 2) return `a series has more than ${MAX_LABELS} labels`;
    if (this.#refCount % 2 === 1) return "a series has a label name without a value";
    for (let i = 0; i < this.#refCount; i++) {
      // Compared unsigned: a reference beyond 2^31 is out of any table.
      if (this.#refs[i]! >>> 0 >= length) return outside("a label", this.#refs[i]! >>> 0, length);
    }
    if (this.#unit >= length) return outside("the unit", this.#unit, length);
    if (this.#help >= length) return outside("the help text", this.#help, length);
    return "";
  }

  #readRefs(tag: number): void {
    const { reader } = this;
    if ((tag & 7) !== WIRE_BYTES) {
      this.#addRef(reader.uint32());
      return;
    }
    const outer = reader.enter();
    while (!reader.done) this.#addRef(reader.uint32());
    reader.leave(outer);
  }

  #addRef(ref: number): void {
    if (this.#refCount > MAX_LABELS * 2) return; // it is too much already
    if (this.#refCount === this.#refs.length) {
      const larger = new Int32Array(this.#refs.length * 2);
      larger.set(this.#refs);
      this.#refs = larger;
    }
    this.#refs[this.#refCount++] = ref;
  }

  #readMetadata(): void {
    const { reader } = this;
    const outer = reader.enter();
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x08) this.#type = reader.int32();
      else if (tag === 0x18) this.#help = reader.uint32();
      else if (tag === 0x20) this.#unit = reader.uint32();
      else reader.skip(tag);
    }
    reader.leave(outer);
  }

  /** The labels as field 1 of the other protocol's TimeSeries, which is what the registry keeps. */
  #encode(): number {
    this.#encodeProblem = "";
    const refs = this.#refs;
    let length = 0;
    for (let i = 0; i < this.#refCount; i++) length += this.#symbolLength(refs[i]!) + 12;
    const { typeAndUnit } = this.#options;
    const type = typeAndUnit ? TYPE_TEXTS[this.#type] : undefined;
    const unitLength = typeAndUnit ? this.#symbolLength(this.#unit) : 0;
    const added = (type !== undefined && this.#type !== 0) || unitLength > 0;
    if (added) length += unitLength + 64;
    if (length > MAX_LABELS_BYTES) {
      this.#encodeProblem = `the labels of a series have more than ${MAX_LABELS_BYTES} bytes`;
      return 0;
    }
    if (this.#scratch.length < length) this.#scratch = Buffer.allocUnsafeSlow(length * 2);
    let at = 0;
    for (let i = 0; i < this.#refCount; i += 2) {
      if (added && this.#isTypeOrUnit(refs[i]!)) continue;
      at = this.#writeSymbols(at, refs[i]!, refs[i + 1]!);
    }
    if (added) {
      if (this.#type !== 0) at = this.#writeLabel(at, TYPE_LABEL, type!);
      if (unitLength > 0) {
        const start = this.#symbolStart(this.#unit);
        at = this.#writeLabel(at, UNIT_LABEL, this.#source.subarray(start, start + unitLength));
      }
    }
    return this.#intake.series(this.#scratch, 0, at);
  }

  #isTypeOrUnit(ref: number): boolean {
    if (this.#symbolLength(ref) !== TYPE_LABEL.length) return false;
    const start = this.#symbolStart(ref);
    const name = this.#source.subarray(start, start + TYPE_LABEL.length);
    return name.equals(TYPE_LABEL) || name.equals(UNIT_LABEL);
  }

  #writeSymbols(at: number, nameRef: number, valueRef: number): number {
    const scratch = this.#scratch;
    const nameLength = this.#symbolLength(nameRef);
    const nameStart = this.#symbolStart(nameRef);
    const valueLength = this.#symbolLength(valueRef);
    const valueStart = this.#symbolStart(valueRef);
    at = this.#writeHead(at, nameLength, valueLength);
    at += this.#source.copy(scratch, at, nameStart, nameStart + nameLength);
    scratch[at] = 0x12;
    at = writeVarint(scratch, at + 1, valueLength);
    return at + this.#source.copy(scratch, at, valueStart, valueStart + valueLength);
  }

  #writeLabel(at: number, name: Buffer, value: Buffer): number {
    const scratch = this.#scratch;
    at = this.#writeHead(at, name.length, value.length);
    at += name.copy(scratch, at);
    scratch[at] = 0x12;
    at = writeVarint(scratch, at + 1, value.length);
    return at + value.copy(scratch, at);
  }

  #writeHead(at: number, nameLength: number, valueLength: number): number {
    const scratch = this.#scratch;
    scratch[at] = 0x0a;
    at = writeVarint(
      scratch,
      at + 1,
      2 + varintLength(nameLength) + nameLength + varintLength(valueLength) + valueLength,
    );
    scratch[at] = 0x0a;
    return writeVarint(scratch, at + 1, nameLength);
  }

  #symbolLength(index: number): number {
    const symbol = this.#symbol;
    symbol.position = this.#symbols[index]!;
    return symbol.length();
  }
  #symbolStart(index: number): number {
    this.#symbolLength(index);
    return this.#symbol.position;
  }
  #text(index: number): string {
    const length = this.#symbolLength(index);
    const { position } = this.#symbol;
    return this.#source.toString("utf8", position, position + length);
  }

  #addMetadata(ref: number): void {
    if (this.#type === 0 && this.#symbolLength(this.#unit) === 0 && this.#symbolLength(this.#help) === 0) return;
    if (this.#symbolLength(this.#help) > MAX_HELP_BYTES || this.#symbolLength(this.#unit) > MAX_HELP_BYTES) return;
    const help = this.#symbolStart(this.#help);
    const unit = this.#symbolStart(this.#unit);
    const hash =
      hashBytes(this.#source, help, help + this.#symbolLength(this.#help)) * 31 +
      hashBytes(this.#source, unit, unit + this.#symbolLength(this.#unit)) * 7 +
      this.#type;
    if (!this.#intake.isNews(ref, hash | 0)) return;
    const type = METADATA_TYPES[this.#type] ?? "unknown";
    this.#out.addMetadata({
      family: familyOf(this.#metricName(), type),
      type,
      help: this.#text(this.#help),
      unit: this.#text(this.#unit),
    });
  }

  #metricName(): string {
    for (let i = 0; i < this.#refCount; i += 2) {
      if (this.#text(this.#refs[i]!) === "__name__") return this.#text(this.#refs[i + 1]!);
    }
    return "";
  }

  #addExemplar(ref: number): void {
    const { reader } = this;
    const outer = reader.enter();
    this.#refCount = 0;
    let value = 0;
    let timestamp = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag >>> 3 === 1) this.#readRefs(tag);
      else if (tag === 0x11) value = reader.double();
      else if (tag === 0x18) timestamp = reader.int64Number();
      else reader.skip(tag);
    }
    reader.leave(outer);
    const labels: [string, string][] = [];
    const problem = this.#readExemplarLabels(labels) ?? exemplarProblem(labels);
    if (problem !== undefined) this.#intake.reject("invalid_exemplar", 1, problem);
    else this.#out.addExemplar({ ref, labels: Labels.from(labels), value, timestamp });
  }

  #readExemplarLabels(labels: [string, string][]): string | undefined {
    if (this.#refCount % 2 === 1) return "an exemplar has a label name without a value";
    let bytes = 0;
    for (let i = 0; i < this.#refCount; i += 2) {
      for (const index of [this.#refs[i]! >>> 0, this.#refs[i + 1]! >>> 0]) {
        if (index >= this.#symbols.length) return outside("an exemplar's label", index, this.#symbols.length);
        bytes += this.#symbolLength(index);
      }
      // Names are not empty, so that this also bounds their number.
      if (bytes > MAX_EXEMPLAR_CHARS * 4 || i > MAX_EXEMPLAR_CHARS * 2) return LONG_EXEMPLAR;
      labels.push([this.#text(this.#refs[i]!), this.#text(this.#refs[i + 1]!)]);
    }
    return undefined;
  }
}

function outside(what: string, index: number, size: number): string {
  return `${what} refers to symbol ${index}, outside of the table of ${size}`;
}

/** The family of a series: its own name, or that without what histograms and summaries put behind it. */
function familyOf(name: string, type: MetricMetadata["type"]): string {
  // Counters keep their `_total`: in Prometheus's text format it belongs to the family's name.
  if (type === "counter") return name;
  return familiesOf(name).find(([, types]) => types?.includes(type))?.[0] ?? name;
}
