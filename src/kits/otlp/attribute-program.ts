import { Bytes, copyRun, NO_BYTES, putVarint } from "#formats/bytes";
import { type AnyValue, AttributeKey, decodeAny, EncodedEntry, KeyValues, writeAny } from "#formats/otlp/values";
import { ProtoWriter, varintLength } from "#formats/protobuf";
import type { OtlpClient } from "#pipeline/batch";
import {
  ABSENT,
  type ActionArguments,
  CONVERSIONS,
  constant,
  contextSource,
  hashed,
  pattern,
} from "./attribute-actions.ts";

const [KEY_TAG, VALUE_TAG, TEXT_TAG, INT_TAG] = [10, 18, 10, 24];
/** Keys are shorter: their length is one byte. */
const LONGEST_KEY = 127;
/** Longer runs of digits are left to bigints. */
const MOST_DIGITS = 15;

type Step = (client: OtlpClient) => void;

/** An attribute that actions name: where the item at hand has it, and what becomes of it. */
class Slot {
  readonly key: AttributeKey;
  /** The key as a field of an entry, with the tag of the value behind. */
  readonly prefix: Bytes;
  /** The entry that came with the item, if `isFound`. */
  isFound = false;
  at = 0;
  stop = 0;
  /** That entry is not written again, or not in its place. */
  isRemoved = false;
  /** There is a value, be it the one that came: `value[from, to)`, the content of an AnyValue. */
  isThere = false;
  value = NO_BYTES;
  from = 0;
  to = 0;
  /** The value is another one than came. */
  isSet = false;
  /** `value[0, to)` is the whole entry, from its length on. */
  isEntry = false;
  /** Number among the attributes that are added behind all others; −1 for the place where the entry was. */
  place = -1;

  constructor(name: string) {
    this.key = new AttributeKey(name);
    const { bytes } = this.key;
    this.prefix = new Bytes(Buffer.concat([Buffer.of(KEY_TAG, bytes.length), bytes, Buffer.of(VALUE_TAG)]));
  }

  /** There is no such attribute, as far as is known. */
  clear(): void {
    this.isFound = this.isThere = this.isSet = this.isRemoved = false;
  }
  /** The item has the attribute in the entry `bytes[at, stop)`. */
  find(bytes: Bytes, at: number, from: number, stop: number): void {
    this.isFound = this.isThere = true;
    this.at = at;
    this.stop = stop;
    this.value = bytes;
    this.from = from;
    this.to = stop;
    this.place = -1;
  }
  /** Writes the entry with the value that was set. Returns where it ends. */
  write(target: Bytes, at: number, tag: number): number {
    const { buffer } = target;
    const { prefix, value, from, to } = this;
    buffer[at] = tag;
    if (this.isEntry) return copyRun(value, 0, to, target, at + 1);
    const length = to - from;
    const prefixLength = prefix.buffer.length;
    const keyAt = putVarint(buffer, at + 1, prefixLength + varintLength(length) + length);
    const lengthAt = copyRun(prefix, 0, prefixLength, target, keyAt);
    return copyRun(value, from, to, target, putVarint(buffer, lengthAt, length));
  }
  /** No more than `write` writes. */
  get mostLength(): number {
    return this.prefix.buffer.length + this.to - this.from + 12;
  }
}

/**
 * Attribute actions on bytes: one pass finds the attributes that actions name, the actions work on places, and what they
 * changed is written between copies of all else. It does what `compileActions` does, several times as fast, for messages as
 * programs write them; others it leaves to that.
 */
export class AttributeProgram {
  readonly #slots: Slot[] = [];
  /** Slots by the length of their keys. */
  readonly #byLength: (Slot[] | undefined)[] = new Array(LONGEST_KEY + 1).fill(undefined);
  readonly #steps: Step[] = [];

  // What is known of the item at hand.
  #bytes = NO_BYTES;
  /** Slots in the order of their entries; of items before, more may stand behind. */
  readonly #found: Slot[] = [];
  #foundCount = 0;
  /** Slots in the order in which they were added behind; as above. */
  readonly #added: Slot[] = [];
  #addedCount = 0;
  #isChanged = false;
  /** What was set takes no more bytes. */
  #setLength = 0;
  readonly #scratch = new ProtoWriter(256);
  /** Numbers that texts were converted to; beyond its end, that is done in another way. */
  readonly #digits = new Bytes(Buffer.alloc(256));
  #digitsLength = 0;

