import { Labels } from "#base/labels";
import { decodeEscaped, type FieldValue } from "#formats/json-fields";
import { formatFloat } from "#lang/number";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { allocate, type SliceableBuffer, sliceable } from "#pipeline/log-batch";
import type { TextInterner } from "./interner.ts";

/** What an extracted value is. */
const VALUE_ABSENT = 0;
const VALUE_NULL = 1;
/** A string, in `texts`. */
const VALUE_TEXT = 2;
/** A string that is still a range of the data. */
export const VALUE_RANGE = 3;
/** The same with JSON escapes in it. */
export const VALUE_ESCAPED = 4;
/** A number: a range of the data that holds its token, or in `numbers` if the range is empty. */
export const VALUE_NUMBER = 5;
const VALUE_TRUE = 6;
const VALUE_FALSE = 7;

/**
 * The names of extracted values that a pipeline knows from its configuration, numbered. Values under other names are kept
 * in a map, and only if some stage looks at all of them.
 */
export class SlotTable {
  readonly names: string[] = [];
  readonly #ids = new Map<string, number>();
  /** Whether some stage looks at values whose names the configuration does not say. */
  keepsAll = false;

  of(name: string): number {
    let id = this.#ids.get(name);
    if (id === undefined) {
      id = this.names.length;
      this.names.push(name);
      this.#ids.set(name, id);
    }
    return id;
  }
  find(name: string): number | undefined {
    return this.#ids.get(name);
  }
}

/**
 * The bytes that entries' lines are ranges of. New lines are appended to a copy with room, made when the first is needed:
 * offsets into the original stay what they are.
 */
export class LineStore {
  data: SliceableBuffer = sliceable(new Uint8Array(0));
  #length = 0;
  #owned = false;
  #spare: SliceableBuffer | undefined;

  /** What lies behind `length` is room for new lines: then they are appended in place, as long as there is enough of it. */
  reset(data: Uint8Array, length = data.length): void {
    this.data = sliceable(data);
    this.#length = length;
    this.#owned = length < data.length;
  }

  /** Whether `data` is, or may be, not what `reset` was given. */
  get changed(): boolean {
    return this.#owned;
  }