  /** The actions were judged. Undefined for actions that look at all keys. */
  static compile(actions: readonly ActionArguments[]): AttributeProgram | undefined {
    const program = new AttributeProgram();
    for (const action of actions) {
      if (action.pattern !== "" && action.action !== "extract") return undefined;
      program.#steps.push(program.#stepOf(action));
    }
    for (const slot of program.#slots) {
      const { length } = slot.key.bytes;
      if (length > LONGEST_KEY) return undefined;
      (program.#byLength[length] ??= []).push(slot);
    }
    return program;
  }

  /**
   * Runs the actions on the attributes (this field) of the message at `bytes[start, end)`, and writes it if they changed it.
   * Undefined, with nothing written, for a message that it cannot work on.
   */
  edit(
    bytes: Buffer,
    start: number,
    end: number,
    field: number,
    client: OtlpClient,
    out: ProtoWriter,
  ): boolean | undefined {
    this.#bytes = Bytes.of(bytes);
    const tag = (field << 3) | 2;
    if (!this.#scan(start, end, tag)) return undefined;
    this.#isChanged = false;
    const steps = this.#steps;
    for (let i = 0; i < steps.length; i++) steps[i]!(client);
    if (!this.#isChanged) return false;
    this.#write(start, end, tag, out);
    return true;
  }

  #slot(name: string): Slot {
    let slot = this.#slots.find(({ key }) => key.text === name);
    if (slot === undefined) this.#slots.push((slot = new Slot(name)));
    return slot;
  }

  #stepOf(given: ActionArguments): Step {
    const slot = this.#slot(given.key);
    switch (given.action) {
      case "insert":
      case "update":
      case "upsert":
        return this.#setter(given, slot);
      case "delete":
        return () => this.#remove(slot);
      case "hash":
        return () => {
          if (slot.isThere) this.#setValue(slot, hashed(valueIn(slot)));
        };
      case "extract":
        return this.#extraction(given, slot);
      case "convert": {
        const convert = CONVERSIONS[given.converted_type]!;
        const isInt = given.converted_type === "int";
        return () => {
          if (!slot.isThere || (isInt && this.#setDigits(slot))) return;
          const value = valueIn(slot);
          const converted = convert(value);
          if (converted !== value) this.#setValue(slot, converted);
        };
      }
    }
  }

  #setter(given: ActionArguments, slot: Slot): Step {
    const whenThere = given.action !== "insert";
    const whenMissing = given.action !== "update";
    const applies = () => (slot.isThere ? whenThere : whenMissing);
    if (given.from_attribute !== "") {
      const source = this.#slot(given.from_attribute);
      return () => {
        if (source.isThere && applies()) this.#set(slot, source.value, source.from, source.to);
      };
    }
    if (given.from_context !== "") {
      const source = contextSource(given.from_context);
      return (client) => {
        if (!applies()) return;
        const value = source(NO_ATTRIBUTES, client);
        if (value !== ABSENT) this.#setValue(slot, value);
      };
    }
    const { bytes, valueAt } = new EncodedEntry(slot.key, constant(given));
    return () => {
      if (!applies()) return;
      this.#set(slot, bytes, valueAt, bytes.buffer.length);
      slot.isEntry = true;
    };
  }

  #extraction(given: ActionArguments, slot: Slot): Step {
    const regex = pattern(given);
    const targets = regex.groupNames.slice(1).map((name) => this.#slot(name));
    return () => {
      if (!slot.isThere) return;
      const value = valueIn(slot);
      const match = typeof value === "string" ? regex.exec(value) : null;
      if (match === null) return;
      for (let k = 0; k < targets.length; k++) this.#setValue(targets[k]!, match[k + 1] ?? "");
    };
  }

  #setValue(slot: Slot, value: AnyValue): void {
    this.#scratch.reset();
    writeAny(this.#scratch, value);
    const bytes = new Bytes(this.#scratch.finish());
    this.#set(slot, bytes, 0, bytes.buffer.length);
  }
  /** A text of a few digits as an int. */
  #setDigits(slot: Slot): boolean {
    const value = slot.value.buffer;
    const from = slot.from + 2;
    const { to } = slot;
    const length = to - from;
    if (length < 1 || length > MOST_DIGITS || value[from - 2] !== TEXT_TAG || value[from - 1] !== length) return false;
    let number = 0;
    for (let i = from; i < to; i++) {
      const digit = value[i]! - 0x30;
      if (digit < 0 || digit > 9) return false;
      number = number * 10 + digit;
    }
    const bytes = this.#digits.buffer;
    const begin = this.#digitsLength;
    if (begin + MOST_DIGITS > bytes.length) return false;
    let at = begin;
    bytes[at++] = INT_TAG;
    for (; number >= 0x80; number = Math.floor(number / 128)) bytes[at++] = (number % 128) | 0x80;
    bytes[at++] = number;
    this.#digitsLength = at;
    this.#set(slot, this.#digits, begin, at);
    return true;
  }
  #set(slot: Slot, value: Bytes, from: number, to: number): void {
    if (!slot.isThere) {
      this.#added[this.#addedCount] = slot;
      slot.place = this.#addedCount++;
    }
    slot.isThere = slot.isSet = true;
    slot.isEntry = false;
    slot.value = value;
    slot.from = from;
    slot.to = to;
    this.#setLength += slot.mostLength;
    this.#isChanged = true;
  }
  #remove(slot: Slot): void {
    if (!slot.isThere) return;
    if (slot.place === -1) slot.isRemoved = true;
    slot.isThere = slot.isSet = false;
    this.#isChanged = true;
  }

  /** Finds the entries of all slots; false for a message that is left to others. */
  #scan(start: number, end: number, tag: number): boolean {
    this.#foundCount = this.#addedCount = 0;
    this.#setLength = this.#digitsLength = 0;
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i++) slots[i]!.clear();
    const { buffer } = this.#bytes;
    for (let at = start; at < end; ) {
      const begin = at;
      const read = buffer[at++]!;
      switch (read & 7) {
        case 0:
          while (at < end && buffer[at]! >= 0x80) at += 1;
          at += 1;
          break;
        case 1:
          at += 8;
          break;
        case 5:
          at += 4;
          break;
        case 2: {
          let length = buffer[at++]!;
          if (length >= 0x80) {
            const second = buffer[at++]!;
            const third = second < 0x80 ? 0 : buffer[at++]!;
            if (third >= 0x80) return false;
            length = (length & 0x7f) | ((second & 0x7f) << 7) | (third << 14);
          }
          if (at + length > end) return false;
          if (read === tag && !this.#entry(begin, at, at + length)) return false;
          at += length;
          break;
        }
        default:
          return false;
      }
      if (read >= 0x80 || at > end) return false;
    }
    return true;
  }
  #entry(begin: number, body: number, stop: number): boolean {
    const { buffer, view } = this.#bytes;
    const length = buffer[body + 1]!;
    if (body === stop || buffer[body] !== KEY_TAG || length > LONGEST_KEY) return false;
    const keyStop = body + 2 + length;
    if (keyStop > stop) return false;
    const candidates = this.#byLength[length];
    if (candidates === undefined) return true;
    for (let i = 0; i < candidates.length; i++) {
      const slot = candidates[i]!;
      if (!slot.key.isAt(view, body + 2)) continue;
      const from = valueStart(buffer, keyStop, stop);
      if (from < 0 || slot.isFound) return false; // the key comes twice
      slot.find(this.#bytes, begin, from, stop);
      this.#found[this.#foundCount++] = slot;
      return true;
    }
    return true;
  }

  #write(start: number, end: number, tag: number, out: ProtoWriter): void {
    const target = out.reserve(end - start + this.#setLength);
    let to = out.length;
    let copied = start;
    for (let i = 0; i < this.#foundCount; i++) {
      const slot = this.#found[i]!;
      if (!slot.isRemoved && !slot.isSet) continue;
      to = copyRun(this.#bytes, copied, slot.at, target, to);
      copied = slot.stop;
      if (!slot.isRemoved) to = slot.write(target, to, tag);
    }
    to = copyRun(this.#bytes, copied, end, target, to);
    for (let i = 0; i < this.#addedCount; i++) {
      const slot = this.#added[i]!;
      if (slot.isSet && slot.place === i) to = slot.write(target, to, tag);
    }
    out.advance(to);
  }
}

/** A context has nothing to do with attributes. */
const NO_ATTRIBUTES = new KeyValues();

function valueIn({ value, from, to }: Slot): AnyValue {
  return decodeAny(value.buffer, from, to);
}

/** Where the value of an entry begins, which is all that follows the key; −1 for another form. */
function valueStart(bytes: Buffer, keyStop: number, stop: number): number {
  if (keyStop === stop) return stop;
  if (bytes[keyStop] !== VALUE_TAG) return -1;
  let at = keyStop + 1;
  let length = 0;
  for (let shift = 0; at < stop && shift < 28; shift += 7) {
    const byte = bytes[at++]!;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at + length === stop ? at : -1;
  }
  return -1;
}