  /** Room for `size` bytes; gives the offset. */
  reserve(size: number): number {
    const needed = this.#length + size;
    if (!this.#owned || needed > this.data.length) {
      const spare = this.#spare;
      this.#spare = undefined;
      const wanted = Math.max(needed, Math.ceil(this.#length * 1.5), 4_096);
      const larger = spare !== undefined && spare.length >= wanted ? spare : allocate(wanted);
      this.data.copy(larger, 0, 0, this.#length);
      this.data = larger;
      this.#owned = true;
    }
    return this.#length;
  }
  commit(end: number): void {
    this.#length = end;
  }

  /** Takes back data that nobody uses any more, for a later batch. */
  recycle(data: Uint8Array): void {
    if (data.length <= LARGEST_SPARE && data !== this.data) this.#spare = data as SliceableBuffer;
  }
}

/** Memory of larger batches is left to the garbage collector. */
const LARGEST_SPARE = 8 * 1024 * 1024;

/** The entry that is going through the stages. One object serves all entries of a pipeline, one after the other. */
export class Entry {
  readonly slots: SlotTable;
  readonly store: LineStore;
  readonly interner: TextInterner;
  labels: Labels = Labels.empty;
  ms = 0;
  ns = 0;
  metadata: readonly string[] | undefined;
  /** Acknowledgements beside the batch's, of earlier entries that were merged into this one. */
  held: readonly Acknowledgement[] | undefined;
  /** The acknowledgement of the batch that the entry came with. */
  acknowledgement: Acknowledgement | undefined;
  /** The line is `store.data[start, end)`. */
  start = 0;
  end = 0;
  #line: string | undefined;

  kinds: Uint8Array = new Uint8Array(0);
  #texts: (string | undefined)[] = [];
  #from = new Int32Array(0);
  #to = new Int32Array(0);
  #numbers = new Float64Array(0);
  /** Extracted values without a slot. */
  extra: Map<string, FieldValue> | undefined;

  constructor(slots: SlotTable, store: LineStore, interner: TextInterner) {
    this.slots = slots;
    this.store = store;
    this.interner = interner;
  }

  /** Makes the slots; called once when all stages are built. */
  seal(): void {
    const count = this.slots.names.length;
    this.kinds = new Uint8Array(count);
    this.#texts = new Array(count).fill(undefined);
    this.#from = new Int32Array(count);
    this.#to = new Int32Array(count);
    this.#numbers = new Float64Array(count);
    this.keepAll(this.slots.keepsAll);
  }

  /** Whether values without a slot are kept from now on. Those that are there are forgotten. */
  keepAll(keeps: boolean): void {
    this.extra = keeps ? new Map() : undefined;
  }

  /** Starts an entry: nothing extracted. */
  begin(start: number, end: number): void {
    this.start = start;
    this.end = end;
    this.#line = undefined;
    this.held = undefined;
    const { kinds } = this;
    for (let i = 0; i < kinds.length; i++) kinds[i] = VALUE_ABSENT;
    this.extra?.clear();
  }

  /** The line as text, made once. */
  get line(): string {
    return (this.#line ??= this.store.data.utf8Slice(this.start, this.end));
  }
  /** The line's length in bytes. */
  get lineBytes(): number {
    return this.end - this.start;
  }
  /** Makes a range of the data the line. */
  setLineRange(start: number, end: number): void {
    this.start = start;
    this.end = end;
    this.#line = undefined;
  }
  setLine(text: string): void {
    const at = this.store.reserve(text.length * 3);
    const written = this.store.data.utf8Write(text, at);
    this.store.commit(at + written);
    this.setLineRange(at, at + written);
    this.#line = text;
  }
  setLineBytes(bytes: Uint8Array): void {
    const at = this.store.reserve(bytes.length);
    this.store.data.set(bytes, at);
    this.store.commit(at + bytes.length);
    this.setLineRange(at, at + bytes.length);
  }
  /** A copy of the line's bytes, for stages that keep it. */
  copyLine(): Uint8Array {
    return new Uint8Array(this.store.data.subarray(this.start, this.end));
  }

  has(slot: number): boolean {
    return this.kinds[slot] !== VALUE_ABSENT;
  }
  /** Whether the value is a string rather than a number, a boolean or null. */
  isText(slot: number): boolean {
    const kind = this.kinds[slot]!;
    return kind === VALUE_TEXT || kind === VALUE_RANGE || kind === VALUE_ESCAPED;
  }
  remove(slot: number): void {
    this.kinds[slot] = VALUE_ABSENT;
  }
  setText(slot: number, text: string): void {
    this.kinds[slot] = VALUE_TEXT;
    this.#texts[slot] = text;
  }
  /** Sets a value that is a range of the data: `VALUE_RANGE`, `VALUE_ESCAPED` or `VALUE_NUMBER`. */
  setRange(slot: number, kind: number, start: number, end: number): void {
    this.kinds[slot] = kind;
    this.#texts[slot] = undefined;
    this.#from[slot] = start;
    this.#to[slot] = end;
  }
  setValue(slot: number, value: FieldValue): void {
    if (typeof value === "string") this.setText(slot, value);
    else if (value === null) this.kinds[slot] = VALUE_NULL;
    else if (typeof value === "boolean") this.kinds[slot] = value ? VALUE_TRUE : VALUE_FALSE;
    else {
      this.setRange(slot, VALUE_NUMBER, 0, 0);
      this.#numbers[slot] = value;
    }
  }
  /** Sets a value by name: into its slot, or among the others if somebody looks at them. */
  setNamed(name: string, value: FieldValue): void {
    const slot = this.slots.find(name);
    if (slot !== undefined) this.setValue(slot, value);
    else this.extra?.set(name, value);
  }

  /** The value as text (Alloy's getString); undefined if it is missing or null. */
  text(slot: number): string | undefined {
    const known = this.#texts[slot];
    switch (this.kinds[slot]) {
      case VALUE_TEXT:
        return known;
      case VALUE_RANGE:
        this.kinds[slot] = VALUE_TEXT;
        return (this.#texts[slot] = this.interner.text(this.store.data, this.#from[slot]!, this.#to[slot]!));
      case VALUE_ESCAPED:
        this.kinds[slot] = VALUE_TEXT;
        return (this.#texts[slot] = decodeEscaped(this.store.data, this.#from[slot]!, this.#to[slot]!));
      case VALUE_NUMBER:
        return known ?? (this.#texts[slot] = this.#numberText(slot));
      case VALUE_TRUE:
        return "true";
      case VALUE_FALSE:
        return "false";
      default:
        return undefined;
    }
  }

  /** The value with its type. */
  value(slot: number): FieldValue | undefined {
    switch (this.kinds[slot]) {
      case VALUE_ABSENT:
        return undefined;
      case VALUE_NULL:
        return null;
      case VALUE_TRUE:
        return true;
      case VALUE_FALSE:
        return false;
      case VALUE_NUMBER:
        return this.#number(slot);
      default:
        return this.text(slot);
    }
  }

  /** The text of a value by name, also of one without a slot. */
  namedText(name: string): string | undefined {
    const slot = this.slots.find(name);
    if (slot !== undefined) return this.text(slot);
    const value = this.extra?.get(name);
    if (value === undefined || value === null) return undefined;
    return typeof value === "number" ? formatFloat(value) : String(value);
  }

  /** Makes an extracted string the line: without copying where it is a range of the data. False if there is no string. */
  setLineFrom(slot: number): boolean {
    if (this.kinds[slot] === VALUE_RANGE) {
      this.setLineRange(this.#from[slot]!, this.#to[slot]!);
      return true;
    }
    const text = this.text(slot);
    if (text === undefined) return false;
    this.setLine(text);
    return true;
  }

  /** All extracted values by name, those without a slot included if they are kept. */
  *extracted(): Generator<readonly [name: string, value: FieldValue]> {
    for (let slot = 0; slot < this.kinds.length; slot++) {
      const value = this.value(slot);
      if (value !== undefined) yield [this.slots.names[slot]!, value];
    }
    if (this.extra !== undefined) yield* this.extra;
  }

  /** The same, and each value stays in the form it has: looking at an entry must not change what becomes of it. */
  *peek(): Generator<readonly [name: string, value: FieldValue]> {
    const { data } = this.store;
    for (let slot = 0; slot < this.kinds.length; slot++) {
      const kind = this.kinds[slot];
      if (kind === VALUE_ABSENT) continue;
      const name = this.slots.names[slot]!;
      const from = this.#from[slot]!;
      const to = this.#to[slot]!;
      // As text, a range would lose bytes that are no UTF-8 when a stage makes it the line.
      if (kind === VALUE_RANGE) yield [name, data.utf8Slice(from, to)];
      else if (kind === VALUE_ESCAPED) yield [name, decodeEscaped(data, from, to)];
      else yield [name, this.value(slot)!];
    }
    if (this.extra !== undefined) yield* this.extra;
  }

  #number(slot: number): number {
    const from = this.#from[slot]!;
    const to = this.#to[slot]!;
    return from === to ? this.#numbers[slot]! : Number(this.store.data.latin1Slice(from, to));
  }

  #numberText(slot: number): string {
    const from = this.#from[slot]!;
    const to = this.#to[slot]!;
    if (from !== to && to - from <= 15) {
      const token = this.interner.text(this.store.data, from, to);
      if (PLAIN_INTEGER.test(token)) return token;
    }
    return formatFloat(this.#number(slot));
  }
}

const PLAIN_INTEGER = /^-?(?:0|[1-9]\d*)$/;

/** An entry that a stage keeps beyond its batch. */
export interface HeldEntry {
  readonly labels: Labels;
  readonly ms: number;
  readonly ns: number;
  readonly metadata: readonly string[] | undefined;
  readonly extracted: readonly (readonly [name: string, value: FieldValue])[];
  /** Holds a reference of each. */
  readonly acknowledgements: readonly Acknowledgement[];
}

/** Keeps the context of an entry that ends here, and its references. The line is the caller's to copy. */
export function holdEntry(entry: Entry): HeldEntry {
  return contextOf(entry, takeReferences(entry));
}

/** The context of an entry that goes on, for another one, with references of its own. */
export function copyEntry(entry: Entry): HeldEntry {
  for (const each of entry.held ?? []) each.retain();
  return contextOf(entry, ownReferences(entry));
}

/** The references that the line of an entry which ends here needs to outlive its batch. */
export function takeReferences(entry: Entry): readonly Acknowledgement[] {
  const references = ownReferences(entry);
  entry.held = undefined;
  return references;
}

function ownReferences(entry: Entry): readonly Acknowledgement[] {
  const own = entry.acknowledgement;
  own?.retain();
  return [...(own === undefined ? [] : [own]), ...(entry.held ?? [])];
}

function contextOf(entry: Entry, acknowledgements: readonly Acknowledgement[]): HeldEntry {
  const { labels, ms, ns, metadata } = entry;
  return { labels, ms, ns, metadata, extracted: [...entry.extracted()], acknowledgements };
}

/** Puts a kept entry back onto its way. */
export function restoreEntry(
  held: HeldEntry,
  line: Uint8Array,
  acknowledgements: readonly Acknowledgement[],
  into: Entry,
) {
  into.begin(0, 0);
  into.setLineBytes(line);
  into.labels = held.labels;
  into.ms = held.ms;
  into.ns = held.ns;
  into.metadata = held.metadata;
  into.acknowledgement = undefined;
  into.held = acknowledgements;
  for (const [name, value] of held.extracted) into.setNamed(name, value);
}
